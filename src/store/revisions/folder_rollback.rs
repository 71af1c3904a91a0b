// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Making a folder what it was in an old revision, in one step.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision};
use crate::store::blobs::BlobSearch;
use crate::store::changes::{CommitOutcome, KnownBytes, Others, sources};
use crate::store::failure::unlisted;
use crate::store::revisions::kept_revisions;
use crate::store::revisions::manifest::{FolderMember, Manifest};
use crate::store::rules::BytesAgain;
use crate::store::store_handle::Store;

/// Which of the old revisions of a folder is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevisionChoice {
    /// The one before the present one.
    Newest,
    Number(u64),
    Revision(Revision),
}

impl FromStr for RevisionChoice {
    type Err = Error;

    /// Reads a number, a revision, or `newest`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "newest" {
            return Ok(Self::Newest);
        }
        // `parse` alone would accept a sign. A revision has more digits than any number.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        text.parse().map(Self::Revision)
    }
}

impl Store {
    /// Makes a folder what it was, if it still has the revision that is expected; what it is becomes an old
    /// revision.
    ///
    /// # Errors
    /// `PreconditionFailed` for another revision; `NotFound` if no such revision is kept, `RevisionGone` if its
    /// bytes are not; what uploads of the same bytes are refused for; `NoSpace`; otherwise those of the file system. The folder then stays as it is.
    pub(crate) fn rollback_folder(
        &self,
        root: &ModelName,
        choice: RevisionChoice,
        principal: Option<String>,
        expected: Option<Revision>,
    ) -> Result<CommitOutcome> {
        let catalog = self.catalog();
        catalog.check_changeable()?;

        let info = self.folder_info(root, BlobSearch::Versions)?;
        let hidden = catalog.layout.hidden();
        // One whose bytes have given way is said to be gone; an older one in its place would surprise.
        let mut kept = kept_revisions::list(hidden, root).map_err(unlisted)?;
        kept.retain(|kept| Some(kept.revision) != info.revision);
        let wanted = match choice {
            RevisionChoice::Revision(revision) => Some(revision),
            RevisionChoice::Newest => kept.first().map(|kept| kept.revision),
            RevisionChoice::Number(number) => {
                let found = kept.iter().find(|kept| kept.number == number);
                found.map(|kept| kept.revision)
            }
        };
        let Some(wanted) = wanted else {
            let text = format!("no such revision of '{root}/' is kept");
            return Err(Error::new(ErrorKind::NotFound, text)
                .hint("'skep show FOLDER/' lists them; the server setting keep-versions says how many are kept"));
        };

        let kept = kept_revisions::read(catalog.layout.hidden(), root, wanted).map_err(unlisted)?;
        let manifest = match kept {
            Some(kept) => kept,
            // The present one may be asked for as well.
            None => (*self.manifest_at(root, wanted, BlobSearch::Versions)?).clone(),
        };
        self.check_again(&manifest)?;

        let known = manifest.members.iter().map(|member| KnownBytes {
            name: member.name.clone(),
            digest: member.digest,
            size: member.size,
        });
        self.commit_known(root, known, Others::Remove, principal, expected)
    }

    /// Asks the rules of the store for all bytes that come back, as for uploads.
    fn check_again(&self, manifest: &Manifest) -> Result<()> {
        let catalog = self.catalog();
        let wanted = manifest.members.iter();
        let wanted = wanted.map(|member| *member.digest.as_bytes()).collect();
        let places = sources(catalog, wanted)?;

        for member in &manifest.members {
            let Some(place) = places.get(member.digest.as_bytes()) else {
                let text = format!(
                    "the bytes of '{}' in that revision are not kept any more",
                    member.name
                );
                return Err(Error::new(ErrorKind::RevisionGone, text)
                    .hint("choose a newer one: 'skep show FOLDER/' lists them"));
            };
            let again = BytesAgain {
                name: &member.name,
                described_as: &member.name,
                size: member.size,
                digest: Some(member.digest),
                place,
            };
            catalog
                .check_again(&again)
                .map_err(|error| refused(member, error))?;
        }
        Ok(())
    }
}

fn refused(member: &FolderMember, error: Error) -> Error {
    let text = format!("'{}' does not come back: {}", member.name, error.message());
    Error::new(error.kind(), text).hint("send the folder anew, as this server wants it")
}
