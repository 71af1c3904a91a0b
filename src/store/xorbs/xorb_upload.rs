// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A xorb on its way in: written as it comes, while the places of its chunks are found.

use std::fmt;
use std::io::{self, Write};

use crate::disk::{FilePlace, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::xet::{XorbHash, XorbScan};
use crate::store::failure::unstored;
use crate::store::hidden_folder::XET;
use crate::store::store_handle::Store;
use crate::store::xorbs::session_use::SessionUse;
use crate::store::xorbs::xet_session::{KeptXorb, XetUpload};
use crate::store::xorbs::xorb_file::{PLACE_BYTES, flawed};

/// A xorb that is being written; dropped, it is gone.
pub(crate) struct XorbUpload {
    session: SessionUse,
    hash: XorbHash,
    /// `None` for one that is here: what comes is dropped.
    part: Option<Part>,
    scan: XorbScan,
    left: u64,
}

impl Store {
    /// Begins to take a xorb.
    ///
    /// # Errors
    /// `NoSpace` and `Busy` beyond the bounds of unfinished uploads, `NoSpace` where the disk has no room, `NotFound`
    /// for a session that is over; otherwise those of the file system.
    pub(crate) fn begin_xorb(&self, hash: XorbHash, upload: XetUpload) -> Result<XorbUpload> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let size = upload.size;
        let session = SessionUse::begin(catalog, upload)?;
        let part = if session.xorb(hash).is_some() {
            None
        } else {
            catalog.check_space(size)?;
            Some(catalog.layout.part().map_err(unstored)?)
        };
        Ok(XorbUpload {
            session,
            hash,
            part,
            scan: XorbScan::default(),
            left: size,
        })
    }
}

impl XorbUpload {
    /// Keeps what was written until the session ends; whether it was not here before.
    ///
    /// # Errors
    /// `BadRequest` for what is no xorb; otherwise those of the file system.
    pub(crate) fn keep(self) -> Result<bool> {
        let Self {
            session,
            hash,
            part,
            scan,
            ..
        } = self;
        let Some(mut part) = part else {
            return Ok(false);
        };
        let starts = scan.end().map_err(|flaw| flawed("the xorb", flaw))?;
        let (Some(length), chunks) = (starts.last().copied(), starts.len() - 1) else {
            return Ok(false);
        };

        let mut table = Vec::with_capacity(starts.len() * PLACE_BYTES);
        for start in &starts {
            table.extend(start.to_le_bytes());
        }
        part.cut(length.into()).map_err(unstored)?;
        part.write_all(&table).map_err(unstored)?;

        // Nothing of it outlives this process, so it need not outlive a power cut.
        let sessions = session.catalog.layout.hidden().made(XET);
        let folder =
            sessions.and_then(|all| all.make_unsynced(&session.upload.session.to_string()));
        let place = FilePlace::new(&folder.map_err(unstored)?, hash.to_string());
        let kept = KeptXorb {
            length,
            chunks: u32::try_from(chunks).unwrap_or_default(),
        };
        let bytes = u64::from(length) + table.len() as u64;
        let is_new = session.with(|session| {
            // The same one may have come twice at one time.
            if session.xorbs.contains_key(&hash) {
                return Ok(false);
            }
            part.move_to(&place)?;
            session.xorbs.insert(hash, kept);
            session.bytes += bytes;
            Ok(true)
        });
        is_new.unwrap_or(Ok(false)).map_err(unstored)
    }
}

impl Write for XorbUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(part) = &mut self.part else {
            return Ok(bytes.len());
        };
        if bytes.len() as u64 > self.left {
            let text = "the xorb is longer than it was announced";
            return Err(Error::new(ErrorKind::BadRequest, text).into());
        }
        let count = match part.write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // Nothing of these bytes was taken, so they are written once more.
            Err(error) if self.session.catalog.made_room(&error) => {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Err(error) => return Err(unstored(error).into()),
        };
        self.left -= count as u64;
        let taken = self.scan.take(&bytes[..count]);
        taken.map_err(|flaw| flawed("the xorb", flaw))?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for XorbUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("XorbUpload").field(&self.hash).finish()
    }
}
