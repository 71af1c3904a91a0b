// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file on its way in: found in either shape of reply, and decoded as it comes.

use std::cell::Cell;
use std::io::{self, Read};

use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use struson::reader::{
    JsonReader, JsonStreamReader, JsonSyntaxError, ReaderError, SyntaxErrorKind, ValueType,
};

use crate::client::api::answers;
use crate::error::{Error, ErrorKind, Result};

/// Reads the answer to a load, of either generation, passes the content on, and returns its length.
pub(crate) fn reply(source: impl Read, sink: ReplySink<'_>) -> Result<u64> {
    let (trouble, allowance) = (Cell::new(None), Cell::new(REST_BYTES_MAX));
    // The reader's own limit on nesting (128) bounds the recursion of `object`.
    let mut json = JsonStreamReader::new(WatchedReply {
        source,
        trouble: &trouble,
        allowance: &allowance,
    });

    let mut found = ReplyMembers {
        length: None,
        error: None,
        allowance: &allowance,
    };
    let read = found.object(&mut json, sink);
    // Text behind the object means that this was not the API. An error of the connection explains the
    // error of the JSON that it led to, so it takes precedence.
    let read = read.and_then(|()| json.consume_trailing_whitespace().map_err(unreadable));
    read.map_err(|error| trouble.take().unwrap_or(error))?;

    // A list of files may report errors beside the content, and the content is what was asked for.
    match found {
        ReplyMembers {
            length: Some(length),
            ..
        } => Ok(length),
        ReplyMembers {
            error: Some(text), ..
        } => Err(answers::dearning(200, &text)),
        _ => Err(Error::new(
            ErrorKind::NotFound,
            "the server sent no content",
        )),
    }
}

/// A source whose first error is kept, since the reader of JSON passes on its text alone.
struct WatchedReply<'a, R> {
    source: R,
    trouble: &'a Cell<Option<Error>>,
    /// How many bytes may come that are no content, such as a name without an end.
    allowance: &'a Cell<u64>,
}

impl<R: Read> Read for WatchedReply<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self
            .source
            .read(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::Interrupted => error,
                kind => {
                    self.trouble.set(Some(crate::client::api::failed(error)));
                    kind.into()
                }
            })?;

        let Some(left) = self.allowance.get().checked_sub(count as u64) else {
            let text = "the answer has too much beside the content";
            self.trouble
                .set(Some(Error::new(ErrorKind::NotImplemented, text)));
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.allowance.set(left);

        Ok(count)
    }
}

/// Where the content goes.
pub(crate) type ReplySink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

struct ReplyMembers<'a> {
    length: Option<u64>,
    error: Option<String>,
    allowance: &'a Cell<u64>,
}

impl ReplyMembers<'_> {
    /// Reads an object that has the content, or a list `files` of such objects.
    fn object<R: Read>(
        &mut self,
        json: &mut JsonStreamReader<R>,
        sink: ReplySink<'_>,
    ) -> Result<()> {
        json.begin_object().map_err(unreadable)?;
        while json.has_next().map_err(unreadable)? {
            let name = json.next_name_owned().map_err(unreadable)?;
            match (name.as_str(), json.peek().map_err(unreadable)?) {
                // Only the first content counts: the sink would write a second one behind it.
                ("content_b64", ValueType::String) if self.length.is_none() => {
                    self.length = Some(content(json, sink, self.allowance)?);
                }
                ("error", ValueType::String) => self.error = Some(error_text(json)?),
                // The form of 1.2.3.post3 and later is a list, also for one name.
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
fn content<R: Read>(
    json: &mut JsonStreamReader<R>,
    sink: ReplySink<'_>,
    allowance: &Cell<u64>,
) -> Result<u64> {
    let text = json.next_string_reader().map_err(unreadable)?;
    let mut bytes = DecoderReader::new(io::BufReader::with_capacity(BUFFER_BYTES, text), &STANDARD);
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut filled, mut length) = (0, 0);

    loop {
        let count = bytes.read(&mut buffer[filled..]).map_err(cut)?;
        filled += count;
        allowance.set(allowance.get() + count as u64 * TEXT_BYTES_PER_BYTE);
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

    // The reader of JSON goes on only after the whole string has been read.
    io::copy(&mut bytes.into_inner(), &mut io::sink()).map_err(cut)?;

    Ok(length)
}

fn error_text<R: Read>(json: &mut JsonStreamReader<R>) -> Result<String> {
    let mut text = json.next_string_reader().map_err(unreadable)?;
    let mut bytes = Vec::new();
    (&mut text)
        .take(ERROR_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(cut)?;
    io::copy(&mut text, &mut io::sink()).map_err(cut)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(error: ReaderError) -> Error {
    match error {
        ReaderError::IoError { error, .. } => cut(error),
        ReaderError::SyntaxError(error) => malformed(&error),
        other => not_dearning(&other),
    }
}

/// An error in the JSON: what breaks off was cut on its way, since its end is part of its form.
fn malformed(error: &JsonSyntaxError) -> Error {
    match error.kind {
        SyntaxErrorKind::IncompleteDocument => {
            crate::client::api::ended().because(error.to_string())
        }
        _ => not_dearning(error),
    }
}

fn not_dearning(cause: &dyn std::error::Error) -> Error {
    Error::new(
        ErrorKind::NotImplemented,
        "the answer is not one of the dearning API",
    )
    .because(cause.to_string())
}

/// What is wrong with the text, or with the base64 in it; errors of the connection are watched for.
fn cut(error: io::Error) -> Error {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return malformed(error);
    }
    match error.kind() {
        io::ErrorKind::InvalidData => {
            Error::new(ErrorKind::Integrity, "what the server sent is not base64").because(error)
        }
        _ => not_dearning(&error),
    }
}

const BUFFER_BYTES: usize = 32 * 1024;

const ERROR_BYTES_MAX: u64 = 1000;

/// What a reply may have beside its content: a list of errors for many names.
const REST_BYTES_MAX: u64 = 1 << 20;

/// Four letters stand for three bytes, and each of them may be written as `\u0041`.
const TEXT_BYTES_PER_BYTE: u64 = 8;
