// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file that is put together: the chunks of its segments one after the other, a chunk in memory at a time.

use std::io::Write;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::xet::{ChunkUnpacker, ShardFile, ShardReader, ShardSegment};
use crate::store::failure::unstored;
use crate::store::objects::ObjectRequest;
use crate::store::store_handle::Store;
use crate::store::xorbs::session_use::SessionUse;
use crate::store::xorbs::xorb_file::{XorbFile, flawed};

/// Puts files together from the xorbs of a session.
pub(super) struct AssembledFile<'a> {
    store: &'a Store,
    session: &'a SessionUse,
    unpacker: ChunkUnpacker,
    /// The xorb that was open last: segments of one often follow each other.
    last: Option<XorbFile>,
}

impl<'a> AssembledFile<'a> {
    pub(super) fn new(store: &'a Store, session: &'a SessionUse) -> Self {
        Self {
            store,
            session,
            unpacker: ChunkUnpacker::default(),
            last: None,
        }
    }

    /// Puts one file together, and keeps it if it has its digest.
    ///
    /// # Errors
    /// `BadRequest` for chunks that were not sent or are none; as [`Store::begin_object`]; `Integrity` for another digest.
    pub(super) fn make(
        &mut self,
        reader: &mut ShardReader<'_>,
        file: &ShardFile,
        digest: Digest,
    ) -> Result<()> {
        let segment = |reader: &mut ShardReader<'_>, index| {
            let segment = reader.segment(file, index);
            segment.map_err(|flaw| flawed("the shard", flaw))
        };
        // Nothing is written for a file that cannot become whole.
        for index in 0..file.segments {
            self.check(&segment(reader, index)?)?;
        }

        let mut upload = self.store.begin_object(ObjectRequest {
            size: file.bytes,
            digest: Some(digest),
            sender: self.session.upload.sender.clone(),
        })?;
        for index in 0..file.segments {
            self.copy(&segment(reader, index)?, &mut upload)?;
        }
        upload.keep().map(drop)
    }

    fn check(&self, segment: &ShardSegment) -> Result<()> {
        let kept = self.session.xorb(segment.xorb);
        if kept.is_some_and(|kept| segment.end <= kept.chunks) {
            return Ok(());
        }
        let text = format!(
            "the chunks {} to {} of the xorb {} were not sent to this address",
            segment.first,
            segment.end - 1,
            segment.xorb
        );
        Err(Error::new(ErrorKind::BadRequest, text).hint("begin the upload again"))
    }

    fn copy(&mut self, segment: &ShardSegment, upload: &mut impl Write) -> Result<()> {
        let mut xorb = match self.last.take() {
            Some(xorb) if xorb.hash == segment.xorb => xorb,
            _ => {
                self.check(segment)?;
                let kept = self.session.xorb(segment.xorb);
                let open = |kept| XorbFile::open(self.session, segment.xorb, kept);
                kept.map(open)
                    .transpose()
                    .map_err(unstored)?
                    .ok_or_else(gone)?
            }
        };

        let mut at = xorb.start(segment.first).map_err(unstored)?;
        let mut left = u64::from(segment.bytes);
        for _ in segment.first..segment.end {
            let unpacked = self.unpacker.unpack(&mut xorb, at);
            let (plain, next) = unpacked.map_err(|flaw| flawed("a xorb", flaw))?;
            left = left.checked_sub(plain.len() as u64).ok_or_else(unequal)?;
            upload.write_all(plain)?;
            at = next;
        }
        if left > 0 {
            return Err(unequal());
        }
        self.last = Some(xorb);
        Ok(())
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::BadRequest, "a xorb is not here any more").hint("begin the upload again")
}

fn unequal() -> Error {
    let text = "a segment of a file has another number of bytes than its chunks";
    Error::new(ErrorKind::BadRequest, text)
}
