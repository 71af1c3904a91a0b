// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rows of the hub in the table of routes.

use crate::access::Right;
use crate::http::Method;
use crate::routes::api::{Access, Route, row};
use crate::routes::hub::accounts;
use crate::routes::hub::changing::{hub_commit, lfs, managing, references};
use crate::routes::hub::reading::{commits, repositories, resolve, trees};

/// The routes of the hub. Where two of them fit a path, the first one is meant.
pub(crate) const HUB_ROUTES: &[Route] = &[
    row(
        Method::Get,
        &["hf", "{kind}", "{repo}", "resolve", "{rev}", "**"],
        Access::Needs(Right::Read),
        "hub: hands out a file of a repository",
        resolve::read,
    ),
    row(
        Method::Get,
        &["hf", "{kind}", "{repo}", "raw", "{rev}", "**"],
        Access::Needs(Right::Read),
        "hub: the same",
        resolve::read,
    ),
    row(
        Method::Get,
        &["hf", "{repo}", "resolve", "{rev}", "**"],
        Access::Needs(Right::Read),
        "hub: the same, of a repository of models",
        resolve::read,
    ),
    row(
        Method::Get,
        &["hf", "{repo}", "raw", "{rev}", "**"],
        Access::Needs(Right::Read),
        "hub: the same, of a repository of models",
        resolve::read,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}"],
        Access::Needs(Right::Read),
        "hub: lists repositories, page by page",
        repositories::list,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}", "revision", "{rev}"],
        Access::Needs(Right::Read),
        "hub: tells of a repository in a revision",
        repositories::show,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}", "tree", "{rev}"],
        Access::Needs(Right::Read),
        "hub: lists the files of a repository",
        trees::tree,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}", "tree", "{rev}", "**"],
        Access::Needs(Right::Read),
        "hub: lists the files in a folder of it",
        trees::tree,
    ),
    row(
        Method::Post,
        &["hf", "api", "{kind}", "{repo}", "paths-info", "{rev}"],
        Access::Needs(Right::Read),
        "hub: tells of single files",
        trees::paths_info,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}", "refs"],
        Access::Needs(Right::Read),
        "hub: lists branches and tags",
        commits::refs,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}", "commits", "{rev}"],
        Access::Needs(Right::Read),
        "hub: lists commits, newest first",
        commits::list,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}", "auth-check"],
        Access::Needs(Right::Read),
        "hub: says whether the caller may read a repository",
        repositories::check_right,
    ),
    row(
        Method::Get,
        &["hf", "api", "{kind}", "{repo}"],
        Access::Needs(Right::Read),
        "hub: tells of a repository",
        repositories::show,
    ),
    row(
        Method::Post,
        &["hf", "api", "{kind}", "{repo}", "preupload", "{rev}"],
        Access::Needs(Right::Write),
        "hub: tells how each file of a commit is to be sent",
        hub_commit::preupload,
    )
    .asked(&["create_pr"]),
    row(
        Method::Post,
        &["hf", "api", "{kind}", "{repo}", "commit", "{rev}"],
        Access::Needs(Right::Write),
        "hub: makes all changes of a commit in one step",
        hub_commit::commit,
    )
    .asked(&["create_pr"]),
    row(
        Method::Post,
        &["hf", "{kind}", "{repo}", "info", "lfs", "objects", "batch"],
        Access::Needs(Right::Write),
        "hub: tells where objects of Git LFS go",
        lfs::batch,
    ),
    row(
        Method::Put,
        &[
            "hf", "{kind}", "{repo}", "info", "lfs", "objects", "{oid}", "{size}",
        ],
        Access::Linked,
        "hub: takes an object of Git LFS by its link: ?ticket=TICKET",
        lfs::put,
    )
    .asked(&["ticket"]),
    row(
        Method::Post,
        &["hf", "{kind}", "{repo}", "info", "lfs", "verify"],
        Access::Needs(Right::Write),
        "hub: says whether an object has arrived",
        lfs::verify,
    ),
    row(
        Method::Post,
        &["hf", "{repo}", "info", "lfs", "objects", "batch"],
        Access::Needs(Right::Write),
        "hub: tells where objects of Git LFS go, for a repository of models",
        lfs::batch,
    ),
    row(
        Method::Put,
        &["hf", "{repo}", "info", "lfs", "objects", "{oid}", "{size}"],
        Access::Linked,
        "hub: takes an object of Git LFS by its link: ?ticket=TICKET, for a repository of models",
        lfs::put,
    )
    .asked(&["ticket"]),
    row(
        Method::Post,
        &["hf", "{repo}", "info", "lfs", "verify"],
        Access::Needs(Right::Write),
        "hub: says whether an object has arrived, for a repository of models",
        lfs::verify,
    ),
    row(
        Method::Post,
        &["hf", "api", "{kind}", "{repo}", "branch", "{rev}"],
        Access::Needs(Right::Write),
        "hub: makes a branch",
        references::make_branch,
    ),
    row(
        Method::Delete,
        &["hf", "api", "{kind}", "{repo}", "branch", "{rev}"],
        Access::Needs(Right::Write),
        "hub: removes a branch",
        references::remove_branch,
    ),
    row(
        Method::Post,
        &["hf", "api", "{kind}", "{repo}", "tag", "{rev}"],
        Access::Needs(Right::Write),
        "hub: gives a revision a name",
        references::make_tag,
    ),
    row(
        Method::Delete,
        &["hf", "api", "{kind}", "{repo}", "tag", "{rev}"],
        Access::Needs(Right::Write),
        "hub: removes a tag",
        references::remove_tag,
    ),
    row(
        Method::Put,
        &["hf", "api", "{kind}", "{repo}", "settings"],
        Access::Needs(Right::Write),
        "hub: takes settings of a repository, of which nothing is kept",
        managing::settings,
    ),
    row(
        Method::Post,
        &["hf", "api", "repos", "create"],
        Access::Needs(Right::Write),
        "hub: makes a repository",
        managing::create,
    ),
    row(
        Method::Post,
        &["hf", "api", "repos", "move"],
        Access::Needs(Right::Write),
        "hub: gives a repository another name",
        managing::rename,
    ),
    row(
        Method::Delete,
        &["hf", "api", "repos", "delete"],
        Access::Needs(Right::Write),
        "hub: removes a repository",
        managing::delete,
    ),
    row(
        Method::Get,
        &["hf", "api", "whoami-v2"],
        Access::Needs(Right::Read),
        "hub: tells who the caller is",
        accounts::who,
    ),
    row(
        Method::Get,
        &["hf", "api", "agent-harnesses"],
        Access::Open,
        "hub: what clients ask for in each process",
        accounts::harnesses,
    ),
    row(
        Method::Post,
        &["hf", "api", "validate-yaml"],
        Access::Open,
        "hub: what clients ask for before they send a README.md",
        accounts::validate,
    ),
];
