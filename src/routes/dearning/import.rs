// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Imports: JSON members in any order, the content decoded from base64 straight to disk.
//!
//! Memory stays constant whatever is sent: content is streamed, and everything else together is
//! bounded like any JSON body. A content that comes before its password may occupy the disk only up
//! to a setting, and is removed if the password turns out wrong.

use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use base64::DecodeError;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::read::DecoderReader;
use serde_json::json;
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

use crate::access::{How, Principal, Right};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{BodyPlace, Request, Response, Status};
use crate::limits::Limits;
use crate::model::ModelName;
use crate::routes::api::{Api, Known};
use crate::routes::dearning::metered::{Compact, Meter, Metered};
use crate::routes::dearning::refusals::{invalid_json, invalid_password, opened};
use crate::store::{Condition, Metadata, Upload};
use crate::transport::Peer;

pub(crate) fn run(
    api: &Api,
    request: &mut Request<'_>,
    known: Option<Principal>,
) -> Result<Response> {
    // Who showed nothing yet, or a certificate that does not suffice, may still show a password.
    let has_shown = |known: &Principal| matches!(known.how, How::Password | How::Token);
    let known = known.filter(|known| has_shown(known) || known.rights.has(Right::Write));
    let known = known
        .map(|known| known.needs(Right::Write).map(|()| known))
        .transpose()?;

    let has_password = known.is_some();

    // Base64 makes four bytes of three; line breaks and the other members may add some more.
    let limits = api.limits.now();
    request
        .body()
        .limit(limits.upload_bytes_max.saturating_mul(3) / 2)?;

    let peer = request.peer();

    let guest = if has_password {
        None
    } else {
        Some(api.enter_as_guest()?)
    };

    let meter = Rc::new(Meter::new(api, &limits, has_password));

    let metered = Metered {
        source: request.body(),
        meter: Rc::clone(&meter),
    };

    let settings = ReaderSettings {
        track_path: false,
        ..ReaderSettings::default()
    };

    let mut reader = JsonStreamReader::new_custom(metered, settings);
    let (files, name, content) = (None, None, None);
    let at_hand = Rc::clone(&meter);

    let mut import = Import {
        api,
        peer,
        known,
        limits,
        meter,
        guest,
        files,
        name,
        content,
    };

    let read = import
        .read(&mut reader)
        .and_then(|()| reader.consume_trailing_whitespace().map_err(unreadable));

    read.map_err(|error| at_hand.fault.take().unwrap_or(error))?;
    let known = import.known.take();
    let answered = import.finish();
    request.session().insert(Known(known));

    answered
}

/// An import as far as it has been read.
struct Import<'a> {
    api: &'a Api,
    peer: &'a Peer,
    /// Who sends it, once that is known.
    known: Option<Principal>,
    limits: Arc<Limits>,
    meter: Rc<Meter>,
    /// Held until the password was seen.
    guest: Option<BodyPlace>,
    /// The entries of `files`: a few that wait for the rest to be in order, and stored ones.
    files: Option<Vec<ImportedFile>>,
    name: Option<String>,
    content: Option<ImportPiece>,
}

/// The content of one member.
enum ImportPiece {
    Empty,
    NotBase64,
    Received(Box<Upload>),
}

enum ImportedFile {
    Waiting(ModelName, Box<Upload>),
    Stored(ModelName),
}

impl ImportedFile {
    fn store(&mut self) -> Result<()> {
        let Self::Waiting(name, _) = self else {
            return Ok(());
        };
        let stored = Self::Stored(name.clone());
        match std::mem::replace(self, stored) {
            Self::Waiting(name, upload) => upload.commit(&name, None, &Condition::Any).map(drop),
            Self::Stored(_) => Ok(()),
        }
    }
}

impl Import<'_> {
    fn has_password(&self) -> bool {
        self.guest.is_none()
    }

    fn read<R: Read>(&mut self, reader: &mut JsonStreamReader<R>) -> Result<()> {
        reader.begin_object().map_err(unreadable)?;
        if !reader.has_next().map_err(unreadable)? {
            return Err(invalid_json());
        }

        while reader.has_next().map_err(unreadable)? {
            match reader.next_name_owned().map_err(unreadable)?.as_str() {
                "password" => self.password(reader)?,
                "filename" => self.name = text(reader)?,
                "content_b64" => self.content = self.content(reader)?,
                "files" => self.files(reader)?,
                _ => reader.skip_value().map_err(unreadable)?,
            }
        }

        reader.end_object().map_err(unreadable)
    }

    fn password<R: Read>(&mut self, reader: &mut JsonStreamReader<R>) -> Result<()> {
        let password = match reader.peek().map_err(unreadable)? {
            ValueType::String => reader.next_string().map_err(unreadable)?,
            ValueType::Number => reader.next_number_as_string().map_err(unreadable)?,
            _ => return Err(invalid_password()),
        };
        self.known = Some(opened(self.api, self.peer, &password, Right::Write)?);
        self.guest = None;
        self.meter.before_password.set(None);
        Ok(())
    }

    /// Reads `files`: a list of objects. Entries without name or content, and those whose content is
    /// not base64, are left out without a word, as the genuine server does; the answer names what was
    /// stored.
    fn files<R: Read>(&mut self, reader: &mut JsonStreamReader<R>) -> Result<()> {
        let bad = || Error::new(ErrorKind::BadRequest, "files is not a list of objects");
        if reader.peek().map_err(unreadable)? != ValueType::Array {
            return Err(bad());
        }

        let mut entries = Vec::new();
        reader.begin_array().map_err(unreadable)?;

        while reader.has_next().map_err(unreadable)? {
            if reader.peek().map_err(unreadable)? != ValueType::Object {
                return Err(bad());
            }
            let (mut name, mut content) = (None, None);
            reader.begin_object().map_err(unreadable)?;
            while reader.has_next().map_err(unreadable)? {
                match reader.next_name_owned().map_err(unreadable)?.as_str() {
                    "filename" => name = text(reader)?,
                    "content_b64" => content = self.content(reader)?,
                    _ => reader.skip_value().map_err(unreadable)?,
                }
            }
            reader.end_object().map_err(unreadable)?;
            let name = name.and_then(|name| ModelName::from_base(&name).ok());
            if let (Some(name), Some(ImportPiece::Received(upload))) = (name, content) {
                entries.push(ImportedFile::Waiting(name, upload));
                self.make_room(&mut entries)?;
            }
        }

        reader.end_array().map_err(unreadable)?;
        self.files = Some(entries);

        Ok(())
    }

    /// Lets only a few entries wait for the end of the list, since each holds a file open: more are
    /// stored as they come, if the password is known.
    fn make_room(&self, entries: &mut [ImportedFile]) -> Result<()> {
        let mut waiting = entries
            .iter_mut()
            .filter(|entry| matches!(entry, ImportedFile::Waiting(..)));

        let Some(oldest) = waiting.next() else {
            return Ok(());
        };

        if waiting.count() < WAITING_MAX {
            return Ok(());
        }

        if !self.has_password() {
            let text = "too many files before the password";
            return Err(Error::new(ErrorKind::TooLarge, text));
        }

        oldest.store()
    }

    /// Decodes a content to disk.
    fn content<R: Read>(&self, reader: &mut JsonStreamReader<R>) -> Result<Option<ImportPiece>> {
        match reader.peek().map_err(unreadable)? {
            ValueType::String => {}
            ValueType::Null => {
                reader.next_null().map_err(unreadable)?;
                return Ok(None);
            }
            _ => {
                reader.skip_value().map_err(unreadable)?;
                return Ok(Some(ImportPiece::NotBase64));
            }
        }

        if let Some(Ok(name)) = self.name.as_deref().map(ModelName::from_base)
            && self.has_password()
        {
            self.api.store.admit(&name, None, &Metadata::default())?;
        }

        let mut string = reader.next_string_reader().map_err(unreadable)?;
        let mut upload = self.api.store.upload(None)?;
        let is_base64 = self.decode(&mut string, &mut upload)?;

        // After bad base64 the rest of the string is read over, so that the members behind it are seen.
        let mut rest = [0; 4096];
        while !is_base64 && string.read(&mut rest).map_err(broken)? > 0 {
            self.meter.is_content();
        }

        Ok(Some(match (is_base64, upload.written()) {
            (false, _) => ImportPiece::NotBase64,
            (true, 0) => ImportPiece::Empty,
            (true, _) => ImportPiece::Received(Box::new(upload)),
        }))
    }

    /// Decodes a string into an upload; says whether all of it was base64.
    fn decode(&self, string: &mut impl Read, upload: &mut Upload) -> Result<bool> {
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let engine = GeneralPurpose::new(&STANDARD, lenient);
        let mut decoder = DecoderReader::new(Compact(string), &engine);
        let mut buffer = vec![0; COPY_BYTES];

        loop {
            // Content is bounded by its own limit.
            self.meter.is_content();
            match decoder.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => upload.write_all(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if error
                        .get_ref()
                        .is_some_and(|error| error.is::<DecodeError>()) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(broken(error)),
            }
            if upload.written() > self.limits.upload_bytes_max {
                let text = "the content is larger than this server allows";
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
        }
    }

    /// Checks in the order of the genuine server, and stores.
    fn finish(self) -> Result<Response> {
        if !self.has_password() {
            return Err(invalid_password());
        }

        if let Some(entries) = self.files {
            let mut names = Vec::new();
            for mut entry in entries {
                entry.store()?;
                if let ImportedFile::Stored(name) = entry {
                    names.push(name);
                }
            }
            let names: Vec<_> = names.iter().map(ModelName::as_str).collect();
            let answer = json!({ "status": "imported", "files": names });
            return Ok(Response::json(Status::OK, &answer).remarking(names.join(",")));
        }

        let missing = || Error::new(ErrorKind::BadRequest, "missing filename or content");

        let name = self
            .name
            .filter(|name| !name.is_empty())
            .ok_or_else(missing)?;

        let upload = match self.content {
            None | Some(ImportPiece::Empty) => return Err(missing()),
            Some(ImportPiece::NotBase64) => {
                return Err(Error::new(ErrorKind::BadRequest, "invalid base64 content"));
            }
            Some(ImportPiece::Received(upload)) => upload,
        };

        let name = ModelName::from_base(&name)?;
        let model = upload.commit(&name, None, &Condition::Any)?.model;
        let answer = json!({ "status": "imported", "model": name.as_str(), "size": model.size });

        Ok(Response::json(Status::OK, &answer).remarking(name.to_string()))
    }
}

/// A string, or nothing where there is `null`.
fn text<R: Read>(reader: &mut JsonStreamReader<R>) -> Result<Option<String>> {
    match reader.peek().map_err(unreadable)? {
        ValueType::String => reader.next_string().map(Some).map_err(unreadable),
        ValueType::Null => reader.next_null().map(|()| None).map_err(unreadable),
        _ => Err(Error::new(
            ErrorKind::BadRequest,
            "filename is not a string",
        )),
    }
}

fn unreadable(error: ReaderError) -> Error {
    match error {
        ReaderError::IoError { error, .. } => broken(error),
        _ => invalid_json(),
    }
}

/// What went wrong below the JSON: a limit or the connection, or else the text is not JSON or UTF-8.
fn broken(error: io::Error) -> Error {
    match Error::from(error) {
        ours if matches!(ours.kind(), ErrorKind::BadRequest | ErrorKind::Internal) => {
            invalid_json()
        }
        ours => ours,
    }
}

/// A piece of content.
const COPY_BYTES: usize = 48 * 1024;

/// Entries that may wait for what comes after them; each holds a file open.
const WAITING_MAX: usize = 16;
