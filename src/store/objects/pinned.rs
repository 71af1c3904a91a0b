// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Objects that something else than a model needs: they stay as long as it does.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::disk::{self, FilePlace};
use crate::error::{Error, ErrorKind, Result};
use crate::store::catalog::Stamp;
use crate::store::changes::sources;
use crate::store::failure::unstored;
use crate::store::hidden_folder::OBJECTS;
use crate::store::store_handle::Store;
use crate::store::stored::OpenedModel;

impl Store {
    /// Keeps objects for whoever needs them, and says so again after each start.
    pub(crate) fn pin_objects(&self, digests: &BTreeSet<[u8; 32]>) {
        self.catalog().objects.add_pins(digests);
    }

    /// Does not need them any more; those that nobody needs go, no open change set either. Whoever calls this holds no
    /// name.
    pub(crate) fn unpin_objects(&self, digests: &BTreeSet<[u8; 32]>) {
        let objects = &self.catalog().objects;
        objects.note_named(&objects.remove_pins(digests));
        self.catalog().remove_named_objects();
    }

    /// The size of an object, which stays for a while then. With a sender, only one that this one has sent counts.
    pub(crate) fn object_size(&self, digest: Digest, sender: Option<&str>) -> Option<u64> {
        self.catalog().objects.touched(digest, sender)
    }

    /// Opens an object. That it is handed out is a matter of who asks.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open_object(&self, digest: Digest) -> Result<Option<OpenedModel>> {
        let wanted = BTreeSet::from([*digest.as_bytes()]);
        let catalog = self.catalog();
        let places = catalog.objects.places(catalog.layout.hidden(), &wanted);
        match places.get(digest.as_bytes()) {
            Some(place) => catalog.open_proven(digest, place),
            None => Ok(None),
        }
    }

    /// Has objects of bytes that are here under names, or were; those that are objects already stay so. They have to
    /// be pinned before.
    ///
    /// # Errors
    /// `Conflict` if some bytes are not here any more; otherwise those of the file system.
    pub(crate) fn keep_known(&self, digests: &BTreeSet<[u8; 32]>) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let hidden = catalog.layout.hidden();
        let known = catalog.objects.places(hidden, digests);
        let missing = digests.iter().filter(|digest| !known.contains_key(*digest));
        let missing: BTreeSet<_> = missing.copied().collect();
        if missing.is_empty() {
            return Ok(());
        }

        let found = sources(catalog, missing.clone())?;
        if found.len() < missing.len() {
            let text = "some of these bytes are not here any more";
            return Err(Error::new(ErrorKind::Conflict, text).hint("try again"));
        }

        let folder = hidden.made(OBJECTS).map_err(unstored)?;
        for (digest, source) in found {
            let bytes = Digest::from_bytes(digest);
            let before = source.facts().map(Stamp::of).map_err(unstored)?;
            let place = FilePlace::new(&folder, bytes.to_string());
            let _ = place.remove_unsynced();
            disk::preserve_unsynced(&source, &place).map_err(unstored)?;

            // A file that has got one more name has the bytes that were known; a copy is read.
            let (file, facts) = place.open().map_err(unstored)?;
            let stamp = Stamp::of(facts);
            let is_it = stamp.is_linked_since(&before)
                || catalog.proof(&file, stamp).map_err(unstored)? == Some(bytes);
            if !is_it {
                let _ = place.remove_unsynced();
                let text = "some of these bytes change just now";
                return Err(Error::new(ErrorKind::Conflict, text).hint("try again"));
            }
            catalog.objects.add(&digest, stamp, None);
        }
        folder.sync().map_err(unstored)?;
        catalog.learn_linked(&missing);
        Ok(())
    }
}
