// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models over HTTP: raw bytes at `/v1/models/NAME`, and by their digest at `/v1/blobs/sha256/HEX`.

use std::fmt::Display;
use std::time::SystemTime;

use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Content, Range, Request, Response, Status};
use crate::model::{Model, ModelName};
use crate::routes::api::Api;
use crate::routes::models::archive::archive;
use crate::routes::models::fields::Complete;
use crate::routes::models::info::{asked_revision, search_for};
use crate::routes::models::preconditions::{
    changed, check_unmodified, condition, is_strong_match, is_weak_match, seconds,
};
use crate::routes::models::storing::{WEAK, digest, entity_tag, store_whole};
use crate::routes::models::upload_forms::check_form;
use crate::routes::models::{info, resumable};
use crate::signature::Signature;
use crate::store::{self, OpenedModel, UploadIntent};
use crate::text::{counted, http_date};

/// `GET /v1/models/NAME`: the bytes, or a range of them (RFC 9110 sections 13 and 14).
pub(crate) fn read(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    if is_archive(request) {
        let folder = api.model_name(request)?;
        let revision = asked_revision(request)?;
        // With the ending, the longest names are too long.
        let saved = format!("{}.tar", folder.file_name()).parse();
        let saved = saved.unwrap_or_else(|_| folder.clone());
        let revision = revision.map(|revision| (revision, search_for(request)));
        let response = archive(api, &folder, revision)?;
        return Ok(response.field("content-disposition", disposition(&saved)));
    }

    let name = api.model_name(request)?;
    let opened = match asked_revision(request)? {
        Some(revision) => {
            let search = search_for(request);
            let opened = api.store.open_model_at(&name, revision, search)?;
            api.store.described(opened)
        }
        None => api.store.open_model(&name)?,
    };
    answer(request, AnswerKind::Model(&name), opened)
}

/// `GET /v1/blobs/sha256/HEX`: the bytes of this digest, or a range of them, whatever has them.
pub(crate) fn blob(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let digest: Digest = request.segments().get(3).unwrap_or(&"").parse()?;

    let opened = api.store.open_blob(digest, search_for(request))?;
    answer(request, AnswerKind::Blob, opened)
}

/// Whether a folder as a whole is meant: a slash at the end, and `?tar`.
fn is_archive(request: &Request<'_>) -> bool {
    let mut members = request.query().unwrap_or_default().split('&');
    request.segments().last() == Some(&"") && members.any(|member| member == "tar")
}

/// What bytes are handed out as.
#[derive(Clone, Copy)]
pub(crate) enum AnswerKind<'a> {
    /// What a name has now.
    Model(&'a ModelName),
    /// What a digest always has.
    Blob,
    /// A file of a repository of the hub, whose clients compare the entity tag with a digest.
    HubFile(&'a ModelName),
}

impl AnswerKind<'_> {
    /// What a digest has never changes; only the caller's own cache may keep what needs a right.
    fn caching(self) -> &'static str {
        match self {
            Self::Model(_) | Self::HubFile(_) => "no-cache",
            Self::Blob => IMMUTABLE,
        }
    }

    fn disposition(self) -> String {
        match self {
            Self::Model(name) | Self::HubFile(name) => disposition(name),
            Self::Blob => "attachment".to_owned(),
        }
    }

    fn tag(self, model: &Model, stamp: impl Display) -> String {
        match (self, model.digest) {
            (Self::HubFile(_), Some(digest)) => format!("\"{digest}\""),
            _ => entity_tag(model, stamp),
        }
    }
}

/// Hands out what was opened.
///
/// # Errors
/// `PreconditionFailed`.
pub(crate) fn answer(
    request: &Request<'_>,
    kind: AnswerKind<'_>,
    opened: OpenedModel,
) -> Result<Response> {
    let OpenedModel {
        model,
        stamp,
        about,
        content,
    } = opened;

    // The tag is weak where the digest is not known yet, and then matches nothing that needs the
    // very bytes.
    let tag = kind.tag(&model, stamp);

    // The preconditions in the order of RFC 9110 section 13.2.2.
    let fields = request.fields();
    if let Some(wanted) = fields.value("if-match")
        && !is_strong_match(wanted, &tag)
    {
        return Err(changed(&model.name));
    }

    check_unmodified(fields, &model)?;

    let response = |status| {
        Response::new(status)
            .field("etag", tag.clone())
            .field("last-modified", http_date(last_modified(&model)))
            .field("accept-ranges", "bytes")
            .field("cache-control", kind.caching())
    };

    // `If-Modified-Since` counts only without `If-None-Match` (RFC 9110 section 13.1.3).
    let is_known = match fields.value("if-none-match") {
        Some(known) => is_weak_match(known, &tag),
        None => fields
            .value("if-modified-since")
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .is_some_and(|date| seconds(model.modified) <= seconds(date)),
    };

    if is_known {
        return Ok(response(Status::NOT_MODIFIED));
    }

    // Ranges are a matter of GET only (RFC 9110 section 14.2). A range of another version would be
    // joined with what the caller has already, so only a strong tag counts; dates are too coarse.
    let wanted = fields
        .value("range")
        .filter(|_| !request.is_head())
        .filter(|_| match fields.value("if-range") {
            Some(tag_or_date) => !tag.starts_with(WEAK) && tag_or_date == tag,
            None => true,
        });

    let all = Range {
        start: 0,
        end: model.size,
    };

    // A range that cannot be read is ignored; one outside of the model is an error that tells the
    // length.
    let (status, range) = match wanted.map(|field| Range::parse(field, model.size)) {
        None | Some(Ok(None)) => (Status::OK, all),
        Some(Ok(Some(range))) => (Status::PARTIAL_CONTENT, range),
        Some(Err(_)) => {
            let text = format!("the model has {}", counted(model.size, "byte"));
            let error = Error::new(ErrorKind::RangeNotSatisfiable, text);
            return Ok(
                Response::error(&error).field("content-range", format!("bytes */{}", model.size))
            );
        }
    };

    // The type and the disposition keep a browser from showing a model as a page of this server.
    let mut response = info::described(response(status), about.as_deref())
        .field("content-type", "application/octet-stream")
        .field("content-disposition", kind.disposition())
        .content(part_of(content, range));

    // It is the digest of the whole model, also for a range (RFC 9530 section 3).
    if let Some(digest) = model.digest {
        response = response.field("repr-digest", digest.field());
    }

    if status == Status::PARTIAL_CONTENT {
        let (first, last) = (range.start, range.end - 1);
        response = response.field(
            "content-range",
            format!("bytes {first}-{last}/{}", model.size),
        );
    }

    Ok(response)
}

/// When a model was last modified, as far as callers are told: a date in the future would be one after the
/// answer's own (RFC 9110 section 8.8.2.1).
fn last_modified(model: &Model) -> SystemTime {
    if clock::is_trusted() {
        model.modified.min(clock::now())
    } else {
        model.modified
    }
}

/// `PUT` or `POST /v1/models/NAME`: 201 for a new name, 200 for one that was there.
pub(crate) fn store(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let name = api.model_name(request)?;
    let mut order = UploadIntent::new(name);
    order.condition = condition(api, request, &order.name)?;
    store_as(api, request, order)
}

/// Takes bytes in: `order` says which name they are for, and what has to be true of it.
pub(crate) fn store_as(
    api: &Api,
    request: &mut Request<'_>,
    order: UploadIntent,
) -> Result<Response> {
    let fields = request.fields();
    let complete = Complete::of(fields);

    check_form(request, complete)?;

    // Everything that the fields say is checked before the body is read and so before a 100 asks
    // for it.
    let expected = digest(fields, "repr-digest")?;

    let signature = fields
        .value("skep-signature")
        .map(Signature::from_field)
        .transpose()?;

    let principal = info::principal(request);
    let metadata = info::metadata(request, principal.as_ref())?;

    let mut order = UploadIntent {
        digest: expected,
        signature,
        metadata,
        principal: info::principal_line(request),
        ..order
    };

    if let Some(complete) = complete {
        return resumable::create(api, request, order, complete);
    }

    // In a plain upload, the content is the whole model, so both digests mean the same bytes.
    order.digest = Digest::agreed(digest(fields, "content-digest")?, expected)?;
    order.length = request.body().length();
    request.body().limit(api.limits.now().upload_bytes_max)?;

    store_whole(api, request, &order)
}

/// `DELETE /v1/models/NAME`: `Skep-Kept: ?0` says that no old version of it is kept.
pub(crate) fn remove(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let name = api.model_name(request)?;
    let removed = api
        .store
        .remove_if(&name, &condition(api, request, &name)?)?;

    let response = Response::new(Status::NO_CONTENT);
    Ok(if api.store.has_kept(&removed) {
        response
    } else {
        response.field("skep-kept", "?0")
    })
}

/// The name under which a browser saves the model (RFC 6266, RFC 8187).
fn disposition(name: &ModelName) -> String {
    let plain = |character: char| match character {
        ' '..='~' if !matches!(character, '"' | '\\' | '%') => character,
        _ => '_',
    };
    let fallback: String = name.file_name().chars().map(plain).collect();
    let path = name.url_path();
    let last = path.rsplit('/').next().unwrap_or_default();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{last}")
}

/// The bytes of a stored model, or some of them, to be sent.
fn part_of(content: store::StoredContent, range: Range) -> Content {
    match content {
        // A cached model is in memory, so its length fits.
        store::StoredContent::Cached(bytes) => {
            let index = |position| usize::try_from(position).unwrap_or(bytes.len());
            let part = index(range.start)..index(range.end);
            Content::Shared(bytes, part)
        }
        store::StoredContent::File(file) => Content::File {
            file,
            offset: range.start,
            length: range.end - range.start,
        },
    }
}

/// A year, the longest that caches are asked for (RFC 9111, RFC 8246).
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_a_field() {
        let name: ModelName = "m\u{f6}del \"x\".onnx".parse().unwrap();
        assert_eq!(
            disposition(&name),
            "attachment; filename=\"m_del _x_.onnx\"; filename*=UTF-8''m%C3%B6del%20%22x%22.onnx"
        );
    }
}
