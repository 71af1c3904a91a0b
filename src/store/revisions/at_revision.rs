// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders as they are and as they were: what is in a revision, and the bytes of a model in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName, Revision};
use crate::store::blobs::BlobSearch;
use crate::store::catalog::{Catalog, Standing};
use crate::store::changes::{absent, sources};
use crate::store::failure::{unlisted, unreadable};
use crate::store::revisions::kept_revisions::{self, KeptRevision};
use crate::store::revisions::manifest::{AskedManifest, Manifest};
use crate::store::store_handle::Store;
use crate::store::stored::{OpenedModel, StoredContent};
use crate::threads::lock;

type ManifestLook = fn(&Catalog, &ModelName, Revision) -> Result<Option<Manifest>>;

/// What is known of a folder.
pub(crate) struct FolderInfo {
    pub(crate) models: usize,
    pub(crate) size: u64,
    /// `None` while a digest in it is not known.
    pub(crate) revision: Option<Revision>,
    /// Older ones whose bytes are all here, newest first.
    pub(crate) kept: Vec<KeptRevision>,
}

impl Store {
    /// Whether a name is that of a folder: there are models in it, or revisions of it are kept.
    pub(crate) fn is_folder(&self, name: &ModelName) -> bool {
        let layout = &self.catalog().layout;
        let has_models = layout
            .names_below(name)
            .is_ok_and(|mut names| names.next().is_some());
        has_models || kept_revisions::list(layout.hidden(), name).is_ok_and(|kept| !kept.is_empty())
    }

    /// What is known of a folder, with the revisions that are kept where old states are looked for.
    ///
    /// # Errors
    /// `NotFound` if there is none; otherwise those of the file system.
    pub(crate) fn folder_info(&self, root: &ModelName, search: BlobSearch) -> Result<FolderInfo> {
        let catalog = self.catalog();
        let shown = catalog.shown();
        shown.check(root)?;
        catalog.layout.check_there()?;

        let names = catalog.members(Some(root))?;
        let mut kept = match search {
            BlobSearch::Versions => {
                kept_revisions::list(catalog.layout.hidden(), root).map_err(unlisted)?
            }
            BlobSearch::Models => Vec::new(),
        };
        if names.is_empty() && kept.is_empty() {
            let text = format!("there is no folder '{root}/'");
            return Err(Error::new(ErrorKind::NotFound, text).hint("'skep ls' lists what there is"));
        }

        let manifest = catalog.manifest(root)?;
        let revision = manifest.as_ref().map(Manifest::revision);
        let size = match &manifest {
            Some(manifest) => manifest.size(),
            // The sizes are known without the digests.
            None => names.iter().map(|name| catalog.size_of(name)).sum(),
        };
        // A commit that was given up leaves what the folder still is.
        kept.retain(|kept| Some(kept.revision) != revision);
        let kept = catalog.whole(root, kept)?;
        Ok(FolderInfo {
            models: names.len(),
            size,
            revision,
            kept,
        })
    }

    /// What a folder has now; `None` if there is nothing in it.
    ///
    /// # Errors
    /// `Busy` while a digest in it is not known; otherwise those of the file system.
    pub(crate) fn present_manifest(&self, root: &ModelName) -> Result<Option<Arc<Manifest>>> {
        let catalog = self.catalog();
        let shown = catalog.shown();
        shown.check(root)?;
        catalog.layout.check_there()?;

        let Some(manifest) = catalog.manifest(root)? else {
            // Each of them is asked for, so that one attempt later all may be known.
            for name in catalog.members(Some(root))? {
                if let Ok(Standing::Model(stamp)) = catalog.layout.standing(&name) {
                    catalog.model(&name, &stamp);
                }
            }
            let text = format!("digests of models in '{root}/' are being computed");
            return Err(Error::new(ErrorKind::Busy, text).hint("try again a little later"));
        };
        if manifest.members.is_empty() {
            return Ok(None);
        }

        let manifest = Arc::new(manifest);
        catalog.remember(AskedManifest {
            revision: manifest.revision(),
            is_present: true,
            manifest: Arc::clone(&manifest),
        });
        Ok(Some(manifest))
    }

    /// What a folder has in a revision.
    ///
    /// # Errors
    /// `RevisionGone` if that is not kept; otherwise those of the file system.
    pub(crate) fn manifest_at(
        &self,
        root: &ModelName,
        revision: Revision,
        search: BlobSearch,
    ) -> Result<Arc<Manifest>> {
        self.catalog().shown().check(root)?;
        let roots = std::slice::from_ref(root);
        let found = self.catalog().manifest_of(roots, revision, search)?;
        found.ok_or_else(|| gone(root, revision))
    }

    /// Whether all bytes of a revision are here.
    ///
    /// # Errors
    /// `RevisionGone` if some are not; otherwise those of the file system.
    pub(crate) fn check_bytes_of(&self, manifest: &Manifest, search: BlobSearch) -> Result<()> {
        let catalog = self.catalog();
        let members = manifest.members.iter();
        let mut missing: BTreeSet<_> = members.map(|member| *member.digest.as_bytes()).collect();

        match search {
            BlobSearch::Versions => {
                for digest in sources(catalog, missing.clone())?.keys() {
                    missing.remove(digest);
                }
            }
            BlobSearch::Models => {
                for (_, _, digest) in catalog.index.having(&missing.clone()) {
                    missing.remove(digest.as_bytes());
                }
            }
        }

        if missing.is_empty() {
            Ok(())
        } else {
            Err(gone(&manifest.root, manifest.revision()))
        }
    }

    /// Opens a model as it was in a revision of one of its folders.
    ///
    /// # Errors
    /// `RevisionGone` if no folder has that revision, or if its bytes are not kept any more; `NotFound` if
    /// there was no such model in it; otherwise those of the file system.
    pub(crate) fn open_model_at(
        &self,
        name: &ModelName,
        revision: Revision,
        search: BlobSearch,
    ) -> Result<OpenedModel> {
        let catalog = self.catalog();
        catalog.shown().check(name)?;
        let roots: Vec<_> = name.ancestors().collect();
        let manifest = catalog.manifest_of(&roots, revision, search)?;
        let manifest = manifest.ok_or_else(|| gone(name, revision))?;
        let root = &manifest.root;
        let Some(member) = manifest.find(name) else {
            let text = format!("revision {revision} of '{root}/' has no '{name}'");
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        if let Some(opened) = catalog.open_present(name, member.digest)? {
            return Ok(opened);
        }

        // Most are old versions of this very model; to look through those of all takes long.
        let own = match search {
            BlobSearch::Versions => catalog.open_version_of(name, member.digest)?,
            BlobSearch::Models => None,
        };
        // Branches and tags keep theirs as objects.
        let own = match own {
            Some(opened) => Some(opened),
            None => self.open_object(member.digest)?,
        };
        let opened = match own {
            Some(opened) => Ok(opened),
            None => self.open_blob(member.digest, search),
        };
        match opened {
            Ok(opened) => Ok(OpenedModel {
                model: Model {
                    name: name.clone(),
                    ..opened.model
                },
                ..opened
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(gone(root, revision)),
            Err(error) => Err(error),
        }
    }
}

impl Catalog {
    /// What the folder among these had that has a revision.
    ///
    /// # Errors
    /// Those of the file system.
    fn manifest_of(
        &self,
        roots: &[ModelName],
        revision: Revision,
        search: BlobSearch,
    ) -> Result<Option<Arc<Manifest>>> {
        // What a revision has never changes, and whoever fetches one asks for it with every file.
        let known = {
            let last = lock(&self.last_manifests);
            let is_it = |known: &&AskedManifest| {
                known.revision == revision
                    && roots.contains(&known.manifest.root)
                    && (known.is_present || search == BlobSearch::Versions)
            };
            let known = last.iter().find(is_it);
            known.map(|known| Arc::clone(&known.manifest))
        };
        if known.is_some() {
            return Ok(known);
        }

        let _shown = self.shown();
        // What a folder is now takes a look at each of its models, so all that is kept comes before.
        let looks: &[(ManifestLook, bool)] =
            &[(Self::kept_manifest, false), (Self::present_manifest, true)];
        let looks = looks
            .iter()
            .filter(|(_, is_present)| *is_present || search == BlobSearch::Versions);
        for ((look, is_present), root) in
            looks.flat_map(|look| roots.iter().map(move |root| (look, root)))
        {
            let Some(manifest) = look(self, root, revision)? else {
                continue;
            };
            let manifest = Arc::new(manifest);
            self.remember(AskedManifest {
                revision,
                is_present: *is_present,
                manifest: Arc::clone(&manifest),
            });
            return Ok(Some(manifest));
        }
        Ok(None)
    }

    /// Keeps what was asked for, for the next caller.
    pub(crate) fn remember(&self, asked: AskedManifest) {
        let mut last = lock(&self.last_manifests);
        let is_it = |known: &AskedManifest| {
            known.revision == asked.revision && known.manifest.root == asked.manifest.root
        };
        last.retain(|known| !is_it(known));
        last.truncate(MANIFESTS_KEPT - 1);
        last.push_front(asked);
    }

    /// Those of these revisions that can be had: the bytes of others have given way to newer ones.
    fn whole(&self, root: &ModelName, kept: Vec<KeptRevision>) -> Result<Vec<KeptRevision>> {
        let mut whole = Vec::new();
        for one in kept {
            if let Some(manifest) = self.kept_manifest(root, one.revision)? {
                let members = manifest.members.iter();
                let digests: BTreeSet<_> =
                    members.map(|member| *member.digest.as_bytes()).collect();
                whole.push((one, digests));
            }
        }

        let wanted = whole.iter().flat_map(|(_, digests)| digests).copied();
        let absent = absent(self, wanted.collect())?;
        whole.retain(|(_, digests)| digests.is_disjoint(&absent));
        Ok(whole.into_iter().map(|(one, _)| one).collect())
    }

    /// The size of a model; nothing for what is none any more.
    fn size_of(&self, name: &ModelName) -> u64 {
        match self.layout.standing(name) {
            Ok(Standing::Model(stamp)) => stamp.size,
            _ => 0,
        }
    }

    fn kept_manifest(&self, root: &ModelName, revision: Revision) -> Result<Option<Manifest>> {
        kept_revisions::read(self.layout.hidden(), root, revision).map_err(unlisted)
    }

    fn present_manifest(&self, root: &ModelName, revision: Revision) -> Result<Option<Manifest>> {
        let present = self.manifest(root)?;
        Ok(present.filter(|present| present.revision() == revision))
    }

    /// Opens a model, if it has these bytes still.
    fn open_present(&self, name: &ModelName, digest: Digest) -> Result<Option<OpenedModel>> {
        let opened = self.layout.open_model(name);
        let opened = opened.map_err(|error| unreadable(name, error))?;
        Ok(opened.and_then(|(file, stamp)| {
            let is_it = self.index.find(name, &stamp) == Some(digest);
            is_it.then(|| OpenedModel {
                model: stamp.model(name, Some(digest)),
                stamp,
                about: None,
                content: StoredContent::File(file),
            })
        }))
    }
}

fn gone(root: &ModelName, revision: Revision) -> Error {
    let text = format!("revision {revision} of '{root}' is not here, or not any more");
    Error::new(ErrorKind::RevisionGone, text)
        .hint("'skep show FOLDER/' lists the revisions that are kept")
}

/// Callers that fetch different revisions or repositories at a time each need one: 1 MB for 10,000 models.
const MANIFESTS_KEPT: usize = 4;
