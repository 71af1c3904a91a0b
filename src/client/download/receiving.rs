// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What arrives of a model: written beside its target, checked at the end, and published.

use std::io::Read as _;
use std::time::SystemTime;

use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode};

use crate::client::api::{AnswerContent, answers};
use crate::client::connection::TransferRate;
use crate::client::download::download_stream::announced;
use crate::client::download::landing_place::LandingPlace;
use crate::client::download::partial_file::{PartialFile, Whole};
use crate::client::transfer::{FileTimes, TransferEvent, TransferEvents};
use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::{PublicKey, Signature};
use crate::text::{counted, time_at};

/// What came of fetching a model into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The length of the model in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// How it is known that these are the bytes of the server.
    pub proof: Proof,
    /// How many bytes came.
    pub received: u64,
    /// Where an earlier attempt, which may have been of another process, had stopped.
    pub resumed_at: Option<u64>,
}

/// How it is known that a file has the bytes of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// They have the digest that the server announced.
    Digest,
    /// They are as many as the server announced; it knew no digest.
    Nothing,
    /// The file had the digest of the model before, so nothing was fetched.
    Unchanged,
}

/// A model on its way, over several attempts.
pub(super) struct Fetching<'a> {
    pub(super) name: &'a ModelName,
    pub(super) place: LandingPlace,
    /// What is there already, if it counts.
    pub(super) known: Option<Digest>,
    /// What the bytes must have, whatever the server announces.
    pub(super) wanted: Option<Digest>,
    pub(super) partial: Option<PartialFile>,
    /// What has to have signed it, with its signature.
    pub(super) signed: Option<(&'a PublicKey, Signature)>,
    pub(super) pace: TransferRate,
    pub(super) received: u64,
    pub(super) resumed_at: Option<u64>,
    /// Whether the server was given time to find out the digest.
    pub(super) has_waited: bool,
    pub(super) times: FileTimes,
    /// When the file that was sent was modified.
    pub(super) modified: Option<SystemTime>,
}

impl Fetching<'_> {
    /// Takes the body of an answer: the rest, if that was asked for and is meant, or all of it. `None` if
    /// it is a part of something else; nothing is kept then, and all of it can be asked for.
    pub(super) fn take(
        &mut self,
        response: Response<Body>,
        kept: Option<(u64, Whole)>,
        events: TransferEvents<'_>,
    ) -> Result<Option<Fetched>> {
        let announced = announced(response.headers()).map_err(|reason| {
            let message = format!("'{}' cannot be verified: {reason}", self.name);
            Error::new(ErrorKind::Integrity, message).hint("nothing was saved")
        })?;

        if let Some(announced) = announced {
            self.check_wanted(announced)?;
        }
        self.modified = modified(response.headers()).filter(|_| self.times == FileTimes::Kept);

        // Any other range would put the bytes in the wrong place.
        let rest = kept.filter(|(done, whole)| answers::is_rest(&response, *done, whole.size));

        // If-Range should prevent the rest of another model; the announced digest makes sure of it.
        let (response, size) = match rest {
            Some((done, whole)) if announced.is_none_or(|digest| digest == whole.digest) => {
                self.check_room(Some(whole.size), done)?;
                self.resumed_at = Some(done);
                (answers::framed(response)?, Some(whole.size))
            }
            // To ask for the same part again would bring the same answer.
            _ if kept.is_some() && response.status() == StatusCode::PARTIAL_CONTENT => {
                self.start_over(events)?;
                return Ok(None);
            }
            _ => {
                let response = answers::whole(response)?;
                let size = response.body().content_length();
                self.check_room(size, 0)?;
                if kept.is_some() {
                    events(TransferEvent::Restarted {
                        reason: "the model has changed meanwhile",
                    });
                }
                let whole = announced
                    .zip(size)
                    .map(|(digest, size)| Whole { digest, size });
                events(TransferEvent::Started { size, at: 0 });
                // What was kept is thrown away only now, when an answer that can be used is there.
                self.begin(whole)?;
                self.resumed_at = None;
                (response, size)
            }
        };

        if let Some(at) = self.resumed_at {
            events(TransferEvent::Started { size, at });
        }

        self.read(AnswerContent::of(response), size, events)?;

        self.finish(announced).map(Some)
    }

    /// Makes sure that the bytes are those that were asked for.
    pub(super) fn check_wanted(&self, digest: Digest) -> Result<()> {
        match self.wanted {
            Some(wanted) if wanted != digest => {
                Err(crate::client::api::other_bytes(self.name, digest, wanted))
            }
            _ => Ok(()),
        }
    }

    /// Throws away what the server does not continue.
    pub(super) fn start_over(&mut self, events: TransferEvents<'_>) -> Result<()> {
        events(TransferEvent::Restarted {
            reason: "the server does not send the part that was asked for",
        });
        self.resumed_at = None;
        self.begin(None)
    }

    /// Makes sure, before any byte travels, that the disk has room for what is to come.
    fn check_room(&self, size: Option<u64>, done: u64) -> Result<()> {
        // A file system that does not tell how much is free is left to say so itself.
        let Some((directory, free)) = self.place.free_bytes() else {
            return Ok(());
        };

        // What was kept of another state of the model makes room when it goes.
        let kept = self.partial.as_ref().map_or(0, PartialFile::done);
        let kept = kept.saturating_sub(done);
        let needed = size.unwrap_or_default().saturating_sub(done);
        if needed <= free.saturating_add(kept) {
            return Ok(());
        }

        let shown = directory.display();
        let text = format!(
            "writing {}: no space left on the device: {} needed and {free} free in {shown}; nothing \
             was fetched",
            self.place.shown().display(),
            counted(needed, "byte"),
        );
        Err(Error::new(ErrorKind::NoSpace, text))
    }

    fn begin(&mut self, whole: Option<Whole>) -> Result<()> {
        if self.partial.is_none() {
            self.partial = Some(PartialFile::create(self.place.ready()?)?);
        }
        self.partial
            .as_mut()
            .map_or(Ok(()), |partial| partial.begin(whole))
    }

    fn read(
        &mut self,
        mut body: AnswerContent<'static>,
        size: Option<u64>,
        events: TransferEvents<'_>,
    ) -> Result<()> {
        let Some(partial) = &mut self.partial else {
            return Ok(());
        };

        let mut buffer = vec![0; self.pace.piece(PIECE_BYTES)];

        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(crate::client::api::failed(error)),
            };
            self.received += count as u64;

            // What a server adds without an end would fill the disk.
            if size.is_some_and(|size| count as u64 > size.saturating_sub(partial.done())) {
                partial.begin(None)?;
                let text = format!("more of '{}' arrived than was announced", self.name);
                return Err(Error::new(ErrorKind::Integrity, text).hint("nothing was saved"));
            }

            partial.write(&buffer[..count])?;
            events(TransferEvent::Progress(partial.done()));
            // The bytes are written before the pause, so that a stop in the pause loses none of them.
            self.pace.spend(count)?;
        }

        // An end without an error can still come too early, and then the bytes are kept for the next attempt.
        match size.filter(|size| *size != partial.done()) {
            Some(size) => {
                let message = format!(
                    "only {} of {} arrived",
                    partial.done(),
                    counted(size, "byte")
                );
                Err(Error::new(ErrorKind::Interrupted, message))
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, announced: Option<Digest>) -> Result<Fetched> {
        let Some(mut partial) = self.partial.take() else {
            return Err(Error::new(ErrorKind::Internal, "the download has no file"));
        };

        let (size, digest) = (partial.done(), partial.digest());
        // The answer with the rest may lack a digest; the one with the beginning had one.
        let expected = announced.or(partial.whole().map(|whole| whole.digest));
        let expected = self.wanted.or(expected);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            // Nothing shows which of the bytes are wrong, so none of them is resumed.
            partial.begin(None)?;
            self.partial = Some(partial);
            let name = self.name;
            let message =
                format!("'{name}' arrived with the digest {digest:?} instead of {expected:?}");
            return Err(Error::new(ErrorKind::Integrity, message)
                .hint("nothing was saved; 'skep ls -l' shows what the server has"));
        }

        if let Some((signer, signature)) = &self.signed {
            let what = format!("'{}'", self.name);
            let keys = std::slice::from_ref(*signer);
            // Read from the disk, because these bytes get the name, whatever came over the line.
            let checked = partial.read_again(|content| signature.verify(&what, keys, content));
            if checked.is_err() {
                partial.begin(None)?;
                // Fetching it again would bring the same bytes.
                self.resumed_at = None;
            }
            checked?;
        }

        if let Some(modified) = self.modified {
            partial.set_modified(modified);
        }
        partial.publish()?;

        let proof = if expected.is_some() {
            Proof::Digest
        } else {
            Proof::Nothing
        };

        let (received, resumed_at) = (self.received, self.resumed_at);

        Ok(Fetched {
            size,
            digest,
            proof,
            received,
            resumed_at,
        })
    }

    /// Checks the signature of the file that is there already.
    pub(super) fn check_kept(&self) -> Result<()> {
        let Some((signer, signature)) = &self.signed else {
            return Ok(());
        };
        let what = self.place.shown().display().to_string();
        let opened = self.place.opened().and_then(FilePlace::open);
        let (mut file, _) = opened.map_err(|error| Error::local(&what, error))?;
        signature.verify(&what, std::slice::from_ref(*signer), &mut file)
    }

    /// Whether bytes that were kept are to blame, so that fetching everything may help.
    pub(super) fn is_damaged(&mut self, error: &Error) -> bool {
        error.kind() == ErrorKind::Integrity && self.resumed_at.take().is_some()
    }

    pub(super) fn rest(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.rest();
        }
    }
}

/// The time that an answer tells of the file that was sent; one that cannot be understood is none.
fn modified(fields: &HeaderMap) -> Option<SystemTime> {
    let seconds = fields.get("skep-modified")?.to_str().ok()?;
    time_at(seconds.parse().ok()?)
}

const PIECE_BYTES: usize = 64 * 1024;
