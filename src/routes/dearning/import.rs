// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Imports: JSON members in any order, the content decoded from base64 straight to disk.
//!
//! Memory stays constant whatever is sent: content is streamed, and everything else together is
//! bounded like any JSON body. Of a content that comes before its password, a setting says how much is
//! taken; a little of it is kept in memory, so that strangers write nothing.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use struson::reader::{JsonReader, JsonStreamReader, ReaderSettings, ValueType};

use crate::access::{How, Principal, Right};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{HeldPlaces, Request, Response, Status};
use crate::limits::Limits;
use crate::model::ModelName;
use crate::routes::allowance::BodyTally;
use crate::routes::api::{Api, Known};
use crate::routes::dearning::received::ReceivedContent;
use crate::routes::dearning::refusals::{invalid_password, opened};
use crate::routes::json_content::blocks::NotBase64;
use crate::routes::json_content::embedded::{ImportReader, embedded};
use crate::routes::json_content::metered::{Meter, Metered};
use crate::routes::json_content::{invalid_json, unreadable};
use crate::store::{Condition, Metadata, Store};
use crate::transport::Peer;
use crate::wire::digest_text;

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

    // Base64 makes four bytes of three; line breaks and the other members may add some more.
    let limits = api.limits.now();
    request
        .body()
        .limit(limits.upload_bytes_max.saturating_mul(3) / 2)?;

    let peer = request.peer().clone();

    let tally = BodyTally::of(request);
    let meter = Rc::new(Meter::new(api, &limits, known.is_some()));

    let (body, places) = request.body_and_places();
    let metered = Metered::new(body, Rc::clone(&meter));

    // Paths would only serve messages that nobody gets to see.
    let settings = ReaderSettings {
        track_path: false,
        ..ReaderSettings::default()
    };

    let mut reader = JsonStreamReader::new_custom(metered, settings);
    let (files, name, content) = (None, None, None);
    let at_hand = Rc::clone(&meter);

    let mut import = Import {
        api,
        peer: &peer,
        known,
        limits,
        meter,
        tally,
        places,
        files,
        name,
        content,
    };

    let read = import
        .read(&mut reader)
        .and_then(|()| reader.consume_trailing_whitespace().map_err(unreadable));

    // A limit or a broken connection shows up as bad JSON; what was kept says what it is.
    let read = read.map_err(|error| at_hand.fault.take().unwrap_or(error));
    if at_hand.is_exceeded.get() {
        // Who sends on and on without a password is as unwelcome as who sends wrong ones.
        api.guard.fail(&peer);
    }
    read?;
    let known = import.known.clone();
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
    tally: Option<Arc<BodyTally>>,
    /// Those of a stranger until the password was seen.
    places: Option<&'a mut HeldPlaces>,
    /// The entries of `files`: a few that wait for the rest to be in order, and stored ones.
    files: Option<Vec<ImportedFile>>,
    name: Option<String>,
    content: Option<ImportPiece>,
}

/// The content of one member.
enum ImportPiece {
    Empty,
    /// No string, or one that is not base64 at this place.
    Unreadable(Option<NotBase64>),
    Received(ReceivedContent),
}

enum ImportedFile {
    Waiting(ModelName, ReceivedContent),
    Stored(ModelName, Option<Digest>),
}

impl ImportedFile {
    fn store(&mut self, store: &Store) -> Result<()> {
        let Self::Waiting(name, _) = self else {
            return Ok(());
        };
        let stored = Self::Stored(name.clone(), None);

        if let Self::Waiting(name, received) = std::mem::replace(self, stored) {
            let upload = received.upload(store)?;
            let published = upload.commit(&store.spelled(&name), None, &Condition::Any)?;
            *self = Self::Stored(name, published.model.digest);
        }
        Ok(())
    }
}

impl Import<'_> {
    fn has_password(&self) -> bool {
        self.known.is_some()
    }

    fn read<R: Read>(&mut self, reader: &mut ImportReader<R>) -> Result<()> {
        reader.begin_object().map_err(unreadable)?;
        if !reader.has_next().map_err(unreadable)? {
            return Err(invalid_json());
        }

        while reader.has_next().map_err(unreadable)? {
            // A member that comes twice replaces the earlier one, as in Python.
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

    fn password<R: Read>(&mut self, reader: &mut ImportReader<R>) -> Result<()> {
        let password = match reader.peek().map_err(unreadable)? {
            ValueType::String => reader.next_string().map_err(unreadable)?,
            ValueType::Number => reader.next_number_as_string().map_err(unreadable)?,
            _ => return Err(invalid_password()),
        };
        let tally = self.tally.as_deref();
        let known = opened((self.api, self.peer), tally, &password, Right::Write)?;
        if let Some(places) = &mut self.places {
            places.rank(known.rank())?;
        }
        self.known = Some(known);
        self.meter.before_password.set(None);
        Ok(())
    }

    /// Reads `files`: a list of objects. Entries without name or content, and those whose content is
    /// not base64, are left out without a word, as the genuine server does; the answer names what was
    /// stored.
    fn files<R: Read>(&mut self, reader: &mut ImportReader<R>) -> Result<()> {
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
            // Names and contents come in any order, so that both are looked at only here.
            let name = name.and_then(|name| ModelName::from_base(&name).ok());
            if let (Some(name), Some(ImportPiece::Received(received))) = (name, content) {
                entries.push(ImportedFile::Waiting(name, received));
                self.make_room(&mut entries)?;
            }
        }

        reader.end_array().map_err(unreadable)?;
        // An empty list counts as well: it says which form of answer is expected.
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

        // The oldest one first, so that a name that comes twice ends with its last content.
        oldest.store(&self.api.store)
    }

    /// Decodes a content to disk.
    fn content<R: Read>(&self, reader: &mut ImportReader<R>) -> Result<Option<ImportPiece>> {
        match reader.peek().map_err(unreadable)? {
            ValueType::String => {}
            ValueType::Null => {
                reader.next_null().map_err(unreadable)?;
                return Ok(None);
            }
            _ => {
                reader.skip_value().map_err(unreadable)?;
                return Ok(Some(ImportPiece::Unreadable(None)));
            }
        }

        // A name that is not accepted costs no upload; without a password nobody learns which are.
        if let Some(Ok(name)) = self.name.as_deref().map(ModelName::from_base)
            && self.has_password()
        {
            self.api.store.admit(&name, None, &Metadata::default())?;
        }

        let store = &self.api.store;
        let mut received = ReceivedContent::new(store, self.has_password())?;
        let mut keep = |plain: &[u8]| {
            received.add(store, plain)?;
            if received.written() > self.limits.upload_bytes_max {
                let text = "the content is larger than this server allows";
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
            Ok(())
        };

        let decoded = embedded(reader, &self.meter, &mut keep)?;

        Ok(Some(match (decoded, received.written()) {
            (Err(fault), _) => ImportPiece::Unreadable(Some(fault)),
            (Ok(()), 0) => ImportPiece::Empty,
            (Ok(()), _) => ImportPiece::Received(received),
        }))
    }

    /// Checks in the order of the genuine server, and stores.
    fn finish(self) -> Result<Response> {
        if !self.has_password() {
            // Nothing has been stored under a name so far, and what was written goes with the uploads.
            return Err(invalid_password());
        }

        // The newer form counts where both are there.
        if let Some(entries) = self.files {
            let mut names = Vec::new();
            let mut digests = Vec::new();
            for mut entry in entries {
                entry.store(&self.api.store)?;
                if let ImportedFile::Stored(name, digest) = entry {
                    names.push(name);
                    digests.push(digest.map(digest_text));
                }
            }
            let names: Vec<_> = names.iter().map(ModelName::as_str).collect();
            let answer = json!({ "status": "imported", "files": names, "digests": digests });
            return Ok(Response::json(Status::OK, &answer).remarking(names.join(",")));
        }

        let missing = || Error::new(ErrorKind::BadRequest, "missing filename or content");

        let name = self
            .name
            .filter(|name| !name.is_empty())
            .ok_or_else(missing)?;

        let received = match self.content {
            None | Some(ImportPiece::Empty) => return Err(missing()),
            Some(ImportPiece::Unreadable(fault)) => return Err(invalid_base64(fault)),
            Some(ImportPiece::Received(received)) => received,
        };

        let name = ModelName::from_base(&name)?;
        let upload = received.upload(&self.api.store)?;
        let stored_as = self.api.store.spelled(&name);
        let model = upload.commit(&stored_as, None, &Condition::Any)?.model;
        let answer = json!({
            "status": "imported",
            "model": name.as_str(),
            "size": model.size,
            "digest": model.digest.map(digest_text),
        });

        Ok(Response::json(Status::OK, &answer).remarking(name.to_string()))
    }
}

/// What the genuine server says, and where in the text of the content the first bad byte is.
fn invalid_base64(fault: Option<NotBase64>) -> Error {
    let text = match fault {
        Some(fault) => format!("invalid base64 content at byte {}", fault.offset),
        None => "invalid base64 content: it is not a string".to_owned(),
    };
    Error::new(ErrorKind::BadRequest, text)
}

/// A string, or nothing where there is `null`.
fn text<R: Read>(reader: &mut ImportReader<R>) -> Result<Option<String>> {
    match reader.peek().map_err(unreadable)? {
        ValueType::String => reader.next_string().map(Some).map_err(unreadable),
        ValueType::Null => reader.next_null().map(|()| None).map_err(unreadable),
        _ => Err(Error::new(
            ErrorKind::BadRequest,
            "filename is not a string",
        )),
    }
}

/// Entries that may wait for what comes after them; each holds a file open.
const WAITING_MAX: usize = 16;
