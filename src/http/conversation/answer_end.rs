// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is kept of an answer until it is sent, and the line that is logged of it then.

use std::io;
use std::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::http::answer_head::Asked;
use crate::http::head::Head;
use crate::http::response::{Response, Status, WhenSent};
use crate::text::shortened;
use crate::transport::Peer;

/// What has to be known of an answer once it is sent.
pub(super) struct AnswerEnd {
    pub(super) asked: Asked,
    pub(super) persists: bool,
    pub(super) is_endless: bool,
    pub(super) drain_bytes: Option<u64>,
    pub(super) status: Status,
    pub(super) when_sent: Option<WhenSent>,
}

/// One line for each request; never the query, which may hold secrets.
pub(super) fn log_answer(
    peer: &Peer,
    head: &Head,
    status: Status,
    sent: &io::Result<u64>,
    started: Instant,
) {
    if !log::log_enabled!(log::Level::Info) {
        return;
    }

    // The path comes from the caller, but a target is visible ASCII only and cannot forge a line of
    // the log.
    let path = head.target.split('?').next().unwrap_or_default();
    let path = shortened(path, LOGGED_CHARACTERS);
    let milliseconds = started.elapsed().as_millis();
    let (method, status) = (head.method.as_str(), status.0);

    match sent {
        Ok(bytes) => log::info!("{peer} {method} {path} {status} {bytes} {milliseconds}ms"),
        Err(error) => {
            log::info!("{peer} {method} {path} {status} cut {milliseconds}ms: {error}");
        }
    }
}

/// Of a path in the log.
const LOGGED_CHARACTERS: usize = 256;

/// For a request that finds no place among those that run.
pub(super) fn too_many() -> Response {
    let text = "as many requests as this server takes at one time are running";
    let error = Error::new(ErrorKind::Busy, text).hint("try again in a moment");
    Response::error(&error).field("retry-after", "1")
}
