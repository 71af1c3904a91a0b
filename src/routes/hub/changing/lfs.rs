// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads by Git LFS (`basic` transfers of its batch API): bytes come before the commit that names them, each to a
//! link of its own.
//!
//! Clients follow the link without their credentials, so it carries a ticket, which is for one object of one repository
//! and ends soon.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{Principal, Right};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, RepoName};
use crate::routes::hub::hub_wires::read_json;
use crate::routes::models::{copy, principal, principal_line};
use crate::store::ObjectRequest;
use crate::text::counted;

#[derive(Deserialize)]
struct BatchWire {
    operation: String,
    #[serde(default)]
    hash_algo: Option<String>,
    objects: Vec<ObjectWire>,
}

#[derive(Deserialize)]
struct ObjectWire {
    oid: String,
    size: u64,
}

#[derive(Serialize)]
struct BatchedWire {
    oid: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<ActionsWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ObjectErrorWire>,
}

#[derive(Serialize)]
struct ActionsWire {
    upload: LinkWire,
    verify: LinkWire,
}

#[derive(Serialize)]
struct LinkWire {
    href: String,
}

#[derive(Serialize)]
struct ObjectErrorWire {
    code: u16,
    message: String,
}

/// `POST /hf/REPO.git/info/lfs/objects/batch`: where each object goes. One that is here needs no upload.
pub(crate) fn batch(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let path = HubPath::of(api, request)?;
    let asked: BatchWire = read_json(request)?;
    if asked.operation != "upload" {
        let text = "only uploads go by Git LFS here";
        return Err(
            Error::new(ErrorKind::BadRequest, text).hint("files are read at their resolve links")
        );
    }
    // Clients write it in two ways.
    let is_sha256 = |name: &String| matches!(name.as_str(), "sha256" | "sha_256");
    if !asked.hash_algo.as_ref().is_none_or(is_sha256) {
        let text = "objects are known by their SHA-256 here";
        return Err(Error::new(ErrorKind::BadRequest, text));
    }

    let sender = Sender::of(request).ok_or_else(|| {
        let text = "an upload by Git LFS needs a password or a token";
        Error::new(ErrorKind::Unauthenticated, text)
    })?;
    let bytes = asked.objects.iter().map(|object| object.size);
    let bytes = bytes.fold(0, u64::saturating_add);
    let life = TICKET_LIFE.saturating_add(Duration::from_secs(bytes / SLOWEST_BYTES));

    let base = api.base_url(request);
    let mut objects = Vec::new();
    for object in asked.objects {
        let actions = actions(api, &path.repo, &sender, &object, (&base, life));
        let (actions, error) = match actions {
            Ok(actions) => (actions, None),
            Err(error) => (None, Some(told(&error))),
        };
        objects.push(BatchedWire {
            oid: object.oid,
            size: object.size,
            actions,
            error,
        });
    }

    let told = json!({"transfer": "basic", "hash_algo": "sha256", "objects": objects});
    let response = Response::json(Status::OK, &told).field("content-type", LFS_JSON);
    Ok(response.field("cache-control", "no-store"))
}

/// Who sends objects.
struct Sender {
    principal: Principal,
    line: String,
}

impl Sender {
    fn of(request: &mut Request<'_>) -> Option<Self> {
        Some(Self {
            principal: principal(request)?,
            line: principal_line(request)?,
        })
    }
}

/// The links for one object; `None` if it is here.
fn actions(
    api: &Api,
    repo: &RepoName,
    sender: &Sender,
    object: &ObjectWire,
    (base, life): (&str, Duration),
) -> Result<Option<ActionsWire>> {
    let digest: Digest = object.oid.parse()?;
    check_size(api, object.size)?;
    match known_size(api, digest, sender)? {
        Some(size) if size == object.size => return Ok(None),
        Some(size) => {
            let text = format!("the object sha256:{digest} has {}", counted(size, "byte"));
            return Err(Error::new(ErrorKind::BadRequest, text));
        }
        None => {}
    }
    api.store
        .check_object(object.size, Some(sender.line.as_str()))?;

    let lfs = format!("/hf/{}.git/info/lfs", repo.folder.url_path());
    let place = format!("{lfs}/objects/{digest}/{}", object.size);
    let ticket = api.guard.ticket(&place, &sender.principal, life);
    let ticket = ticket.ok_or_else(|| {
        let text = "an upload by Git LFS needs a password or a token";
        Error::new(ErrorKind::Unauthenticated, text)
    })?;
    Ok(Some(ActionsWire {
        upload: LinkWire {
            href: format!("{base}{place}?ticket={ticket}"),
        },
        verify: LinkWire {
            href: format!("{base}{lfs}/verify"),
        },
    }))
}

/// `PUT /hf/REPO.git/info/lfs/objects/OID/SIZE?ticket=TICKET`: the bytes of an object.
pub(crate) fn put(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let (digest, size) = object_in_path(request)?;
    check_size(api, size)?;
    request.body().limit(size)?;

    let mut upload = api.store.begin_object(ObjectRequest {
        size,
        digest: Some(digest),
        sender: principal_line(request),
    })?;
    copy(request.body(), &mut upload, |_| Ok(()))?;
    upload.keep()?;
    Ok(Response::new(Status::OK))
}

/// `POST /hf/REPO.git/info/lfs/verify`: whether an object has arrived.
pub(crate) fn verify(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let object: ObjectWire = read_json(request)?;
    let digest: Digest = object.oid.parse()?;
    let sender = Sender::of(request);
    let known = sender.map(|sender| known_size(api, digest, &sender));
    if known.transpose()?.flatten() == Some(object.size) {
        return Ok(Response::json(Status::OK, &json!({})));
    }
    let text = format!("the object sha256:{digest} has not arrived");
    Err(Error::new(ErrorKind::NotFound, text).hint("send it again"))
}

/// The size of bytes that this caller may name in a commit: its own objects, and what it may read.
fn known_size(api: &Api, digest: Digest, sender: &Sender) -> Result<Option<u64>> {
    if let Some(size) = api.store.object_size(digest, Some(&sender.line)) {
        return Ok(Some(size));
    }
    if sender.principal.rights.has(Right::Read) {
        return api.store.known_size(digest);
    }
    Ok(None)
}

/// The object in `/hf/REPO.git/info/lfs/objects/OID/SIZE`.
fn object_in_path(request: &Request<'_>) -> Result<(Digest, u64)> {
    let unknown = || Error::new(ErrorKind::NotFound, "this path does not exist");
    let [.., oid, size] = request.segments() else {
        return Err(unknown());
    };
    Ok((oid.parse()?, size.parse().map_err(|_| unknown())?))
}

fn check_size(api: &Api, size: u64) -> Result<()> {
    let max = api.limits.now().upload_bytes_max;
    if size <= max {
        return Ok(());
    }
    let text = format!(
        "{} are more than this server takes in one file, which is {}",
        counted(size, "byte"),
        counted(max, "byte")
    );
    Err(Error::new(ErrorKind::TooLarge, text).hint("raise max-upload-bytes"))
}

/// As an answer about many objects tells it of one.
fn told(error: &Error) -> ObjectErrorWire {
    ObjectErrorWire {
        code: error.kind().status(),
        message: match error.hint_text() {
            Some(hint) => format!("{}; {hint}", error.message()),
            None => error.message().to_owned(),
        },
    }
}

const LFS_JSON: &str = "application/vnd.git-lfs+json";

/// For how long a link is good, besides the time that its bytes take on a slow line.
const TICKET_LIFE: Duration = Duration::from_secs(3600);

/// Bytes a second on such a line, with all objects of the batch one after the other.
const SLOWEST_BYTES: u64 = 256 * 1024;
