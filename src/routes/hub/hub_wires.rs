// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The JSON and the queries of the hub.

use std::borrow::Cow;
use std::time::SystemTime;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Request;
use crate::routes::api::Api;
use crate::store::FolderMember;
use crate::wire::rfc3339;

/// A time with the fraction of a second, without which clients before 0.21 refuse it.
pub(super) fn hub_time(time: SystemTime) -> String {
    rfc3339(time).replace('Z', ".000Z")
}

/// A file or a folder.
#[derive(Debug, Serialize)]
pub(super) struct EntryWire {
    /// `file` or `directory`.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) path: String,
    pub(super) oid: String,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lfs: Option<LfsWire>,
}

/// The bytes of a file, by their SHA-256. Every file is told as one of Git LFS: clients compare `oid` of others with
/// a SHA-1 that git computes, and no such digest is kept here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LfsWire {
    pub(super) oid: String,
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) pointer_size: u64,
}

impl LfsWire {
    pub(super) fn of(member: &FolderMember) -> Self {
        let digest = member.digest.to_string();
        let (size, digits) = (member.size, member.size.to_string().len() as u64);
        Self {
            oid: digest.clone(),
            sha256: digest,
            size,
            pointer_size: POINTER_BYTES + digits,
        }
    }
}

/// A file of a repository, as it is told with what is known of that.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiblingWire {
    pub(super) rfilename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blob_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lfs: Option<LfsWire>,
}

/// A repository. Members that count what people do with it say that nothing is counted here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RepoWire {
    pub(super) id: String,
    pub(super) model_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
    pub(super) private: bool,
    pub(super) gated: bool,
    pub(super) disabled: bool,
    pub(super) downloads: u64,
    pub(super) likes: u64,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) siblings: Option<Vec<SiblingWire>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) used_storage: Option<u64>,
}

/// A branch or a tag.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefWire {
    pub(super) name: String,
    #[serde(rename = "ref")]
    pub(super) reference: String,
    pub(super) target_commit: String,
}

/// A commit.
#[derive(Debug, Serialize)]
pub(super) struct HubCommitWire {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) authors: Vec<AuthorWire>,
    pub(super) date: String,
}

/// Who made a commit.
#[derive(Debug, Serialize)]
pub(super) struct AuthorWire {
    pub(super) user: String,
}

/// 40 digits where clients expect those of git, of bytes that have this digest.
pub(super) fn object_id(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(40);
    text
}

/// Whether the value of a query means yes; older clients write `True`.
pub(super) fn switch(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value == "1"
}

/// The members of a query, or of a form (`application/x-www-form-urlencoded`), in which a plus is a blank.
///
/// # Errors
/// `BadRequest` if a value is not UTF-8.
pub(super) fn pairs(text: &str) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let members = text.split('&').filter(|member| !member.is_empty());
    let members = members.map(|member| {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        Ok((decoded(key)?, decoded(value)?))
    });
    members.collect()
}

fn decoded(text: &str) -> Result<Cow<'_, str>> {
    let unreadable = || Error::new(ErrorKind::BadRequest, "the query is not UTF-8");
    if text.contains('+') {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8();
        let decoded = decoded.map_err(|_| unreadable())?.into_owned();
        return Ok(Cow::Owned(decoded));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| unreadable())
}

/// The JSON of a body.
///
/// # Errors
/// `BadRequest` if it is not what is expected, `TooLarge`; otherwise those of the connection.
pub(super) fn read_json<T: DeserializeOwned>(request: &mut Request<'_>) -> Result<T> {
    let body = request.body().read_all(JSON_BYTES_MAX)?;
    serde_json::from_slice(&body).map_err(|error| {
        let text = format!("the body is not the JSON that belongs here: {error}");
        Error::new(ErrorKind::BadRequest, text)
    })
}

/// The link to the page behind this one (RFC 8288 section 3). Clients follow absolute ones only.
pub(super) fn next_page(api: &Api, request: &Request<'_>, cursor: &str) -> String {
    let members = request.query().unwrap_or_default().split('&');
    let kept = members.filter(|member| !member.is_empty() && !member.starts_with("cursor="));
    let cursor = format!("cursor={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC));
    let query: Vec<_> = kept.chain([cursor.as_str()]).collect();
    let (base, path) = (api.base_url(request), request.path());
    format!("<{base}{path}?{}>; rel=\"next\"", query.join("&"))
}

/// 256 files with the samples that clients send of them.
const JSON_BYTES_MAX: usize = 1 << 20;

/// What a pointer of Git LFS has besides the digits of the size.
const POINTER_BYTES: u64 = 125;
