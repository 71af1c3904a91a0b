// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model on its way in: written to a part and digested as it comes, then published whole or removed.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, Write};

use crate::digest::{Digest, Hasher};
use crate::disk::{FilePlace, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Happening;
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::about::Metadata;
use crate::store::changes::ChangeId;
use crate::store::claim::{BytesOrigin, Claim, Condition, NewBytes, Published, StagedBytes};
use crate::store::failure::unstored;
use crate::store::store_handle::Store;
use crate::text::counted;

/// A model that is being written. Dropping it removes what was written so far.
pub struct Upload {
    store: Store,
    part: Part,
    hasher: Hasher,
    size: Option<u64>,
    written: u64,
    /// When to look at the disk's reserve again.
    check_at: u64,
    metadata: Metadata,
    health: Health,
    signature: Option<Signature>,
}

/// Whether all bytes so far are in the part.
#[derive(PartialEq)]
enum Health {
    Whole,
    Broken,
}

impl Upload {
    pub(crate) fn new(store: Store, part: Part, size: Option<u64>) -> Self {
        Self {
            store,
            part,
            hasher: Hasher::new(),
            size,
            written: 0,
            check_at: CHECK_BYTES,
            metadata: Metadata::default(),
            health: Health::Whole,
            signature: None,
        }
    }

    /// Gives the signature of the bytes, for a store that takes only signed models. Without it, the
    /// one that is stored beside the model counts.
    pub fn set_signature(&mut self, signature: Option<Signature>) {
        self.signature = signature;
    }

    /// Says where the model comes from; kept with it when it is published.
    pub fn describe(&mut self, metadata: Metadata) {
        self.metadata = metadata;
    }

    /// How many bytes have been written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes what was written the model `name`, in a way that survives a power cut. Readers of the name
    /// see the old bytes until they see all the new ones.
    ///
    /// # Errors
    /// `BadRequest` if fewer bytes came than were announced; `Integrity` if the digest is not the
    /// expected one or the store takes only signed models and this is none; `PreconditionFailed` if
    /// the condition does not hold; `Conflict` if something that is not a model has the name or the
    /// store replaces none; `NoSpace` for the disk and the quota; what [`Store::admit`] refuses;
    /// otherwise those of the file system. The old bytes then
    /// stay, except that a failure of the very last step, the fsync of the directory, may leave the new
    /// ones.
    pub fn commit(
        self,
        name: &ModelName,
        expected: Option<&Digest>,
        condition: &Condition,
    ) -> Result<Published> {
        self.end(name, expected, condition, None)
    }

    /// The same, or takes what was written into a change set.
    ///
    /// # Errors
    /// As [`Upload::commit`], and those of the change set.
    pub(crate) fn end(
        self,
        name: &ModelName,
        expected: Option<&Digest>,
        condition: &Condition,
        change: Option<ChangeId>,
    ) -> Result<Published> {
        self.check_whole()?;
        let (store, size) = (self.store, self.written);
        let claim = Claim {
            name,
            size,
            digest: self.hasher.finish(),
            expected,
            condition,
            metadata: &self.metadata,
            signature: self.signature.as_ref(),
            origin: BytesOrigin::Upload,
        };

        let published = match change {
            Some(change) => store.stage(change, self.part, &claim)?,
            None => store.publish(self.part, &claim)?,
        };

        store.catalog().events.upload(|| Happening::UploadEnded {
            name: name.clone(),
            size,
        });
        Ok(published)
    }

    /// What was written, and its digest, for whoever gives it no name.
    ///
    /// # Errors
    /// `BadRequest` if fewer bytes came than were announced.
    pub(crate) fn into_part(self) -> Result<(Part, Digest)> {
        self.check_whole()?;
        Ok((self.part, self.hasher.finish()))
    }

    /// The file, which shares its position with what is written.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn reader(&mut self) -> io::Result<File> {
        self.part.file().try_clone()
    }

    fn check_whole(&self) -> Result<()> {
        if self.health == Health::Broken {
            return Err(Error::new(
                ErrorKind::Internal,
                "an earlier write of this upload failed",
            ));
        }

        if let Some(size) = self.size.filter(|size| *size != self.written) {
            let text = format!(
                "the body ended after {} of {}",
                self.written,
                counted(size, "byte")
            );
            return Err(Error::new(ErrorKind::BadRequest, text));
        }
        Ok(())
    }
}

impl NewBytes for Part {
    fn content(&mut self) -> io::Result<File> {
        // It was just written, so it stands at its end.
        let mut file = self.file().try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    fn settle(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn publish(self, target: &FilePlace) -> io::Result<File> {
        self.take_mode_of(target);
        self.publish_at(target)
    }
}

impl StagedBytes for Part {
    fn has_journal(&self) -> bool {
        false
    }

    fn stage(self, target: &FilePlace) -> io::Result<File> {
        self.move_to(target)
    }
}

impl Write for Upload {
    /// Writes and digests; the errors convert to an [`Error`] of kind `NoSpace` where the disk is full
    /// and `BadRequest` where more comes than was announced.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `written` never exceeds `size`, so the subtraction cannot underflow.
        let room = self.size.map_or(u64::MAX, |size| size - self.written);
        if bytes.len() as u64 > room {
            self.health = Health::Broken;
            let text = format!(
                "the body is longer than the {} announced",
                counted(self.written + room, "byte")
            );
            return Err(Error::new(ErrorKind::BadRequest, text).into());
        }

        if self.written >= self.check_at {
            self.check_at = self.written + CHECK_BYTES;
            // Others write, too, and not every length is known before its end.
            if let Err(error) = self.store.check_growth(self.written, self.size) {
                self.health = Health::Broken;
                return Err(error.into());
            }
        }

        // Only what the file took is digested; a short write is followed by another call.
        match self.part.write(bytes) {
            Ok(count) => {
                self.hasher.update(&bytes[..count]);
                self.written += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // Nothing of these bytes was taken, so whoever sends them tries once more.
            Err(error) if self.store.catalog().made_room(&error) => {
                Err(io::ErrorKind::Interrupted.into())
            }
            Err(error) => {
                self.health = Health::Broken;
                Err(unstored(error).into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, written, .. } = self;
        f.debug_struct("Upload")
            .field("size", size)
            .field("written", written)
            .finish()
    }
}

/// How many bytes are written between two looks at the disk's reserve.
const CHECK_BYTES: u64 = 4 << 20;
