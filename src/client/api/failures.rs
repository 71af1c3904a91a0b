// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What failed connections and failed writes mean for callers.

use std::{fmt, io};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::model::ModelName;

/// Our error for one of a body's reader.
pub(crate) fn failed(error: io::Error) -> Error {
    let error = match error.downcast::<ureq::Error>() {
        Ok(inner) => return trouble(inner),
        Err(error) => error,
    };
    let eof = error.kind() == io::ErrorKind::UnexpectedEof;
    let error = Error::from(error);
    if eof { ended().because(error) } else { error }
}

/// Our error for one of whatever takes a model's bytes.
pub(crate) fn unwritten(name: impl fmt::Display, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(error) => Error::io(format!("writing {name}"), error),
    }
}

/// The server has other bytes than those that were asked for.
pub(crate) fn other_bytes(name: &ModelName, digest: Digest, wanted: Digest) -> Error {
    let text = format!(
        "the server sends '{name}' with the digest {digest:?}, and {wanted:?} was asked for"
    );
    Error::new(ErrorKind::Integrity, text).hint("nothing of it was saved")
}

/// The connection ended before the answer did.
pub(crate) fn ended() -> Error {
    Error::new(ErrorKind::Interrupted, "the server ended the connection")
}

/// Our error for one of ureq; what was put in by the connection comes out unchanged.
pub(crate) fn trouble(error: ureq::Error) -> Error {
    match error {
        ureq::Error::Io(error) => failed(error),
        // A TLS port answers plain HTTP with an alert, which is not HTTP.
        ureq::Error::Protocol(error) => Error::new(
            ErrorKind::NotImplemented,
            "the answer breaks the rules of HTTP",
        )
        .because(error)
        .hint("is this a TLS port? then use https:// in --server"),
        ureq::Error::LargeResponseHeader(..) => Error::new(
            ErrorKind::FieldsTooLarge,
            "the head of the answer is too large",
        ),
        ureq::Error::BodyStalled => {
            Error::new(ErrorKind::Interrupted, "the body of the answer broke off")
        }
        other => Error::new(
            ErrorKind::Internal,
            "the request failed before it was answered",
        )
        .because(other)
        .hint("is --server (SKEP_SERVER) the address of a skep server?"),
    }
}
