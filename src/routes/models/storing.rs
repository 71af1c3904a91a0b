// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storing the content of a body, and the answer to its sender.

use std::fmt::Display;
use std::io::{Read, Write};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Fields, Request, Response, Status};
use crate::model::Model;
use crate::routes::api::Api;
use crate::routes::models::upload_forms::check_first_bytes;
use crate::store::{Published, UploadIntent};
use crate::wire::ModelWire;

/// Stores what a body brings at once, or nothing of it.
pub(crate) fn store_whole(
    api: &Api,
    request: &mut Request<'_>,
    order: &UploadIntent,
) -> Result<Response> {
    let UploadIntent {
        name,
        change,
        length,
        digest,
        condition,
        signature,
        metadata,
        principal: _,
    } = order;

    // Everything is asked before the body is read, so a refusal costs the caller nothing.
    admit(api, order)?;
    let _held = change.map(|id| api.store.hold_change(id)).transpose()?;

    let mut upload = api.store.upload(*length)?;
    upload.set_signature(signature.clone());
    upload.describe(metadata.clone());

    let fields = request.fields();
    let copied = copy(request.body(), &mut upload, |first| {
        check_first_bytes(fields, first)
    })?;

    // A producer that failed sends chunks without content; nobody means that.
    if copied == 0 && length.is_none() {
        let text = "the body is empty, which would make the model empty";
        return Err(Error::new(ErrorKind::BadRequest, text)
            .hint("in HTTP: an empty model is stored with a Content-Length of 0"));
    }

    let published = upload.end(name, digest.as_ref(), condition, *change)?;

    Ok(stored(&published, order))
}

/// Whether an upload would be taken, as far as that can be told before its bytes arrive.
pub(crate) fn admit(api: &Api, order: &UploadIntent) -> Result<()> {
    let (name, length) = (&order.name, order.length);
    if let Some(change) = order.change {
        let metadata = &order.metadata;
        return api.store.check_staged(change, name, length, metadata);
    }

    api.store.admit(name, length, &order.metadata)?;
    api.store.check(name, &order.condition)?;
    api.store.check_signer(name, order.signature.as_ref())
}

/// The answer to the sender of a model.
pub(crate) fn stored(published: &Published, order: &UploadIntent) -> Response {
    let status = if published.replaced {
        Status::OK
    } else {
        Status::CREATED
    };

    let response = Response::json(status, &ModelWire::from(&published.model))
        .field("etag", entity_tag(&published.model, ""));
    let response = if published.kept {
        response
    } else {
        response.field("skep-kept", "?0")
    };

    if published.replaced {
        response
    } else {
        let path = order.name.url_path();
        response.field(
            "location",
            match order.change {
                Some(change) => format!("/v1/changes/{change}/{path}"),
                None => format!("/v1/models/{path}"),
            },
        )
    }
}

/// The SHA-256 in a field of RFC 9530.
pub(crate) fn digest(fields: &Fields, name: &str) -> Result<Option<Digest>> {
    fields.value(name).map_or(Ok(None), Digest::from_field)
}

/// Copies all of a body, in pieces that are worth a system call, and has a look at the first one before
/// anything is written.
///
/// # Errors
/// Those of the connection, of the target and of the look.
pub(crate) fn copy(
    source: &mut dyn Read,
    target: &mut dyn Write,
    check: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<u64> {
    let mut check = Some(check);
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;

    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                if let Some(check) = check.take() {
                    check(&buffer[..count])?;
                }
                target.write_all(&buffer[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The strong entity tag made of the digest; where that is not known yet, a weak one made of what
/// changes with the file.
pub(crate) fn entity_tag(model: &Model, stamp: impl Display) -> String {
    match model.digest {
        Some(digest) => digest.etag(),
        None => format!("{WEAK}\"{}\"", stamp.to_string().replace(' ', "-")),
    }
}

/// How a weak entity tag begins.
pub(crate) const WEAK: &str = "W/";

/// Four TLS records.
pub(crate) const COPY_BYTES: usize = 64 * 1024;
