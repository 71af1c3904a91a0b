// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of routes: what each path and method does, and who may call it.

use crate::access::Right;
use crate::http::Method;
use crate::routes::api::{Access, MODEL, Route, RouteTable, STATUS, row};
use crate::routes::hub::HUB_ROUTES;
use crate::routes::{changes, dearning, models, redeem, status};

/// All routes but those of other APIs. `GET` stands for `HEAD` as well.
const ROUTES: &[Route] = &[
    row(
        Method::Get,
        &[""],
        Access::Open,
        "lists these routes",
        status::index,
    ),
    row(
        Method::Get,
        &["healthz"],
        Access::Open,
        "says that the server runs",
        status::health,
    ),
    row(
        Method::Get,
        STATUS,
        Access::Needs(Right::Read),
        "tells how the server is, and what the caller may do",
        status::status,
    ),
    row(
        Method::Get,
        &["v1", "models"],
        Access::Needs(Right::Read),
        "lists models, all or a page of them",
        models::list,
    ),
    row(
        Method::Get,
        MODEL,
        Access::Needs(Right::Read),
        "hands out a model or a range of it",
        models::read,
    ),
    row(
        Method::Put,
        MODEL,
        Access::Needs(Right::Write),
        "stores a model",
        models::store,
    ),
    row(
        Method::Post,
        MODEL,
        Access::Needs(Right::Write),
        "stores a model, as PUT does",
        models::store,
    ),
    row(
        Method::Delete,
        MODEL,
        Access::Needs(Right::Write),
        "removes a model",
        models::remove,
    ),
    row(
        Method::Get,
        &["v1", "blobs", "sha256", "*"],
        Access::Needs(Right::Read),
        "hands out the bytes that have a digest, or a range of them",
        models::blob,
    ),
    row(
        Method::Get,
        UPLOAD,
        Access::Needs(Right::Write),
        "tells how far an upload is",
        models::tell,
    ),
    row(
        Method::Patch,
        UPLOAD,
        Access::Needs(Right::Write),
        "appends to an upload",
        models::append,
    ),
    row(
        Method::Delete,
        UPLOAD,
        Access::Needs(Right::Write),
        "cancels an upload",
        models::cancel,
    ),
    row(
        Method::Post,
        &["v1", "changes"],
        Access::Needs(Right::Write),
        "begins a change set: ?root=FOLDER",
        changes::begin,
    )
    .asked(&["root"]),
    row(
        Method::Get,
        CHANGE,
        Access::Needs(Right::Write),
        "tells what a change set has so far",
        changes::show,
    ),
    row(
        Method::Post,
        CHANGE,
        Access::Needs(Right::Write),
        "commits a change set: ?others=remove",
        changes::commit,
    )
    .asked(&["others"]),
    row(
        Method::Delete,
        CHANGE,
        Access::Needs(Right::Write),
        "gives a change set up",
        changes::abandon,
    ),
    row(
        Method::Put,
        CHANGED,
        Access::Needs(Right::Write),
        "takes a model into a change set, or bytes that are here: ?blob=DIGEST",
        changes::put,
    )
    .asked(&["blob"]),
    row(
        Method::Delete,
        CHANGED,
        Access::Needs(Right::Write),
        "lets a change set remove a model",
        changes::remove,
    ),
    row(
        Method::Get,
        INFO,
        Access::Needs(Right::Read),
        "tells what is known of a model",
        models::show,
    ),
    row(
        Method::Get,
        VERSIONS,
        Access::Needs(Right::Read),
        "lists the old versions of a model, or one: ?number=N",
        models::versions,
    ),
    row(
        Method::Delete,
        VERSIONS,
        Access::Needs(Right::Write),
        "removes the old versions of a model, or one: ?number=N",
        models::forget_versions,
    )
    .asked(&["number"]),
    row(
        Method::Post,
        &["v1", "rollback", "**"],
        Access::Needs(Right::Write),
        "brings back the version before, or another one: ?to=VERSION",
        models::rollback,
    )
    .asked(&["to"]),
    row(
        Method::Post,
        &["v1", "move", "**"],
        Access::Needs(Right::Write),
        "gives a model or a folder another name: ?to=NAME",
        models::rename,
    )
    .asked(&["to"]),
    row(
        Method::Post,
        &["v1", "gc"],
        Access::Needs(Right::Admin),
        "frees old versions and what nobody goes on with: ?keep=N&idle=SECONDS&dry-run",
        status::clear,
    )
    .asked(&["keep", "idle", "dry-run"]),
    row(
        Method::Post,
        &["v1", "verify", "**"],
        Access::Needs(Right::Write),
        "reads a model again to find damage",
        models::verify,
    ),
    row(
        Method::Post,
        &["v1", "pair"],
        Access::Open,
        "gives a token for an invitation",
        redeem::pair,
    ),
];

/// The routes of the dearning API. They, and no others, look for a password in the body.
const DEARNING_ROUTES: &[Route] = &[
    row(
        Method::Post,
        &["import_model"],
        Access::InBody,
        "dearning: stores models",
        dearning::import,
    ),
    row(
        Method::Post,
        &["load_model"],
        Access::InBody,
        "dearning: hands out models",
        dearning::load,
    ),
];

/// The routes that a server has, with those of the dearning API or without.
pub(crate) fn routes(has_dearning: bool) -> RouteTable {
    let all: &'static [&'static [Route]] = &[ROUTES, HUB_ROUTES, DEARNING_ROUTES];
    RouteTable(if has_dearning { all } else { &all[..2] })
}

const INFO: &[&str] = &["v1", "info", "**"];
const VERSIONS: &[&str] = &["v1", "versions", "**"];

const CHANGE: &[&str] = &["v1", "changes", "*"];
const CHANGED: &[&str] = &["v1", "changes", "*", "**"];

const UPLOAD: &[&str] = &["v1", "uploads", "*"];
