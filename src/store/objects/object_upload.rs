// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An object on its way in: room is taken for it first, and it is kept only with the digest that it has to have.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::Result;
use crate::store::catalog::{Catalog, Stamp};
use crate::store::failure::{check_digest, unstored};
use crate::store::hidden_folder::OBJECTS;
use crate::store::store_handle::Store;
use crate::store::upload::Upload;

/// What is to become an object.
#[derive(Clone, Debug)]
pub(crate) struct ObjectRequest {
    pub(crate) size: u64,
    /// Which it has to have; `None` if only its sender can tell whether it is right.
    pub(crate) digest: Option<Digest>,
    pub(crate) sender: Option<String>,
}

/// Bytes that are being written; dropped, they are gone.
#[derive(Debug)]
pub(crate) struct ObjectUpload {
    upload: Upload,
    request: ObjectRequest,
    room: ObjectRoom,
}

/// Room that was taken for bytes on their way.
struct ObjectRoom {
    catalog: Arc<Catalog>,
    number: u64,
}

impl Drop for ObjectRoom {
    fn drop(&mut self) {
        self.catalog.objects.release(self.number);
    }
}

impl std::fmt::Debug for ObjectRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ObjectRoom").field(&self.number).finish()
    }
}

impl Store {
    /// Whether so many bytes can be taken now, to say so before they travel.
    ///
    /// # Errors
    /// As [`Store::begin_object`].
    pub(crate) fn check_object(&self, size: u64, sender: Option<&str>) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        catalog.check_space(size)?;
        let sender = sender.map(str::to_owned);
        let number = catalog.objects.reserve(size, sender, &catalog.options)?;
        catalog.objects.release(number);
        Ok(())
    }

    /// Begins to take an object.
    ///
    /// # Errors
    /// `NoSpace` beyond the bounds of unfinished uploads, and where the disk has no room; otherwise those of the file
    /// system.
    pub(crate) fn begin_object(&self, request: ObjectRequest) -> Result<ObjectUpload> {
        let catalog = self.catalog();
        let options = &catalog.options;
        catalog.check_changeable()?;
        catalog.clear_left_objects();

        let number = catalog
            .objects
            .reserve(request.size, request.sender.clone(), options)?;
        let room = ObjectRoom {
            catalog: Arc::clone(catalog),
            number,
        };
        Ok(ObjectUpload {
            upload: self.upload(Some(request.size))?,
            request,
            room,
        })
    }
}

impl ObjectUpload {
    /// How many bytes were written.
    pub(crate) fn written(&self) -> u64 {
        self.upload.written()
    }

    /// The file that is written, to be read at places that have been written.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn reader(&mut self) -> Result<File> {
        self.upload.reader().map_err(unstored)
    }

    /// Keeps what was written, durably.
    ///
    /// # Errors
    /// `BadRequest` if bytes are missing; `Integrity` if they have another digest; otherwise those of the file system.
    pub(crate) fn keep(self) -> Result<Digest> {
        let catalog = &self.room.catalog;
        let (mut part, digest) = self.upload.into_part()?;
        check_digest(digest, self.request.digest.as_ref())?;

        if catalog.objects.touched(digest, None).is_none() {
            part.sync().map_err(unstored)?;
            let folder = catalog.layout.hidden().made(OBJECTS).map_err(unstored)?;
            let place = FilePlace::new(&folder, digest.to_string());
            let file = part.move_to(&place).map_err(unstored)?;
            folder.sync().map_err(unstored)?;

            let stamp = file.metadata().map(|facts| Stamp::of(&facts));
            let stamp = stamp.map_err(unstored)?;
            catalog
                .objects
                .add(digest.as_bytes(), stamp, self.request.sender);
        }
        Ok(digest)
    }
}

impl Catalog {
    /// Makes objects of files that have these digests, which lose the names that they have.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn take_objects(
        &self,
        files: &[(Digest, FilePlace)],
        sender: Option<&str>,
    ) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.layout.hidden().made(OBJECTS).map_err(unstored)?;
        for (digest, source) in files {
            // The second of two names for the same bytes.
            if self.objects.touched(*digest, None).is_some() {
                let _ = source.remove_unsynced();
                continue;
            }
            let place = FilePlace::new(&folder, digest.to_string());
            source.rename_to(&place).map_err(unstored)?;
            let stamp = place.facts().map(Stamp::of).map_err(unstored)?;
            let sender = sender.map(str::to_owned);
            self.objects.add(digest.as_bytes(), stamp, sender);
        }
        folder.sync().map_err(unstored)
    }
}

impl Write for ObjectUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.upload.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}
