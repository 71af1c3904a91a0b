// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes that are in the store and are to become a model again, or under another name: the rules are those
//! for what is sent.

use std::fs::File;
use std::io;

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::Result;
use crate::model::ModelName;
use crate::signature::Signature;
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
        self.check_known(&claim, bytes.place).map(drop)
    }

    /// Whether bytes that are at a place may be what is claimed of them; returns the signature that belongs to them.
    ///
    /// # Errors
    /// As for bytes that are sent.
    pub(crate) fn check_known(
        &self,
        claim: &Claim<'_>,
        place: &FilePlace,
    ) -> Result<Option<Signature>> {
        let mut content = ContentAgain(place);
        self.check_start(claim, &mut content)?;
        self.check_imports(claim, &mut content)?;
        self.check_signature(claim, &mut content)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Folder;
    use crate::error::ErrorKind;
    use crate::signature::SecretKey;
    use crate::store::{Store, StoreOptions};

    #[test]
    fn bytes_whose_digest_nobody_knows_are_read_where_a_rule_asks_for_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("kept"), "no gguf").unwrap();
        let key = SecretKey::generate().unwrap();
        let check = |set: &dyn Fn(&mut StoreOptions)| {
            let mut options = StoreOptions::default();
            set(&mut options);
            let store = Store::open(directory.path(), options).unwrap();
            let folder = Folder::open(directory.path()).unwrap();
            let name = "m.gguf".parse().unwrap();
            let bytes = BytesAgain {
                name: &name,
                described_as: &name,
                size: 7,
                digest: None,
                place: &FilePlace::new(&folder, "kept"),
            };
            store
                .catalog()
                .check_again(&bytes)
                .map_err(|error| error.kind())
        };

        assert_eq!(check(&|_| {}), Ok(()));
        let format = check(&|options| options.require_format = true);
        assert_eq!(format, Err(ErrorKind::UnsupportedType));
        let license = check(&|options| options.require_license = true);
        assert_eq!(license, Err(ErrorKind::BadRequest));
        let signed = check(&|options| options.signers = vec![key.public_key().clone()]);
        assert_eq!(signed, Err(ErrorKind::Integrity));
    }
}
