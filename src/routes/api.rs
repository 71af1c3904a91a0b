// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The HTTP interface of a store: what every route can use, and what a route is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::access::{CallerKey, Guard, Password, Principal, Right};
use crate::channels::Publisher;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Method, Request, Response};
use crate::limits::LiveLimits;
use crate::model::ModelName;
use crate::routes::allowance::{DayQuota, RequestRate};
use crate::routes::hub::Mirror;
use crate::routes::origin::cross_origin;
use crate::routes::origin::host_name::HostNames;
use crate::routes::request_id::Ids;
use crate::store::Store;
use crate::text::quotable;

/// The HTTP interface of a store.
pub(crate) struct Api {
    pub(crate) routes: RouteTable,
    pub(crate) store: Store,
    pub(crate) guard: Guard,
    pub(crate) host_names: HostNames,
    pub(crate) events: ApiEvents,
    pub(crate) ids: Ids,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) import_bytes_before_password: u64,
    pub(crate) pairing: Pairing,
    pub(crate) rate: RequestRate,
    pub(crate) quota: Arc<DayQuota>,
    /// Another hub, of which repositories come that are not here.
    pub(crate) mirror: Option<Mirror>,
}

/// The routes of a server, in the order in which they are looked through.
#[derive(Clone, Copy)]
pub(crate) struct RouteTable(pub(crate) &'static [&'static [Route]]);

impl RouteTable {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static Route> {
        self.0.iter().copied().flatten()
    }
}

impl Api {
    /// The NAME in `/v1/models/NAME`, `/v1/info/NAME` and so on.
    ///
    /// # Errors
    /// `BadRequest` for what no model may be called.
    pub(crate) fn model_name(&self, request: &Request<'_>) -> Result<ModelName> {
        Ok(self.store.spelled(&name_in_path(request)?))
    }

    /// The same, if a folder is meant: there is a slash at the end of the path, or a folder and no model has
    /// the name.
    ///
    /// # Errors
    /// As [`Api::model_name`].
    pub(crate) fn folder_name(&self, request: &Request<'_>) -> Result<Option<ModelName>> {
        let name = self.model_name(request)?;
        let has_slash = request.segments().last() == Some(&"");
        let is_folder =
            has_slash || (self.store.find(&name).is_err() && self.store.is_folder(&name));
        Ok(is_folder.then_some(name))
    }
}

/// The ends of the channels that routes publish on; by default nobody listens.
#[derive(Default)]
pub(crate) struct ApiEvents {
    pub(crate) requests: Publisher,
    pub(crate) access: Publisher,
}

/// One route. Its path is given by segments, in which `*` stands for any one, and `**` at the end for the
/// name of a model, which is one or several. In paths of the hub, `{kind}` is a kind of repositories, `{repo}` the
/// name of one, which is one segment or two, `{rev}` a revision, and `{oid}` and `{size}` an object of Git LFS.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static [&'static str],
    pub(crate) access: Access,
    /// The members that a query may have, where the route changes something; what only reads may be asked with
    /// others, as links have them.
    pub(crate) asked: &'static [&'static str],
    /// What it does, in one line.
    pub(crate) help: &'static str,
    pub(crate) action: fn(&Api, &mut Request<'_>) -> Result<Response>,
}

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Whoever has this right.
    Needs(Right),
    /// Whoever has the link, with a ticket in its query that is for this very path and of somebody who may write.
    Linked,
    /// The same, for the ticket as a bearer token, which is for the first three segments of the path.
    Session,
    /// The route looks for the password in the body, and for the right itself.
    InBody,
}

impl Api {
    /// The error of a method that a path does not take, for whoever forgot the name behind it or has another
    /// of its methods in mind.
    pub(crate) fn no_such_method(&self, request: &Request<'_>, allow: &str) -> Error {
        let method = request.method();
        let path = request.segments().iter().copied();
        let below: Vec<_> = path
            .filter(|part| !part.is_empty())
            .chain(["NAME"])
            .collect();
        let is_meant = |route: &&Route| route.method == method && route.matches(&below);

        let text = format!("the method {} is not allowed at this path", method.as_str());
        let error = Error::new(ErrorKind::MethodNotAllowed, text);
        match self.routes.iter().find(is_meant) {
            Some(route) => error.hint(format!("{} {}", method.as_str(), route.shown())),
            None => error.hint(format!("this path takes {allow}")),
        }
    }
}

/// A row of the table of routes.
pub(crate) const fn row(
    method: Method,
    path: &'static [&'static str],
    access: Access,
    help: &'static str,
    action: fn(&Api, &mut Request<'_>) -> Result<Response>,
) -> Route {
    Route {
        method,
        path,
        access,
        asked: &[],
        help,
        action,
    }
}

impl Route {
    /// The same, for queries with these members.
    pub(crate) const fn asked(mut self, asked: &'static [&'static str]) -> Self {
        self.asked = asked;
        self
    }

    /// The path as one writes it, for example `/v1/models/NAME`.
    pub(crate) fn shown(&self) -> String {
        let words = self.path.iter().map(|part| match *part {
            "**" => "NAME",
            "{kind}" => "KIND",
            "{repo}" if self.path.contains(&"lfs") => "REPO.git",
            "{repo}" => "REPO",
            "{rev}" => "REV",
            "{oid}" => "OID",
            "{size}" => "SIZE",
            "*" if self.path.contains(&"sha256") => "HEX",
            "*" => "ID",
            other => other,
        });
        format!("/{}", words.collect::<Vec<_>>().join("/"))
    }

    /// Refuses a change that is asked for with words that say nothing here: whoever wrote them means another one.
    ///
    /// # Errors
    /// `BadRequest`.
    pub(crate) fn check_query(&self, query: Option<&str>) -> Result<()> {
        if cross_origin::is_safe(self.method) || self.access == Access::InBody {
            return Ok(());
        }

        let members = query.unwrap_or_default().split('&');
        let mut keys = members.map(|member| member.split('=').next().unwrap_or_default());
        let is_unknown = |key: &&str| !key.is_empty() && !self.asked.contains(key);
        let Some(key) = keys.find(is_unknown) else {
            return Ok(());
        };
        let text = format!(
            "the query member '{}' is not known here, and nothing is changed",
            quotable(key)
        );
        let hint = match self.asked {
            [] => "send this request without a query".to_owned(),
            asked => format!("known here: {}", asked.join(", ")),
        };
        Err(Error::new(ErrorKind::BadRequest, text).hint(hint))
    }

    pub(crate) fn matches(&self, segments: &[&str]) -> bool {
        self.repo_segments(segments).is_some()
    }

    /// How many segments the name of a repository has in a path that fits this route, 0 if it has none; `None` if
    /// the path does not fit.
    pub(crate) fn repo_segments(&self, segments: &[&str]) -> Option<usize> {
        repo_segments(self.path, without_end(segments))
    }
}

fn repo_segments(path: &[&str], segments: &[&str]) -> Option<usize> {
    match (path, segments) {
        ([], []) => Some(0),
        (["**"], [_, ..]) => Some(0),
        (["{repo}", path @ ..], _) => (1..=2).find(|length| {
            let rest = segments.get(*length..);
            rest.is_some_and(|rest| repo_segments(path, rest).is_some())
        }),
        ([part, path @ ..], [segment, segments @ ..]) => {
            let fits = match *part {
                "*" | "{rev}" | "{oid}" | "{size}" => true,
                "{kind}" => matches!(*segment, "models" | "datasets" | "spaces"),
                part => part == *segment,
            };
            fits.then(|| repo_segments(path, segments))?
        }
        _ => None,
    }
}

/// The same as the path has it.
///
/// # Errors
/// `BadRequest` for what no model may be called.
pub(crate) fn name_in_path(request: &Request<'_>) -> Result<ModelName> {
    let segments = without_end(request.segments());
    ModelName::from_segments(segments.get(MODEL.len() - 1..).unwrap_or_default())
}

/// The one member that a query may have.
///
/// # Errors
/// `BadRequest` for another one, and for more than one.
pub(crate) fn member(query: Option<&str>, known: &str) -> Result<Option<String>> {
    let mut members = query.unwrap_or_default().split('&');
    let mut members = members.by_ref().filter(|member| !member.is_empty());
    let Some(first) = members.next() else {
        return Ok(None);
    };

    match (first.split_once('='), members.next()) {
        (Some((key, value)), None) if key == known => {
            let decoded = percent_decode_str(value).decode_utf8();
            let decoded = decoded.map_err(|_| {
                let text = format!("the value of {known} is not UTF-8");
                Error::new(ErrorKind::BadRequest, text)
            });
            decoded.map(|value| Some(value.into_owned()))
        }
        _ => {
            let text = format!("the query has {known}=VALUE here, once, and nothing else");
            Err(Error::new(ErrorKind::BadRequest, text))
        }
    }
}

/// No name is empty, so a slash at the end of a path says nothing.
fn without_end<'a, 'b>(segments: &'a [&'b str]) -> &'a [&'b str] {
    match segments {
        [path @ .., ""] if !path.is_empty() => path,
        path => path,
    }
}

/// What pairing needs from other rooms.
pub(crate) struct Pairing {
    /// Where invitations and tokens are kept.
    pub(crate) home: PathBuf,
    /// Keeps a token of a name, a role and a public key; without a key, it makes the token and returns it.
    /// `Conflict` if there is one of that name.
    pub(crate) issue: Issue,
}

/// Keeps a token, or makes it.
pub(crate) type Issue = fn(&Path, &str, &str, Option<CallerKey>) -> Result<Option<Password>>;

/// Who sent the request that is being worked on, kept in the session of its connection.
pub(crate) struct Known(pub(crate) Option<Principal>);

pub(crate) const STATUS: &[&str] = &["v1", "status"];

/// The path of the bytes of a model.
pub(crate) const MODEL: &[&str] = &["v1", "models", "**"];
