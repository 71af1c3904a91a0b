// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes that the store has, and that a change set only names.

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName, Revision};
use crate::signature::Signature;
use crate::store::about::Metadata;
use crate::store::changes::change::{Bytes, Change, ChangeRequest, CommitOutcome, Others};
use crate::store::changes::change_files::ChangeId;
use crate::store::changes::commit::known_place;
use crate::store::changes::staging::{open, staged_signature};
use crate::store::claim::{BytesOrigin, Claim, Condition, Published};
use crate::store::failure::unstored;
use crate::store::store_handle::Store;

/// Bytes of the store that a name is to have.
pub(crate) struct KnownBytes {
    pub(crate) name: ModelName,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Store {
    /// The size of bytes that are here, under a name, as an old version or as an object.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn known_size(&self, digest: Digest) -> Result<Option<u64>> {
        let found = known_place(self.catalog(), digest)?;
        Ok(found.map(|(_, size)| size))
    }

    /// Lets a name of a change set have bytes that the store has, under whatever name.
    ///
    /// # Errors
    /// As [`Store::check_staged`]; `NotFound` if there are no such bytes.
    pub(crate) fn stage_known(
        &self,
        id: ChangeId,
        name: &ModelName,
        digest: Digest,
        metadata: Metadata,
        signature: Option<Signature>,
    ) -> Result<Published> {
        let catalog = self.catalog();
        self.check_staged(id, name, None, &metadata)?;

        let Some((place, size)) = known_place(catalog, digest)? else {
            let text = "this server has no bytes with this digest";
            return Err(Error::new(ErrorKind::NotFound, text).hint("send them"));
        };

        // The rules are those for bytes that are sent.
        let change = catalog.changes.find(id)?;
        let claim = Claim {
            name,
            size,
            digest,
            expected: None,
            condition: &Condition::Any,
            metadata: &metadata,
            signature: signature.as_ref(),
            origin: BytesOrigin::Upload,
        };
        let beside = staged_signature(&*open(&change)?, &claim);
        let claim = Claim {
            signature: claim.signature.or(beside.as_ref()),
            ..claim
        };
        let signature = catalog.check_known(&claim, &place)?;

        let mut set = open(&change)?;
        let bytes = Bytes {
            digest,
            size,
            number: set.next_number(),
            is_unsure: false,
            metadata,
            signature,
        };
        let known = Change::Known(bytes);
        self.check_room(&change, &set, name, known.memory(name))?;
        let folds = catalog.layout.folds_names();
        set.note(name, known, folds).map_err(unstored)?;
        change.count(&set);

        Ok(Published {
            model: Model {
                name: name.clone(),
                size,
                modified: crate::clock::now(),
                digest: Some(digest),
            },
            replaced: false,
            kept: true,
        })
    }

    /// Makes a folder have bytes that the store has, in one step; what it is before is kept.
    ///
    /// # Errors
    /// As [`Store::begin_change`] and [`Store::commit_change`]; `Conflict` where it cannot be kept.
    pub(crate) fn commit_known(
        &self,
        root: &ModelName,
        known: impl Iterator<Item = KnownBytes>,
        others: Others,
        principal: Option<String>,
        expected: Option<Revision>,
    ) -> Result<CommitOutcome> {
        let catalog = self.catalog();
        let request = ChangeRequest {
            root: Some(root.clone()),
            principal,
        };
        let id = self.begin_change(request)?;

        let filled = self.fill(id, known);
        let mut committed = filled.and_then(|()| self.commit_change(id, others, expected));
        if committed.is_err() && catalog.unfinished.is_of(id) {
            // Whoever asks once more could mean what was there before this very change, so it is not told to.
            committed = self.commit_change(id, others, expected).map_err(undone);
        }
        if committed.is_err()
            && let Err(error) = self.abandon_change(id)
        {
            log::debug!("a change set is left: {error}");
        }
        catalog.digester.save_later();
        committed
    }

    fn fill(&self, id: ChangeId, known: impl Iterator<Item = KnownBytes>) -> Result<()> {
        let catalog = self.catalog();
        let change = catalog.changes.find(id)?;
        let mut set = open(&change)?;
        // Who brings an old state back means to be able to come back from it.
        set.must_keep = true;
        let folds = catalog.layout.folds_names();
        for KnownBytes { name, digest, size } in known {
            let bytes = Bytes {
                digest,
                size,
                number: set.next_number(),
                is_unsure: false,
                metadata: Metadata::default(),
                signature: None,
            };
            set.note(&name, Change::Known(bytes), folds)
                .map_err(unstored)?;
        }
        Ok(())
    }
}

fn undone(error: Error) -> Error {
    Error::new(ErrorKind::Internal, error.message()).hint(
        "the server goes on with it by itself, and its log says what is in the way: look at the revision of the \
         folder before you ask again",
    )
}
