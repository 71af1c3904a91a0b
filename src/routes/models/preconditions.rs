// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What requests ask of the present state before anything is done (RFC 9110 section 13).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Fields, Request};
use crate::model::{Model, ModelName, Revision};
use crate::routes::api::Api;
use crate::routes::models::storing::WEAK;
use crate::store::Condition;

/// What `If-Match` and `If-None-Match` ask of the model that is to be replaced or removed.
pub(crate) fn condition(api: &Api, request: &Request<'_>, name: &ModelName) -> Result<Condition> {
    let fields = request.fields();
    let only = |tags: &str, text: &str| match Digest::from_etag(tags) {
        Some(digest) => Ok(Condition::Matches(digest)),
        None => Err(Error::new(ErrorKind::PreconditionFailed, text)),
    };

    // Only conditions that the store can check together with the change are taken.
    match (
        fields.value("if-none-match").map(str::trim),
        fields.value("if-match").map(str::trim),
    ) {
        (None, None) => unmodified(api, fields, name),
        (Some("*"), None) => Ok(Condition::Absent),
        (None, Some("*")) => Ok(Condition::Exists),
        (None, Some(tags)) => only(tags, "no model has the entity tag of If-Match"),
        _ => Err(Error::new(
            ErrorKind::BadRequest,
            "these preconditions are not supported",
        )
        .hint("in HTTP: use If-Match with one entity tag or *, or If-None-Match: *")),
    }
}

/// What `If-Unmodified-Since` asks, where there is a model (RFC 9110 section 13.1.4).
fn unmodified(api: &Api, fields: &Fields, name: &ModelName) -> Result<Condition> {
    if unmodified_since(fields).is_none() {
        return Ok(Condition::Any);
    }

    match api.store.find(name) {
        // From here on, nobody may change it before we do: the store checks again that it is the
        // model that was looked at here.
        Ok(model) => {
            check_unmodified(fields, &model)?;
            let seen = Condition::ModifiedAt(model.modified);
            Ok(model.digest.map_or(seen, Condition::Matches))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Condition::Any),
        Err(error) => Err(error),
    }
}

/// The date of `If-Unmodified-Since`. `If-Match` comes before it, and a date that cannot be read asks
/// nothing.
fn unmodified_since(fields: &Fields) -> Option<SystemTime> {
    let date = fields
        .value("if-unmodified-since")
        .filter(|_| fields.value("if-match").is_none())?;
    httpdate::parse_http_date(date).ok()
}

pub(super) fn check_unmodified(fields: &Fields, model: &Model) -> Result<()> {
    match unmodified_since(fields) {
        Some(date) if seconds(model.modified) > seconds(date) => {
            let text = format!("'{}' was modified after If-Unmodified-Since", model.name);
            Err(Error::new(ErrorKind::PreconditionFailed, text))
        }
        _ => Ok(()),
    }
}

/// Whether a list of entity tags has this strong one, or is `*` (RFC 9110 section 13.1.1).
pub(super) fn is_strong_match(list: &str, tag: &str) -> bool {
    let is_same = |item: &str| item.trim() == tag && !tag.starts_with(WEAK);
    list.trim() == "*" || list.split(',').any(is_same)
}

/// Whether a list of entity tags has this one, weak or not, or is `*` (RFC 9110 section 13.1.2).
pub(super) fn is_weak_match(list: &str, tag: &str) -> bool {
    let bare = |item: &str| item.trim().trim_start_matches(WEAK).to_owned();
    list.trim() == "*" || list.split(',').any(|item| bare(item) == bare(tag))
}

pub(super) fn changed(name: &ModelName) -> Error {
    Error::new(
        ErrorKind::PreconditionFailed,
        format!("'{name}' is not what is to be replaced"),
    )
    .hint("'skep ls -l' shows what is there (--if-match); in HTTP: the field If-Match")
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Refuses the conditions of a request that is about one name of a change set: that is judged as a whole.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn check_no_condition(request: &Request<'_>) -> Result<()> {
    let conditions = ["if-match", "if-none-match", "if-unmodified-since"];
    let given = |field: &&str| request.fields().value(field).is_some();
    let Some(field) = conditions.iter().find(|field| given(field)) else {
        return Ok(());
    };

    let text = format!("{field} says nothing of one name in a change set");
    Err(Error::new(ErrorKind::BadRequest, text)
        .hint("in HTTP: send If-Match with the revision of the folder when the set is committed"))
}

/// The revision that `If-Match` asks for, where a request is about a folder.
///
/// # Errors
/// `BadRequest` for what is no revision.
pub(crate) fn expected_revision(request: &Request<'_>) -> Result<Option<Revision>> {
    let tag = request.fields().value("if-match");
    // A folder that is not there is told of anyway.
    let tag = tag.filter(|tag| tag.trim() != "*");
    tag.map(revision_of_tag).transpose()
}

fn revision_of_tag(tag: &str) -> Result<Revision> {
    let bare = tag.trim().strip_prefix('"');
    let bare = bare.and_then(|bare| bare.strip_suffix('"'));
    bare.unwrap_or(tag).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_found_in_lists() {
        let list = "\"a\", W/\"b\"";
        assert!(is_weak_match(list, "\"b\"") && is_weak_match(list, "W/\"a\""));
        assert!(is_strong_match(list, "\"a\"") && !is_strong_match(list, "\"b\""));
        assert!(!is_strong_match(list, "W/\"b\""));
        assert!(is_weak_match(" * ", "\"c\"") && is_strong_match("*", "\"c\""));
        assert!(!is_weak_match(list, "\"c\""));
    }
}
