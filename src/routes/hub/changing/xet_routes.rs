// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads by xet: a client asks for a token and an address, sends xorbs there, which are chunks of files, and then
//! shards, which say what the files consist of. The commit names the files afterwards, as it does with those of Git LFS.
//!
//! Each token has an address of its own: clients remember which chunks they have sent to one, also in later processes,
//! and do not send them there again.

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::formats::xet::XorbHash;
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::HubPath;
use crate::routes::models::{copy, principal, principal_line};
use crate::store::{SESSION_LIFE, XetSessionId, XetUpload};

/// `GET /hf/api/KIND/REPO/xet-write-token/REV`: an address for one upload, and a ticket for it.
pub(crate) fn token(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    // A name that no repository can have is told now.
    HubPath::of(api, request)?;
    let place = format!("/hf/xet/{}", XetSessionId::random()?);
    let caller = principal(request);
    let ticket = caller.and_then(|caller| api.guard.ticket(&place, &caller, SESSION_LIFE));
    let ticket = ticket.ok_or_else(|| {
        let text = "an upload by xet needs a password or a token";
        Error::new(ErrorKind::Unauthenticated, text)
    })?;

    let address = format!("{}{place}", api.base_url(request));
    let told = json!({"casUrl": address, "exp": NEVER, "accessToken": ticket});
    let response = Response::json(Status::OK, &told)
        .field("x-xet-cas-url", address)
        .field("x-xet-access-token", ticket)
        .field("x-xet-token-expiration", NEVER.to_string());
    Ok(response.field("cache-control", "no-store"))
}

/// `POST /hf/xet/ID/v1/xorbs/default/OID`: chunks of files.
pub(crate) fn xorb(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let (session, hash) = match *request.segments() {
        [_, _, session, _, _, _, hash] => (session.parse()?, hash.parse::<XorbHash>()?),
        _ => return unknown(api, request),
    };
    let upload = begun(request, session, XORB_BYTES_MAX)?;
    let mut xorb = api.store.begin_xorb(hash, upload)?;
    copy(request.body(), &mut xorb, |_| Ok(()))?;
    let is_new = xorb.keep()?;
    Ok(Response::json(
        Status::OK,
        &json!({ "was_inserted": is_new }),
    ))
}

/// `POST /hf/xet/ID/v1/shards`: the files that consist of these chunks.
pub(crate) fn shard(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let session = match *request.segments() {
        [_, _, session, ..] => session.parse()?,
        _ => return unknown(api, request),
    };
    let upload = begun(request, session, SHARD_BYTES_MAX)?;
    let mut shard = api.store.begin_shard(upload)?;
    copy(request.body(), &mut shard, |_| Ok(()))?;
    let count = shard.put_together(api.limits.now().upload_bytes_max)?;
    let told = json!({"result": usize::from(count > 0)});
    Ok(Response::json(Status::OK, &told))
}

/// What else clients ask for at such an address: whether chunks of other uploads are known, a place elsewhere for a
/// xorb, and a form of the answer with progress. They go on without.
pub(crate) fn unknown(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    let text = "this server has no such part of xet";
    Err(Error::new(ErrorKind::NotFound, text).hint("clients go on without it"))
}

/// What comes with a request, which has so many bytes at most.
fn begun(request: &mut Request<'_>, session: XetSessionId, bytes_max: u64) -> Result<XetUpload> {
    let body = request.body();
    body.limit(bytes_max)?;
    let size = body.length().unwrap_or(bytes_max);
    Ok(XetUpload {
        session,
        sender: principal_line(request),
        size,
    })
}

/// When a client is to ask for another token (2100-01-01): that would be for another address. So a clock that is
/// wrong, here or there, ends no upload either. The ticket itself knows when it ends.
const NEVER: u64 = 4_102_444_800;

/// Clients fill a xorb with 64 MiB; headers and the table of older ones come on top.
const XORB_BYTES_MAX: u64 = (64 << 20) + (1 << 20);

/// What clients send at most, by the format.
const SHARD_BYTES_MAX: u64 = 64 << 20;
