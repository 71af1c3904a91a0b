// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The head of an answer: status line and fields, as the request and the connection want them.

use std::fmt::Write as _;

use super::head::{Head, Method, Version};
use super::response::Response;
use crate::clock;

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    Open,
    Close,
}

/// What of a request matters to the form of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(super) version: Version,
    pub(super) is_head: bool,
}

impl Asked {
    pub(crate) fn of(head: &Head) -> Self {
        Self {
            version: head.version,
            is_head: head.method == Method::Head,
        }
    }

    /// Of a request whose head cannot be read.
    pub(crate) fn unread(bytes: &[u8]) -> Self {
        Self {
            version: Version::Http11,
            is_head: bytes.starts_with(b"HEAD "),
        }
    }

    /// Whether nothing but the end of the connection ends this answer: HTTP/1.0 has no chunks.
    pub(crate) fn ends_with_connection(self, response: &Response) -> bool {
        self.version == Version::Http10
            && response.content.length().is_none()
            && !response.status.is_bodiless()
    }
}

/// Status line and fields, up to the empty line.
pub(super) fn status_and_fields(
    response: &Response,
    version: Version,
    persistence: Persistence,
) -> String {
    let mut text = String::with_capacity(256);
    let status = response.status;

    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "HTTP/1.1 {} {}\r\nserver: skep\r\n",
        status.0,
        response.reason()
    );

    if let Some(date) = date() {
        let _ = write!(text, "date: {date}\r\n");
    }

    // A model may look like HTML: no browser may guess the type and run scripts in it.
    text.push_str("x-content-type-options: nosniff\r\n");

    // A handler cannot set fields that delimit the message, or it could make readers see another
    // end.
    for (name, value) in &response.fields {
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            continue;
        }
        let _ = write!(text, "{name}: {value}\r\n");
    }

    // Statuses without content have neither field (RFC 9110 section 8.6, RFC 9112 section 6.1).
    match response.content.length() {
        _ if status.is_bodiless() => {}
        Some(length) => {
            let _ = write!(text, "content-length: {length}\r\n");
        }
        None if version == Version::Http11 => text.push_str("transfer-encoding: chunked\r\n"),
        None => {}
    }

    // The defaults differ: HTTP/1.1 connections persist, HTTP/1.0 ones close.
    match (persistence, version) {
        (Persistence::Close, _) => text.push_str("connection: close\r\n"),
        (Persistence::Open, Version::Http10) => text.push_str("connection: keep-alive\r\n"),
        (Persistence::Open, Version::Http11) => {}
    }

    text.push_str("\r\n");

    text
}

/// The date, unless the clock was never set: a server without a clock must not send one (RFC 9110
/// section 6.6.1).
fn date() -> Option<String> {
    clock::is_trusted().then(|| httpdate::fmt_http_date(clock::now()))
}

/// The fields that only the server may set, since they say where an answer ends.
const OURS: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
