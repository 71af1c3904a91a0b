// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes that are asked for by their digest: those of a model, or of an old version.
//!
//! Whoever asks this way keeps the answer for ever, so nothing is handed out on the word of a file name: the
//! digest is known for the very stamp of the opened file, or is computed before.

mod proven;

pub(crate) use proven::ProvenBlobs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Seek as _};
use std::time::SystemTime;

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Stamp};
use crate::store::failure::{unlisted, unreadable};
use crate::store::store_handle::Store;
use crate::store::stored::{OpenedModel, StoredContent};
use crate::store::versions;

/// Where bytes and the states of folders are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobSearch {
    /// Among models as they are, whose digests are in memory.
    Models,
    /// Also among old versions and revisions: their folders are read, and perhaps the bytes.
    Versions,
}

impl Store {
    /// Opens the bytes that have a digest.
    ///
    /// # Errors
    /// `NotFound` if there are none; otherwise those of the file system.
    pub(crate) fn open_blob(&self, digest: Digest, search: BlobSearch) -> Result<OpenedModel> {
        let catalog = self.catalog();
        catalog.layout.check_there()?;
        let wanted = BTreeSet::from([*digest.as_bytes()]);

        for (name, ..) in catalog.index.having(&wanted) {
            // The digest is that of the file that was opened, which may be another one than the index meant.
            if let Ok(opened) = self.open_model(&name)
                && opened.model.digest == Some(digest)
            {
                return Ok(opened);
            }
        }

        if search == BlobSearch::Versions
            && let Some(opened) = catalog.open_version(digest, &wanted)?
        {
            return Ok(opened);
        }
        // They may be those of a name that nobody can look up now.
        catalog.shown().check_all()?;
        let text = format!("there are no bytes with the digest sha256:{digest}");
        Err(Error::new(ErrorKind::NotFound, text)
            .hint("'skep ls -l' shows the digests of all models"))
    }
}

/// Places and stamps of old versions, by their digests.
pub(crate) type ProvenVersions = BTreeMap<[u8; 32], (FilePlace, Stamp)>;

impl Catalog {
    fn open_version(
        &self,
        digest: Digest,
        wanted: &BTreeSet<[u8; 32]>,
    ) -> Result<Option<OpenedModel>> {
        let found = versions::places_of(self, wanted).map_err(unlisted)?;
        match found.get(digest.as_bytes()) {
            Some(place) => self.open_proven(digest, place),
            None => Ok(None),
        }
    }

    /// Opens the old version of a model that has a digest, if one has.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open_version_of(
        &self,
        name: &ModelName,
        digest: Digest,
    ) -> Result<Option<OpenedModel>> {
        let place = versions::place_of(&self.layout, name, digest).map_err(unlisted)?;
        match place {
            Some(place) => self.open_proven(digest, &place),
            None => Ok(None),
        }
    }

    /// Opens bytes that were kept, if they still are what they were.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open_proven(
        &self,
        digest: Digest,
        place: &FilePlace,
    ) -> Result<Option<OpenedModel>> {
        // There is no other name that would be right for all who have these bytes.
        let name: ModelName = digest.to_string().parse()?;
        let (file, facts) = match place.open() {
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| unreadable(&name, error))?,
        };

        let stamp = Stamp::of(facts);
        let is_proven = self.objects.is_proven(digest.as_bytes(), &stamp);
        let proof = || self.proof(&file, stamp);
        if !is_proven && proof().map_err(|error| unreadable(&name, error))? != Some(digest) {
            log::error!(
                "{} is damaged: its bytes are not those that were kept",
                place.path().display()
            );
            return Ok(None);
        }

        Ok(Some(OpenedModel {
            model: stamp.model(&name, Some(digest)),
            stamp,
            about: None,
            content: StoredContent::File(file),
        }))
    }

    /// The old versions and objects that have these digests: where each is, with the stamp for which that was proven. Those
    /// whose bytes are not what their names say are left out, and logged.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn proven_versions(&self, wanted: &BTreeSet<[u8; 32]>) -> Result<ProvenVersions> {
        let mut proven = BTreeMap::new();
        let objects = self.objects.places(self.layout.hidden(), wanted);
        let versions = if objects.len() < wanted.len() {
            versions::places_of(self, wanted).map_err(unlisted)?
        } else {
            BTreeMap::default()
        };
        for (bytes, place) in versions.into_iter().chain(objects) {
            let opened = self.open_proven(Digest::from_bytes(bytes), &place)?;
            proven.extend(opened.map(|opened| (bytes, (place, opened.stamp))));
        }
        Ok(proven)
    }

    /// The digest of an open file that has this stamp; `None` if it changes meanwhile.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn proof(&self, mut file: &File, stamp: Stamp) -> io::Result<Option<Digest>> {
        if let Some(known) = self.proven_blobs.find(&stamp) {
            return Ok(Some(known));
        }

        let start = SystemTime::now();
        let digest = Digest::of_reader(file)?;
        file.rewind()?;
        let after = Stamp::of(&file.metadata()?);
        if after != stamp {
            // A name that it got or lost meanwhile has changed a time, and no bytes.
            return Ok(after.is_linked_since(&stamp).then_some(digest));
        }

        if stamp.young_for(self.options.clock_tick, start).is_zero() {
            self.proven_blobs.insert(stamp, digest);
        }
        Ok(Some(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{FilePlace, Folder};
    use crate::store::StoreOptions;

    #[test]
    fn a_name_that_a_file_gets_while_it_is_read_does_not_damage_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        std::fs::write(directory.path().join("a"), "bytes").unwrap();
        let place = FilePlace::new(&folder, "a");
        let (file, facts) = place.open().unwrap();
        let before = Stamp::of(facts);

        // Until the clock of the file system has gone on, the times are the same.
        let other = FilePlace::new(&folder, "b");
        loop {
            place.link_to(&other).unwrap();
            if Stamp::of(place.facts().unwrap()) != before {
                break;
            }
            other.remove().unwrap();
        }
        let proof = store.catalog().proof(&file, before).unwrap();
        assert_eq!(proof, Some(Digest::of(b"bytes")));

        std::fs::write(directory.path().join("a"), "others").unwrap();
        assert_eq!(store.catalog().proof(&file, before).unwrap(), None);
    }
}
