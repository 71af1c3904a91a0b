// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The client's side of the dearning API, for servers of every version of the Python tool.
//!
//! Files travel as base64 inside of JSON, both ways in a stream and with constant memory. Names in
//! the answers are not looked at.

mod reply;
#[cfg(test)]
mod tests;
mod tidy;
mod wrapped;

pub use tidy::tidy;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use ureq::http::{Method, Response};

use crate::client::Client;
use crate::client::api::{AnswerContent, answers};
use crate::client::download::land;
use crate::client::upload::Outgoing;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::text::counted;
use reply::reply;
use wrapped::Wrapped;

/// What a dearning server says of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Imported {
    /// The length of the file on the server, where it tells.
    pub size: Option<u64>,
}

impl Client {
    /// Sends `length` bytes of `source` to the dearning API (`POST /import_model`); `progress` is
    /// called with each piece's length.
    ///
    /// # Errors
    /// `Unauthenticated` without the right password, `Integrity` if the server stored another
    /// length, and those of `source`, of the connection and of the server.
    pub fn post(
        &mut self,
        name: &ModelName,
        source: &mut dyn Read,
        length: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Imported> {
        // The password comes before the content, so that a server can check it before it takes the file.
        let head = format!(
            r#"{{"password":{},"filename":{},"content_b64":""#,
            self.password_json()?,
            serde_json::json!(name.as_str())
        );
        let mut wrapped = Wrapped::new(head, source, length, progress);
        let total = wrapped.length();
        let response = self.call("/import_model", &mut wrapped, total);
        let mut response = response.map_err(|error| match error.kind() {
            ErrorKind::TooLarge if error.hint_text().is_none() => {
                error.hint("dearning 1.2.4 and later take files up to 7.8 MB")
            }
            _ => error,
        })?;
        let imported: Imported = crate::client::api::json(&mut response)?;

        check_size(imported, name.as_str(), length)
    }

    /// Fetches a file from the dearning API (`POST /load_model`) into `target` and returns its
    /// length.
    ///
    /// # Errors
    /// `NotFound`, `Unauthenticated` without the right password, and those of the connection, of
    /// the server and of `target`.
    pub fn load(
        &mut self,
        name: &ModelName,
        target: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64> {
        let password = self.password_json()?;
        // Servers up to 1.2.3 read the first name, later ones the second.
        let name = serde_json::json!(name.as_str());
        let body = format!(r#"{{"password":{password},"filename":{name},"filenames":[{name}]}}"#);
        let response = self.call("/load_model", &mut body.as_bytes(), body.len() as u64)?;
        let mut sink = |piece: &[u8]| {
            let written = target.write_all(piece);
            written.map_err(|error| crate::client::api::unwritten(&name, error))?;
            progress(piece.len() as u64);
            Ok(())
        };
        reply(AnswerContent::of(response), &mut sink)
    }

    /// Fetches a file from the dearning API and saves it; it appears only when it is whole.
    ///
    /// # Errors
    /// As [`Client::load`]; nothing is left behind then.
    pub fn load_file(
        &mut self,
        name: &ModelName,
        target: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64> {
        land(target, |part| self.load(name, part, progress))
    }

    fn call(&self, path: &str, body: &mut dyn Read, length: u64) -> Result<Response<Body>> {
        let early = Arc::clone(&self.shared.early);
        let ignore = &mut |_| {};
        let mut body = Outgoing::new(body, Some(length), &early, ignore);
        let request = self.builder(Method::POST, path);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.header(CONTENT_LENGTH, length);
        self.send(request, &mut body).and_then(answers::accepted)
    }

    fn password_json(&self) -> Result<serde_json::Value> {
        self.login
            .in_body(&self.url)
            .map(|password| serde_json::json!(password.text()))
    }
}

/// Whether a server has stored what was sent. Some versions state no size, and then there is nothing to
/// compare.
fn check_size(imported: Imported, name: &str, length: u64) -> Result<Imported> {
    match imported.size {
        Some(size) if size != length => {
            let message = format!(
                "the server stored {} of '{name}', not {length}",
                counted(size, "byte")
            );
            Err(Error::new(ErrorKind::Integrity, message))
        }
        _ => Ok(imported),
    }
}
