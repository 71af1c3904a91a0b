// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A shard on its way in: written down, since it is read twice, and then its files are put together.

use std::fmt;
use std::io::{self, Write};

use crate::disk::Part;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::xet::ShardReader;
use crate::store::failure::unstored;
use crate::store::store_handle::Store;
use crate::store::stored::FileBytes;
use crate::store::xorbs::assembled_file::AssembledFile;
use crate::store::xorbs::session_use::SessionUse;
use crate::store::xorbs::xet_session::XetUpload;
use crate::store::xorbs::xorb_file::flawed;
use crate::text::counted;

/// A shard that is being written; dropped, it is gone.
pub(crate) struct ShardUpload {
    store: Store,
    session: SessionUse,
    part: Part,
    written: u64,
}

impl Store {
    /// Begins to take a shard.
    ///
    /// # Errors
    /// As [`Store::begin_xorb`].
    pub(crate) fn begin_shard(&self, upload: XetUpload) -> Result<ShardUpload> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let size = upload.size;
        let session = SessionUse::begin(catalog, upload)?;
        catalog.check_space(size)?;
        Ok(ShardUpload {
            store: self.clone(),
            session,
            part: catalog.layout.part().map_err(unstored)?,
            written: 0,
        })
    }
}

impl ShardUpload {
    /// Puts the files of the shard together, each of so many bytes at most, and keeps them as objects of the sender;
    /// how many of them were not here before.
    ///
    /// # Errors
    /// `BadRequest` for what is no shard, a file without a SHA-256, and chunks that were not sent; `Integrity` for a
    /// file with another SHA-256; `TooLarge` for a file that is too large; as [`Store::begin_object`]; otherwise those
    /// of the file system. Files before the one that fails are kept.
    pub(crate) fn put_together(mut self, bytes_max: u64) -> Result<usize> {
        let file = self.part.file().try_clone().map_err(unstored)?;
        let mut source = FileBytes::new(file, self.written);
        let flaw = |flaw| flawed("the shard", flaw);
        let mut reader = ShardReader::open(&mut source).map_err(flaw)?;
        let mut assembled = AssembledFile::new(&self.store, &self.session);

        let mut new = 0;
        while let Some(file) = reader.next_file().map_err(flaw)? {
            let digest = file.digest.ok_or_else(|| {
                let text = "a file of the shard has no SHA-256, without which nothing is kept here";
                Error::new(ErrorKind::BadRequest, text)
            })?;
            if file.bytes > bytes_max {
                let (size, max) = (counted(file.bytes, "byte"), counted(bytes_max, "byte"));
                let text =
                    format!("a file of {size} is larger than this server takes, which is {max}");
                return Err(Error::new(ErrorKind::TooLarge, text).hint("raise max-upload-bytes"));
            }

            let sender = self.session.upload.sender.as_deref();
            let known = sender.and_then(|sender| self.store.object_size(digest, Some(sender)));
            if known != Some(file.bytes) {
                assembled.make(&mut reader, &file, digest)?;
                new += 1;
            }
            self.session.with(|session| {
                // Not more than there are objects of this sender, which are bounded.
                session.made.insert(*digest.as_bytes())
            });
        }
        Ok(new)
    }
}

impl Write for ShardUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.session.upload.size - self.written {
            let text = "the shard is longer than it was announced";
            return Err(Error::new(ErrorKind::BadRequest, text).into());
        }
        let count = self.part.write(bytes).map_err(unstored)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for ShardUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShardUpload").field(&self.written).finish()
    }
}
