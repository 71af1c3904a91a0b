// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a list of models is asked for, as a path with a query.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Depth, ListRequest, NamePattern};
use crate::text::quotable;

/// What a query asks for. Each member counts once, and an unknown one is refused: whoever misspells one must
/// not get all models.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn list_request(query: Option<&str>) -> Result<ListRequest> {
    let mut request = ListRequest::default();
    let mut seen = Vec::new();

    for member in query.unwrap_or_default().split('&') {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        let key = decoded(key)?;
        let value = decoded(value)?;

        match &*key {
            "prefix" => request.filter.prefix = value.into_owned(),
            "match" => request.filter.pattern = Some(value.parse()?),
            "after" => request.after = value.into_owned(),
            "revision" => request.revision = Some(value.parse()?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| *limit > 0);
                request.limit = Some(limit.ok_or_else(|| wrong("limit", &value, "1 or more"))?);
            }
            "folders" => {
                request.filter.depth = match &*value {
                    "1" => Depth::Folders,
                    "0" => Depth::All,
                    _ => return Err(wrong("folders", &value, "1 or 0")),
                }
            }
            _ => {
                let text = format!("a list has no query member '{}'", quotable(&key));
                return Err(Error::new(ErrorKind::BadRequest, text).hint(KNOWN));
            }
        }

        if seen.contains(&key) {
            let text = format!("the query has '{key}' twice");
            return Err(Error::new(ErrorKind::BadRequest, text).hint("write it once"));
        }
        seen.push(key);
    }
    Ok(request)
}

/// The path and the query of a list.
pub(crate) fn list_path(request: &ListRequest) -> String {
    let filter = &request.filter;
    let pattern = filter.pattern.as_ref().map_or("", NamePattern::as_str);
    let limit = request
        .limit
        .map_or_else(String::new, |limit| limit.to_string());
    let revision = request
        .revision
        .map_or_else(String::new, |revision| revision.to_string());
    let folders = match filter.depth {
        Depth::All => "",
        Depth::Folders => "1",
    };

    let mut path = "/v1/models".to_owned();
    let mut mark = '?';
    for (member, value) in [
        ("prefix", filter.prefix.as_str()),
        ("match", pattern),
        ("folders", folders),
        ("revision", &revision),
        ("after", &request.after),
        ("limit", &limit),
    ] {
        if !value.is_empty() {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            path += &format!("{mark}{member}={value}");
            mark = '&';
        }
    }
    path
}

fn decoded(text: &str) -> Result<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().map_err(|_| {
        let text = "the query is not UTF-8";
        Error::new(ErrorKind::BadRequest, text).hint(KNOWN)
    })
}

fn wrong(member: &str, value: &str, wanted: &str) -> Error {
    let text = format!(
        "the query member '{member}' is '{}', which is not {wanted}",
        quotable(value)
    );
    Error::new(ErrorKind::BadRequest, text).hint(KNOWN)
}

const KNOWN: &str = "a list knows prefix=TEXT, match=PATTERN, after=NAME, limit=NUMBER, folders=1 and revision=REVISION";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_counts_once_and_unknown_ones_are_refused() {
        let request = list_request(Some(
            "prefix=me%2f&match=me/b*%2A&after=a+b&&limit=7&folders=1",
        ))
        .unwrap();
        assert_eq!(request.filter.prefix, "me/");
        assert_eq!(request.filter.pattern.as_ref().unwrap().as_str(), "me/b**");
        assert_eq!((request.after.as_str(), request.limit), ("a+b", Some(7)));
        assert_eq!(request.filter.depth, Depth::Folders);

        let request = ListRequest {
            after: "me/b\u{f6}>\"&x".to_owned(),
            ..request
        };
        let path = list_path(&request);
        let again = list_request(path.strip_prefix("/v1/models?")).unwrap();
        assert_eq!(again.after, request.after);
        assert_eq!(again.filter.prefix, request.filter.prefix);
        assert_eq!(again.filter.pattern, request.filter.pattern);
        assert_eq!((again.limit, again.filter.depth), (Some(7), Depth::Folders));
        assert!(path.is_ascii() && !path.contains(['"', '>', ' ']), "{path}");
        assert_eq!(list_path(&ListRequest::default()), "/v1/models");

        assert!(list_request(None).unwrap().limit.is_none());
        for wrong in [
            "limit=0",
            "limit=-1",
            "limit=",
            "limit=x",
            "limit=99999999999999999999999",
            "limit=1&limit=1",
            "folders=yes",
            "match=",
            "perfix=a",
            "prefix=%ff",
            "x",
        ] {
            let error = list_request(Some(wrong)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadRequest, "{wrong}");
        }
        let error = list_request(Some("perfix=a")).unwrap_err();
        assert!(error.hint_text().unwrap().contains("prefix=TEXT"));
    }
}
