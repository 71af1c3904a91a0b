// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of a xorb that has come: its bytes, and the places of its chunks behind them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind};
use crate::formats::xet::XorbHash;
use crate::formats::{ByteSource, Flaw};
use crate::store::failure::unstored;
use crate::store::hidden_folder::XET;
use crate::store::xorbs::session_use::SessionUse;
use crate::store::xorbs::xet_session::KeptXorb;

/// A xorb that is open.
pub(super) struct XorbFile {
    pub(super) hash: XorbHash,
    kept: KeptXorb,
    file: File,
}

impl XorbFile {
    /// Opens a xorb of a session.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn open(session: &SessionUse, hash: XorbHash, kept: KeptXorb) -> io::Result<Self> {
        let sessions = session.catalog.layout.hidden().folder(XET)?;
        let folder = sessions.enter(&session.upload.session.to_string())?;
        let (file, _) = FilePlace::new(&folder, hash.to_string()).open()?;
        Ok(Self { hash, kept, file })
    }

    /// Where a chunk begins.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn start(&self, chunk: u32) -> io::Result<u64> {
        let mut place = [0; PLACE_BYTES];
        let offset = u64::from(self.kept.length) + u64::from(chunk) * PLACE_BYTES as u64;
        self.file.read_exact_at(&mut place, offset)?;
        Ok(u32::from_le_bytes(place).into())
    }
}

impl ByteSource for XorbFile {
    fn size(&self) -> u64 {
        self.kept.length.into()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// What a flaw in what was sent means for its sender.
pub(super) fn flawed(what: &str, flaw: Flaw) -> Error {
    match flaw {
        Flaw::Damaged(reason) | Flaw::Bounded(reason) => Error::new(
            ErrorKind::BadRequest,
            format!("{what} cannot be read: {reason}"),
        ),
        Flaw::Source(error) => unstored(error),
    }
}

/// How the place of a chunk is written down.
pub(super) const PLACE_BYTES: usize = 4;
