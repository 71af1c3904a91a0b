// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What it means that a connection failed after its handshake.

use std::io;

use crate::client::connection::handshake::refusal;
use crate::error::{Error, ErrorKind};

/// Names an end of the connection in words of ours, so that ureq cannot take it for the end of a
/// body.
pub(crate) fn cut(error: io::Error) -> io::Error {
    if let Some(refusal) = refusal(&error) {
        return refusal.into();
    }

    // A stop says more than the end that it brought about.
    if inner::<Error>(&error).is_some() {
        return error;
    }

    // Whoever is on the way can bring that about, and so can a damaged line.
    if let Some(reason) = inner::<rustls::Error>(&error) {
        let text = match reason {
            rustls::Error::AlertReceived(_) => "the server broke off the TLS connection",
            _ => "what arrived is not what TLS expects, so the connection was given up",
        };
        return Error::new(ErrorKind::Interrupted, text)
            .because(error)
            .hint("try again; if it stays, something between here and the server changes the bytes")
            .into();
    }

    match ErrorKind::from_io(&error) {
        ErrorKind::Interrupted => {
            Error::new(ErrorKind::Interrupted, "the server ended the connection")
                .because(error)
                .into()
        }
        _ => error,
    }
}

/// The error of this type that one of the system carries.
fn inner<T: std::error::Error + 'static>(error: &io::Error) -> Option<&T> {
    error.get_ref()?.downcast_ref()
}
