// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the server is, and what of it is freed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::access::{How, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::allowance::{Way, payer};
use crate::routes::api::{Api, Known};
use crate::routes::authorize::no_credentials;
use crate::store::{ClearMode, ClearRequest, ClearedKind};
use crate::text::quotable;
use crate::wire::{ClearedKindWire, ClearedWire, StatusWire};

/// Lists the routes, for whoever looks at the server for the first time.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn index(api: &Api, _: &mut Request<'_>) -> Result<Response> {
    let line = |route: &crate::routes::api::Route| {
        let (method, path) = (route.method.as_str(), route.shown());
        format!("{method:<7}{path:<30} {}\n", route.help)
    };
    let routes: String = api.routes.iter().map(line).collect();
    Ok(Response::text(
        Status::OK,
        format!("skep, a pocket model server\n\n{routes}"),
    ))
}

/// `GET /v1/status`: the server as one caller sees it, as JSON.
///
/// # Errors
/// `Unauthenticated` for whoever has shown nothing, also where reading is open.
pub(crate) fn status(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let peer = request.peer().clone();
    let known = request.session().value::<Known>();
    let known = known.and_then(|known| known.0.as_ref());
    let Some(caller) = known.filter(|known| known.how != How::Anonymous) else {
        return Err(no_credentials());
    };

    let counted = payer(&peer, caller);
    let left = |way| api.quota.left(counted.as_ref()?, way);
    let totals = api.store.totals()?;

    let status = StatusWire {
        schema: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: caller.name.clone(),
        role: match Role::of(caller.rights) {
            Some(role) => role.to_string(),
            None => caller.rights.to_string(),
        },
        models: totals.models,
        size: totals.bytes,
        free: totals.free,
        upload_left: left(Way::Up),
        download_left: left(Way::Down),
        undo: api.store.undo_bytes(),
    };
    Ok(Response::json(Status::OK, &status).field("cache-control", "no-cache"))
}

/// Says that the server runs: to be called by whatever watches it, without a password.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn health(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    Ok(Response::text(Status::OK, "ok\n"))
}

/// `POST /v1/gc?keep=N&idle=SECONDS&dry-run`: frees old versions but for the newest N of each model, and what
/// nobody has gone on with for so long; tells how much, or only that.
pub(crate) fn clear(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let mut clear = ClearRequest {
        keep: 0,
        idle_min: IDLE,
        mode: ClearMode::Remove,
    };
    let members = request.query().unwrap_or_default().split('&');
    // Whoever means something else than what is understood must not have anything removed.
    let mut seen = BTreeSet::new();
    for member in members.filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        if !seen.insert(key) {
            return Err(unreadable(member));
        }
        let number = || value.parse::<u32>().map_err(|_| unreadable(member));
        match key {
            "keep" => clear.keep = usize::try_from(number()?).unwrap_or(usize::MAX),
            "idle" => clear.idle_min = Duration::from_secs(number()?.into()),
            "dry-run" if value.is_empty() => clear.mode = ClearMode::Count,
            _ => return Err(unreadable(member)),
        }
    }

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
        dry_run: clear.mode == ClearMode::Count,
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

fn unreadable(member: &str) -> Error {
    let text = format!("the query of /v1/gc has '{}'", quotable(member));
    Error::new(ErrorKind::BadRequest, text)
        .hint("in HTTP: it is ?keep=N&idle=SECONDS&dry-run, each of them once or not at all")
}

/// Long enough for a caller whose connection is bad to go on.
const IDLE: Duration = Duration::from_secs(3600);
