// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bringing a version back: it becomes the model, by the same rules as what is sent, and the present model
//! becomes a version.

use std::fs::File;
use std::io;

use crate::digest::Digest;
use crate::disk::{self, FileFacts, FilePlace};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, VersionChoice};
use crate::store::catalog::{Stamp, Standing};
use crate::store::claim::{BytesOrigin, Claim, Condition, NewBytes, Published};
use crate::store::failure::unstored;
use crate::store::locking::name_locks::NameScope;
use crate::store::rules::{self, side_file};
use crate::store::store_handle::Store;
use crate::store::versions::version_files::{ModelVersion, list};

impl Store {
    /// Makes the newest version the model again, and keeps the present one as a version. Doing it
    /// twice changes nothing but times.
    ///
    /// # Errors
    /// As [`Store::rollback_to`].
    pub fn rollback(&self, name: &ModelName) -> Result<Published> {
        self.rollback_to(name, VersionChoice::Newest)
    }

    /// Makes a version the model again, and keeps the present one as the newest version; so each of
    /// them can still be had. A model that has the chosen digest already stays as it is.
    ///
    /// # Errors
    /// `NotFound` if there is no such version; `Conflict` if something that is not a model has the name;
    /// what an upload of the same bytes is refused for: `Integrity`, `UnsupportedType`, `BadRequest`;
    /// `NoSpace`; otherwise those of the file system. The present model then stays.
    pub fn rollback_to(&self, name: &ModelName, choice: VersionChoice) -> Result<Published> {
        self.rollback_if(name, choice, &Condition::Any)
    }

    /// The same, if a condition holds for the present model.
    ///
    /// # Errors
    /// As [`Store::rollback_to`], and `PreconditionFailed`.
    pub fn rollback_if(
        &self,
        name: &ModelName,
        choice: VersionChoice,
        condition: &Condition,
    ) -> Result<Published> {
        let catalog = self.catalog();
        catalog.check_changeable()?;

        for _ in 0..TRIES {
            let digested = catalog.digest_for(name, condition)?;
            catalog.judge(name, condition, digested)?;
            if let Some(model) = self.has_chosen(name, choice) {
                return Ok(Published {
                    model,
                    replaced: true,
                    kept: true,
                });
            }

            let version = self.chosen(name, choice)?;
            let folder = self.catalog().layout.versions_of(name).map_err(unstored)?;
            let Some(folder) = folder else { continue };
            let place = FilePlace::new(&folder, &version.file_name);
            match self.bring_back(name, &version, place.clone(), condition) {
                // Another call has brought it back or removed it since it was listed.
                Err(_) if !place.exists() => {}
                brought => return brought,
            }
        }

        Err(changing(name))
    }

    /// The present model, if it is the one that is wanted.
    fn has_chosen(&self, name: &ModelName, choice: VersionChoice) -> Option<crate::model::Model> {
        let VersionChoice::Digest(wanted) = choice else {
            return None;
        };
        let catalog = self.catalog();
        let _guard = catalog.changing(NameScope::of(name)).ok()?;
        let model = self.find(name).ok()?;
        if model.digest != Some(wanted) {
            return None;
        }

        // An earlier call may have failed after the model was there.
        side_file::restore(catalog, name, wanted);
        Some(model)
    }

    fn chosen(&self, name: &ModelName, choice: VersionChoice) -> Result<ModelVersion> {
        let versions = list(&self.catalog().layout, name).map_err(unstored)?;
        let numbers: Vec<_> = versions.iter().map(|one| one.number.to_string()).collect();

        let mut versions = versions.into_iter();
        let found = match choice {
            VersionChoice::Newest => versions.next(),
            VersionChoice::Number(number) => versions.find(|one| one.number == number),
            VersionChoice::Digest(digest) => versions.find(|one| one.digest == Some(digest)),
        };

        found.ok_or_else(|| {
            let is_model = matches!(self.catalog().layout.standing(name), Ok(Standing::Model(_)));
            if numbers.is_empty() && !is_model {
                return self.catalog().not_found(name);
            }
            if numbers.is_empty() {
                let text = format!("no older version of '{name}' is kept");
                return Error::new(ErrorKind::NotFound, text)
                    .hint("the server setting keep-versions says how many are kept");
            }
            let text = format!("no version {choice} of '{name}' is kept");
            let shown: Vec<_> = numbers.iter().take(SHOWN_MAX).cloned().collect();
            Error::new(ErrorKind::NotFound, text).hint(format!(
                "there are {}: {}; 'skep show {name}' tells more of them",
                numbers.len(),
                shown.join(", ")
            ))
        })
    }

    fn bring_back(
        &self,
        name: &ModelName,
        version: &ModelVersion,
        place: FilePlace,
        condition: &Condition,
    ) -> Result<Published> {
        let (file, facts) = place.open().map_err(unstored)?;

        // The name of a file vouches for no bytes: they are read before they become a model, which may take
        // long and so comes before any lock.
        let catalog = self.catalog();
        let proof = catalog.proof(&file, Stamp::of(facts)).map_err(unstored)?;
        let digest = proof.ok_or_else(|| changing(name))?;
        if let Some(kept) = version.digest.filter(|kept| *kept != digest) {
            return Err(damaged(name, version.number, kept, digest));
        }

        // What was said of these bytes when they came still holds.
        let about = rules::find(catalog, name, Some(digest));
        let metadata = about.map(|about| about.metadata).unwrap_or_default();
        let signature = rules::signature_of(catalog, name, Some(digest));

        let claim = Claim {
            name,
            size: version.size,
            digest,
            expected: None,
            condition,
            metadata: &metadata,
            signature: signature.as_ref(),
            origin: BytesOrigin::Version,
        };

        let bytes = VersionBytes { place, file, facts };
        self.publish(bytes, &claim)
            .map_err(|error| match error.kind() {
                ErrorKind::Integrity | ErrorKind::UnsupportedType | ErrorKind::BadRequest => {
                    let number = version.number;
                    let reason = error.message();
                    let text = format!("version {number} of '{name}' does not come back: {reason}");
                    Error::new(error.kind(), text)
                        .hint("send the model anew, as this server wants it")
                }
                _ => error,
            })
    }
}

fn changing(name: &ModelName) -> Error {
    let text = format!("the versions of '{name}' change all the time");
    Error::new(ErrorKind::Busy, text).hint("try again")
}

/// What is answered where a version is not what was kept: the disk has changed it, or somebody.
fn damaged(name: &ModelName, number: u64, kept: Digest, found: Digest) -> Error {
    let text = format!(
        "version {number} of '{name}' is damaged: its bytes have the digest {found:?}, and {kept:?} was kept"
    );
    log::error!("{text}");
    Error::new(ErrorKind::Integrity, text).hint(format!(
        "bring back another one ('skep show {name}' lists them), or send the model anew"
    ))
}

/// The file of a version.
struct VersionBytes {
    place: FilePlace,
    file: File,
    facts: FileFacts,
}

impl NewBytes for VersionBytes {
    fn content(&mut self) -> io::Result<File> {
        self.place.open().map(|(file, _)| file)
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn publish(self, target: &FilePlace) -> io::Result<File> {
        // What was checked must be what becomes the model.
        let now = self.place.facts()?;
        let (now, checked) = (Stamp::of(now), Stamp::of(self.facts));
        if now != checked && !now.is_linked_since(&checked) {
            return Err(io::ErrorKind::NotFound.into());
        }

        // With its old time, callers who ask whether it was modified since would be told that it was
        // not.
        disk::touch(&self.place)?;
        disk::move_file(&self.place, target)?;
        Ok(self.file)
    }
}

/// How often a version is looked for again that went while it was looked at.
const TRIES: usize = 3;

const SHOWN_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Folder;

    #[test]
    fn what_was_not_checked_becomes_no_model() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("version"), "checked").unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let place = FilePlace::new(&folder, "version");
        let (file, facts) = place.open().unwrap();

        // Somebody puts another file there while the digest and the signature are looked at.
        std::fs::write(path("other"), "other").unwrap();
        std::fs::rename(path("other"), path("version")).unwrap();
        let bytes = VersionBytes { place, file, facts };
        let error = bytes.publish(&FilePlace::new(&folder, "m")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!path("m").exists());

        // The same file, and other bytes.
        let place = FilePlace::new(&folder, "version");
        let (file, facts) = place.open().unwrap();
        std::fs::write(path("version"), "longer than before").unwrap();
        let bytes = VersionBytes { place, file, facts };
        bytes.publish(&FilePlace::new(&folder, "m")).unwrap_err();
        assert!(!path("m").exists());
    }
}
