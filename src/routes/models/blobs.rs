// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes by their digest over HTTP: `/v1/blobs/sha256/HEX`.

use crate::digest::Digest;
use crate::error::Result;
use crate::http::{Request, Response};
use crate::routes::api::Api;
use crate::routes::models::bytes::{AnswerKind, answer};
use crate::routes::models::info::principal;
use crate::store::BlobSearch;
use crate::waiting::Rank;

/// `GET /v1/blobs/sha256/HEX`: the bytes of this digest, or a range of them, whatever has them.
pub(crate) fn blob(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let digest: Digest = request.segments().get(3).unwrap_or(&"").parse()?;

    // Whoever shows no credentials could let the server search its old versions again and again.
    let caller = principal(request);
    let is_stranger = caller.is_some_and(|caller| caller.rank() == Rank::Stranger);
    let search = if is_stranger {
        BlobSearch::Models
    } else {
        BlobSearch::Versions
    };

    let opened = api.store.open_blob(digest, search)?;
    answer(request, AnswerKind::Blob, opened)
}
