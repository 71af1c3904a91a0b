// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes that are in the store and are to become a model again, or under another name: the rules are those
//! for what is sent.

use std::fs::File;
use std::io;

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::Result;
use crate::model::ModelName;
use crate::store::about::Metadata;
use crate::store::catalog::Catalog;
use crate::store::claim::{BytesOrigin, Claim, Condition, NewBytes};
use crate::store::failure::unreadable;
use crate::store::rules::metadata;

/// Bytes that are in the store.
pub(crate) struct BytesAgain<'a> {
    /// What they are to be called.
    pub(crate) name: &'a ModelName,
    /// The name under which it is kept what was said of them.
    pub(crate) described_as: &'a ModelName,
    pub(crate) size: u64,
    /// `None` if it is not known; it is read if a rule needs it.
    pub(crate) digest: Option<Digest>,
    pub(crate) place: &'a FilePlace,
}

impl Catalog {
    /// Whether the store would take them if they were sent.
    ///
    /// # Errors
    /// What an upload is refused for: `Integrity`, `UnsupportedType`, `BadRequest`; those of the file system.
    pub(crate) fn check_again(&self, bytes: &BytesAgain<'_>) -> Result<()> {
        let options = &self.options;
        let mut content = ContentAgain(bytes.place);

        let reads = options.require_license
            || options.require_format
            || self.minds_imports(bytes.name)
            || !options.signers.is_empty();
        let digest = match bytes.digest {
            Some(digest) => digest,
            None if reads => content
                .content()
                .and_then(Digest::of_reader)
                .map_err(|error| unreadable(bytes.described_as, error))?,
            // Whatever is said of them is said of their digest, and no rule asks for it.
            None => return self.check_kind(bytes.name, &Metadata::default()),
        };

        let about = metadata::find(self, bytes.described_as, Some(digest));
        let metadata = about.map(|about| about.metadata).unwrap_or_default();
        let signature = metadata::signature_of(self, bytes.described_as, Some(digest));
        let claim = Claim {
            name: bytes.name,
            size: bytes.size,
            digest,
            expected: None,
            condition: &Condition::Any,
            metadata: &metadata,
            signature: signature.as_ref(),
            origin: BytesOrigin::Version,
        };
        self.check_kind(bytes.name, &metadata)?;
        self.check_start(&claim, &mut content)?;
        self.check_imports(&claim, &mut content)?;
        self.check_signature(&claim, &mut content).map(drop)
    }
}

/// Bytes that are here, to be looked at.
struct ContentAgain<'a>(&'a FilePlace);

impl NewBytes for ContentAgain<'_> {
    fn content(&mut self) -> io::Result<File> {
        self.0.open().map(|(file, _)| file)
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn publish(self, _: &FilePlace) -> io::Result<File> {
        // They get no name by this way.
        Err(io::ErrorKind::Unsupported.into())
    }
}
