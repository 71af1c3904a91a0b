// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The query of a list of models, and that of its next page.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Depth, ListRequest};
use crate::text::quotable;

/// What a query asks for. Each member counts once, and an unknown one is refused: whoever misspells one must
/// not get all models.
///
/// # Errors
/// `BadRequest`.
pub(super) fn list_request(query: Option<&str>) -> Result<ListRequest> {
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

/// The field `Link` that leads to the page after this name (RFC 8288 section 3).
pub(super) fn next_link(request: &ListRequest, after: &str) -> String {
    let filter = &request.filter;
    let pattern = filter.pattern.as_ref();
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);

    let mut query = format!("after={}", encoded(after));
    if !filter.prefix.is_empty() {
        query += &format!("&prefix={}", encoded(&filter.prefix));
    }
    if let Some(pattern) = pattern {
        query += &format!("&match={}", encoded(pattern.as_str()));
    }
    if filter.depth == Depth::Folders {
        query += "&folders=1";
    }
    if let Some(limit) = request.limit {
        query += &format!("&limit={limit}");
    }
    format!("</v1/models?{query}>; rel=\"next\"")
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

const KNOWN: &str =
    "a list knows prefix=TEXT, match=PATTERN, after=NAME, limit=NUMBER and folders=1";

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

        // The link leads to a page of the same list.
        let link = next_link(&request, "me/b\u{f6}>\"&x");
        let query = link.strip_prefix("</v1/models?").unwrap();
        let query = query.strip_suffix(">; rel=\"next\"").unwrap();
        let next = list_request(Some(query)).unwrap();
        assert_eq!(next.after, "me/b\u{f6}>\"&x");
        assert_eq!(next.filter.prefix, request.filter.prefix);
        assert_eq!(next.filter.pattern, request.filter.pattern);
        assert_eq!((next.limit, next.filter.depth), (Some(7), Depth::Folders));

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
