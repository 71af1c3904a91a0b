// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes by their digest over HTTP: `/v1/blobs/sha256/HEX`.

use crate::digest::Digest;
use crate::error::Result;
use crate::http::{Request, Response};
use crate::routes::api::Api;
use crate::routes::models::bytes::{AnswerKind, answer};
use crate::routes::models::info::search_for;

/// `GET /v1/blobs/sha256/HEX`: the bytes of this digest, or a range of them, whatever has them.
pub(crate) fn blob(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let digest: Digest = request.segments().get(3).unwrap_or(&"").parse()?;

    let opened = api.store.open_blob(digest, search_for(request))?;
    answer(request, AnswerKind::Blob, opened)
}
