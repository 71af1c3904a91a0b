// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model on its way here: read as a stream that ends well only if every byte was right.

use std::io::{self, Read, Write};
use std::path::Path;

use ureq::Body;
use ureq::http::header::{ETAG, HeaderName};
use ureq::http::{HeaderMap, Response};

use crate::client::api::AnswerContent;
use crate::client::connection::TransferRate;
use crate::client::download::save::land;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::text::counted;

/// A model that is being fetched. Reading it fails at the end, with `Integrity`, if the bytes were
/// not those that the server announced.
pub struct Download {
    name: ModelName,
    size: Option<u64>,
    expected: Option<Digest>,
    body: AnswerContent<'static>,
    /// Gone at the end, and after a failure.
    hasher: Option<Hasher>,
    received: u64,
    pace: TransferRate,
    /// There if every byte was right.
    digest: Option<Digest>,
}

impl Download {
    /// `wanted` is what its bytes must have, whatever the server announces.
    ///
    /// # Errors
    /// `Integrity` if the server announces another digest than that, or one that cannot be read.
    pub(crate) fn new(
        name: ModelName,
        response: Response<Body>,
        wanted: Option<Digest>,
        pace: TransferRate,
    ) -> Result<Self> {
        // A field that cannot be read is not the same as none: the server meant to announce a digest.
        let expected = announced(response.headers()).map_err(|reason| {
            let message = format!("'{name}' cannot be verified: {reason}");
            Error::new(ErrorKind::Integrity, message).hint("nothing was saved")
        })?;

        if let (Some(digest), Some(wanted)) = (expected, wanted)
            && digest != wanted
        {
            return Err(crate::client::api::other_bytes(&name, digest, wanted));
        }

        let size = response.body().content_length();

        Ok(Self {
            name,
            size,
            expected: wanted.or(expected),
            body: AnswerContent::of(response),
            hasher: Some(Hasher::new()),
            received: 0,
            pace,
            digest: None,
        })
    }

    /// The model's name.
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// Its length in bytes, if the server announced it.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The digest that the server announced. Without one, nothing proves that the bytes are those of
    /// the server; a skep knows none while it has yet to read a file that was copied there by hand.
    pub fn announced(&self) -> Option<Digest> {
        self.expected
    }

    /// The digest of all bytes, once they were read to the end.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Bytes read so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Reads everything into `target`; `progress` is called with each piece's length.
    ///
    /// # Errors
    /// `Integrity` if the bytes are not those announced, and those of the connection and of
    /// `target`.
    pub fn copy(
        &mut self,
        target: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Digest> {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let count = self.read(&mut buffer)?;
            // `read` has compared the digest before it reports the end.
            if count == 0 {
                break;
            }
            let written = target.write_all(&buffer[..count]);
            written.map_err(|error| {
                crate::client::api::unwritten(format!("'{}'", self.name), error)
            })?;
            progress(count as u64);
        }

        self.digest
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the download has no digest"))
    }

    /// Saves the model as a file, which appears only when it is whole and right.
    ///
    /// # Errors
    /// As [`Download::copy`]; nothing is left behind then.
    pub fn save(&mut self, target: &Path, progress: &mut dyn FnMut(u64)) -> Result<Digest> {
        land(target, |part| self.copy(part, progress))
    }

    /// At the end of the body: compares what came with what was announced.
    fn verify(&mut self) -> Result<()> {
        let Some(hasher) = self.hasher.take() else {
            // What failed once must not end well for whoever reads on.
            return match self.digest {
                Some(_) => Ok(()),
                None => {
                    let message = format!("'{}' did not arrive as it was announced", self.name);
                    Err(Error::new(ErrorKind::Integrity, message).hint("fetch it again"))
                }
            };
        };

        // A body that is too short was cut and may be fetched again; wrong bytes would come again.
        if let Some(size) = self.size.filter(|size| *size != self.received) {
            let message = format!(
                "only {} of {} arrived",
                self.received,
                counted(size, "byte")
            );
            return Err(Error::new(ErrorKind::Interrupted, message));
        }

        let digest = hasher.finish();
        if let Some(expected) = self.expected.filter(|expected| *expected != digest) {
            let name = &self.name;
            let message =
                format!("'{name}' arrived with the digest {digest:?} instead of {expected:?}");
            return Err(Error::new(ErrorKind::Integrity, message)
                .hint("nothing was saved; 'skep ls -l' shows what the server has"));
        }

        self.digest = Some(digest);

        Ok(())
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.pace.piece(buffer.len());
        let buffer = &mut buffer[..room];
        let count = match self.body.read(buffer) {
            Ok(count) => count,
            // Readers repeat a call that fails with this kind, so it must keep it.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.hasher = None;
                return Err(crate::client::api::failed(error).into());
            }
        };

        // A read into an empty buffer is not the end of the body.
        if count == 0 && !buffer.is_empty() {
            self.verify()?;
        }

        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }

        self.received += count as u64;
        self.pace.spend(count)?;

        Ok(count)
    }
}

/// The digest in the fields of an answer, `None` if there is none.
pub(crate) fn announced(fields: &HeaderMap) -> Result<Option<Digest>, &'static str> {
    // A field without SHA-256 is fine; one that is malformed is refused.
    let mut found = None;
    for value in fields.get_all(REPR_DIGEST) {
        let digest = value
            .to_str()
            .ok()
            .and_then(|text| Digest::from_field(text).ok());
        found = digest.ok_or("its Repr-Digest cannot be read")?.or(found);
    }

    let tag = fields.get(ETAG).and_then(|value| value.to_str().ok());

    // Tags of other forms are opaque (RFC 9110 section 8.8.3) and say nothing about the bytes.
    let tag = match tag.filter(|tag| tag.trim().starts_with("\"sha256-")) {
        Some(tag) => Some(Digest::from_etag(tag).ok_or("the SHA-256 in its ETag cannot be read")?),
        None => None,
    };

    // If the two differ, one of them belongs to other bytes, and nobody knows which.
    match (found, tag) {
        (Some(found), Some(tag)) if found != tag => Err("its Repr-Digest and its ETag differ"),
        _ => Ok(found.or(tag)),
    }
}

const PIECE_BYTES: usize = 64 * 1024;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
