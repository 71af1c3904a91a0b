// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Freeing what the store keeps beside models over HTTP, `/v1/gc`.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::{Api, member};
use crate::store::{ClearMode, ClearRequest, ClearedKind};
use crate::wire::{ClearedKindWire, ClearedWire};

/// `POST /v1/gc?keep=N&idle=SECONDS&dry-run`: frees old versions but for the newest N of each model, and what
/// nobody has gone on with for so long; tells how much, or only that.
pub(crate) fn clear(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let query = request.query();
    let mode = match member(query, "dry-run")?.as_deref() {
        None => ClearMode::Remove,
        Some("" | "true") => ClearMode::Count,
        // Whoever means one thing must not get the other.
        Some(_) => return Err(bad("dry-run", "it has no value")),
    };
    let number = |key: &str, default: u64| match member(query, key)? {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| bad(key, "write a whole number")),
    };
    let clear = ClearRequest {
        keep: usize::try_from(number("keep", 0)?).unwrap_or(usize::MAX),
        idle_min: Duration::from_secs(number("idle", IDLE_SECONDS)?),
        mode,
    };

    let cleared = api.store.clear(&clear)?;
    let kinds = [
        cleared.versions,
        cleared.revisions,
        cleared.uploads,
        cleared.changes,
        cleared.descriptions,
        cleared.digests,
    ];
    let told = ClearedWire {
        schema: 1,
        dry_run: mode == ClearMode::Count,
        versions: wire(cleared.versions),
        revisions: wire(cleared.revisions),
        uploads: wire(cleared.uploads),
        changes: wire(cleared.changes),
        descriptions: wire(cleared.descriptions),
        digests: wire(cleared.digests),
        files: kinds.iter().map(|kind| kind.files).sum(),
        bytes: kinds.iter().map(|kind| kind.bytes).sum(),
    };
    Ok(Response::json(Status::OK, &told))
}

fn wire(kind: ClearedKind) -> ClearedKindWire {
    let ClearedKind { files, bytes } = kind;
    ClearedKindWire { files, bytes }
}

fn bad(key: &str, reason: &str) -> Error {
    let text = format!("the query of /v1/gc has a '{key}' that cannot be read: {reason}");
    Error::new(ErrorKind::BadRequest, text).hint("it is ?keep=N&idle=SECONDS&dry-run")
}

/// Long enough for a caller whose connection is bad to go on.
const IDLE_SECONDS: u64 = 3600;
