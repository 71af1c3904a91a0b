// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file on its way in: found in either shape of reply, and decoded as it comes.

use std::io::{self, Read};

use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ValueType};

use crate::client::answer;
use crate::error::{Error, ErrorKind, Result};

/// Reads the answer to a load, of either generation, passes the content on, and returns its length.
pub(super) fn reply(source: impl Read, sink: Sink<'_>) -> Result<u64> {
    let mut json = JsonStreamReader::new(source);
    let mut found = Found::default();
    found.object(&mut json, sink)?;
    json.consume_trailing_whitespace().map_err(unreadable)?;
    match found {
        Found { length: Some(length), .. } => Ok(length),
        Found { error: Some(text), .. } => Err(answer::dearning(200, &text)),
        _ => Err(Error::new(ErrorKind::NotFound, "the server sent no content")),
    }
}

/// Where the content goes.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

#[derive(Default)]
struct Found {
    length: Option<u64>,
    error: Option<String>,
}

impl Found {
    /// Reads an object that has the content, or a list `files` of such objects.
    fn object<R: Read>(&mut self, json: &mut JsonStreamReader<R>, sink: Sink<'_>) -> Result<()> {
        json.begin_object().map_err(unreadable)?;
        while json.has_next().map_err(unreadable)? {
            let name = json.next_name_owned().map_err(unreadable)?;
            match (name.as_str(), json.peek().map_err(unreadable)?) {
                ("content_b64", ValueType::String) if self.length.is_none() => {
                    self.length = Some(content(json, sink)?);
                }
                ("error", ValueType::String) => self.error = Some(error_text(json)?),
                ("files", ValueType::Array) => {
                    json.begin_array().map_err(unreadable)?;
                    while json.has_next().map_err(unreadable)? {
                        match json.peek().map_err(unreadable)? {
                            ValueType::Object => self.object(json, sink)?,
                            _ => json.skip_value().map_err(unreadable)?,
                        }
                    }
                    json.end_array().map_err(unreadable)?;
                }
                _ => json.skip_value().map_err(unreadable)?,
            }
        }
        json.end_object().map_err(unreadable)
    }
}

/// Decodes a string of base64 as it comes.
fn content<R: Read>(json: &mut JsonStreamReader<R>, sink: Sink<'_>) -> Result<u64> {
    let text = json.next_string_reader().map_err(unreadable)?;
    let mut bytes = DecoderReader::new(io::BufReader::with_capacity(BUFFER_BYTES, text), &STANDARD);
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut filled, mut length) = (0, 0);
    loop {
        let count = bytes.read(&mut buffer[filled..]).map_err(cut)?;
        filled += count;
        // The decoder yields small pieces; whole buffers go on.
        if filled == buffer.len() || (count == 0 && filled > 0) {
            sink(&buffer[..filled])?;
            length += filled as u64;
            filled = 0;
        }
        if count == 0 {
            break;
        }
    }
    io::copy(&mut bytes.into_inner(), &mut io::sink()).map_err(cut)?;
    Ok(length)
}

fn error_text<R: Read>(json: &mut JsonStreamReader<R>) -> Result<String> {
    let mut text = json.next_string_reader().map_err(unreadable)?;
    let mut bytes = Vec::new();
    (&mut text).take(ERROR_BYTES_MAX).read_to_end(&mut bytes).map_err(cut)?;
    io::copy(&mut text, &mut io::sink()).map_err(cut)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(error: ReaderError) -> Error {
    match error {
        ReaderError::IoError { error, .. } => cut(error),
        other => Error::new(ErrorKind::NotImplemented, "the answer is not one of the dearning API")
            .because(other.to_string()),
    }
}

/// An error while reading a string: the connection's, or what is wrong with the text.
fn cut(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            Error::new(ErrorKind::Integrity, "what the server sent is not base64").because(error)
        }
        _ => answer::failed(error),
    }
}

const BUFFER_BYTES: usize = 32 * 1024;

const ERROR_BYTES_MAX: u64 = 1000;
