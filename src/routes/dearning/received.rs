// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The content of an import as far as it has come: in memory while nobody knows whose it is, so that
//! strangers write nothing to the card, and on the disk from then on.

use std::io::Write as _;

use crate::error::Result;
use crate::store::{Store, Upload};

/// Decoded bytes.
pub(crate) enum ReceivedContent {
    Memory(Vec<u8>),
    Disk(Box<Upload>),
}

impl ReceivedContent {
    /// Nothing yet; on the disk if the caller is known.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn new(store: &Store, is_known: bool) -> Result<Self> {
        if is_known {
            Ok(Self::Disk(Box::new(store.upload(None)?)))
        } else {
            Ok(Self::Memory(Vec::new()))
        }
    }

    /// How many bytes have come.
    pub(crate) fn written(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(upload) => upload.written(),
        }
    }

    /// Adds bytes. What is more than a little goes to the disk, where a setting lets it come at all.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn add(&mut self, store: &Store, plain: &[u8]) -> Result<()> {
        if let Self::Memory(bytes) = self {
            if bytes.len() + plain.len() <= MEMORY_BYTES_MAX {
                bytes.extend_from_slice(plain);
                return Ok(());
            }
            let upload = on_disk(store, bytes)?;
            *self = Self::Disk(upload);
        }

        if let Self::Disk(upload) = self {
            upload.write_all(plain)?;
        }
        Ok(())
    }

    /// All of it as an upload, for a caller that is known now.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn upload(self, store: &Store) -> Result<Box<Upload>> {
        match self {
            Self::Memory(bytes) => on_disk(store, &bytes),
            Self::Disk(upload) => Ok(upload),
        }
    }
}

fn on_disk(store: &Store, bytes: &[u8]) -> Result<Box<Upload>> {
    let mut upload = store.upload(None)?;
    upload.write_all(bytes)?;
    Ok(Box::new(upload))
}

/// Of one content: all that may come before the password by default, if everything around it is content, too.
const MEMORY_BYTES_MAX: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::json_content::metered::AROUND_BYTES_MAX;
    use crate::store::StoreOptions;

    #[test]
    fn what_a_stranger_may_send_by_default_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        // The default of `import-bytes-before-password`.
        let encoded = (64 << 10) * 4 / 3 + AROUND_BYTES_MAX;
        let plain = vec![0; usize::try_from(encoded * 3 / 4).unwrap()];

        let mut received = ReceivedContent::new(&store, false).unwrap();
        for piece in plain.chunks(48 * 1024) {
            received.add(&store, piece).unwrap();
        }
        assert!(matches!(received, ReceivedContent::Memory(_)));
        assert_eq!(
            received.upload(&store).unwrap().written(),
            plain.len() as u64
        );
    }
}
