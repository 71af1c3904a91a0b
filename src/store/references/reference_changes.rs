// SPDX-License-Identifier: Apache-2.0 OR MIT
//! References that are made, moved on by commits, and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision};
use crate::store::catalog::Catalog;
use crate::store::changes::{Change, ChangeId};
use crate::store::failure::{unlisted, unstored};
use crate::store::hidden_folder::{REFERENCES, kept_tree};
use crate::store::references::reference_files::{self, digests};
use crate::store::references::reference_name::{ReferenceKind, ReferenceName};
use crate::store::revisions::{AskedManifest, FolderMember, Manifest};
use crate::store::store_handle::Store;
use crate::store::stored::OpenedModel;
use crate::text::counted;
use crate::threads::lock;

impl Store {
    /// The references of a folder, and the revisions that they are.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn references(&self, root: &ModelName) -> Result<BTreeMap<ReferenceName, Revision>> {
        reference_files::list(self.catalog().layout.hidden(), root).map_err(unlisted)
    }

    /// The branch of this name, or else the tag, and what it is.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn find_reference(
        &self,
        root: &ModelName,
        name: &str,
    ) -> Result<Option<(ReferenceName, Arc<Manifest>)>> {
        for kind in [ReferenceKind::Branch, ReferenceKind::Tag] {
            let Ok(name) = ReferenceName::new(kind, name) else {
                return Ok(None);
            };
            let read = reference_files::read(self.catalog().layout.hidden(), root, &name);
            if let Some(manifest) = read.map_err(unlisted)? {
                return Ok(Some((name, manifest)));
            }
        }
        Ok(None)
    }

    /// What the reference of a folder is that has this revision.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn reference_at(
        &self,
        root: &ModelName,
        revision: Revision,
    ) -> Result<Option<Arc<Manifest>>> {
        let catalog = self.catalog();
        let all = self.references(root)?;
        let Some((name, _)) = all.iter().find(|(_, known)| **known == revision) else {
            return Ok(None);
        };
        let read = reference_files::read(catalog.layout.hidden(), root, name);
        let manifest = read.map_err(unlisted)?;
        if let Some(manifest) = &manifest {
            // Whoever fetches it asks for it with every file.
            catalog.remember(AskedManifest {
                revision,
                is_present: true,
                manifest: Arc::clone(manifest),
            });
        }
        Ok(manifest)
    }

    /// Opens a file of a reference.
    ///
    /// # Errors
    /// `RevisionGone` if its bytes are not what they were; otherwise those of the file system.
    pub(crate) fn open_member(&self, member: &FolderMember) -> Result<OpenedModel> {
        let opened = self.open_object(member.digest)?.ok_or_else(|| {
            let text = format!("the bytes of '{}' are not here any more", member.name);
            Error::new(ErrorKind::RevisionGone, text)
        })?;
        Ok(OpenedModel {
            model: crate::model::Model {
                name: member.name.clone(),
                ..opened.model
            },
            ..opened
        })
    }

    /// Makes a reference of what a folder is in a state.
    ///
    /// # Errors
    /// `Conflict` if there is one of this name, or if bytes are not here any more; `NoSpace` if there are too many,
    /// or if the quota is full; otherwise those of the file system.
    pub(crate) fn make_reference(&self, name: &ReferenceName, state: &Manifest) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let _turn = lock(&catalog.references);
        let known = self.references(&state.root)?;
        if known.contains_key(name) {
            let text = format!("'{}' is there already", name.as_str());
            return Err(Error::new(ErrorKind::Conflict, text).hint("choose another name"));
        }
        let max = catalog.options.references_max;
        if known.len() >= max {
            let text = format!("a repository has at most {max} branches and tags");
            return Err(Error::new(ErrorKind::NoSpace, text)
                .hint("remove some of them, or raise max-references"));
        }
        self.put_reference(name, None, state)
    }

    /// Removes a reference, and the bytes that nothing else needs; says whether there was one.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove_reference(&self, root: &ModelName, name: &ReferenceName) -> Result<bool> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let _turn = lock(&catalog.references);
        self.drop_reference(root, name)
    }

    /// Marks a folder as a repository, which it is then without models as well.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn mark_repository(&self, root: &ModelName) -> Result<()> {
        self.catalog().check_changeable()?;
        reference_files::mark(self.catalog().layout.hidden(), root).map_err(unstored)
    }

    /// Whether a folder is marked so, or has references.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn is_repository(&self, root: &ModelName) -> Result<bool> {
        let hidden = self.catalog().layout.hidden();
        if reference_files::is_marked(hidden, root).map_err(unlisted)? {
            return Ok(true);
        }
        Ok(!self.references(root)?.is_empty())
    }

    /// The folders that are so.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn repositories(&self) -> Result<Vec<ModelName>> {
        let names = self.catalog().layout.hidden().names_in(REFERENCES);
        let mut names: Vec<_> = names.map_err(unlisted)?.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Gives a repository that has no models another name.
    ///
    /// # Errors
    /// `Conflict` if that is taken; otherwise those of the file system.
    pub(crate) fn move_repository(&self, from: &ModelName, to: &ModelName) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let _turn = lock(&catalog.references);
        if from == to || self.is_folder(to) || self.is_repository(to)? {
            let text = format!("'{to}' is there already");
            return Err(Error::new(ErrorKind::Conflict, text).hint("choose another name"));
        }
        let moved = kept_tree::follow_folder(catalog.layout.hidden(), from, to);
        lock(&catalog.last_manifests).clear();
        moved.map_err(unstored)
    }

    /// Removes all references of a folder, and its mark.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn forget_repository(&self, root: &ModelName) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let _turn = lock(&catalog.references);
        for name in self.references(root)?.keys() {
            self.drop_reference(root, name)?;
        }
        reference_files::unmark(catalog.layout.hidden(), root).map_err(unstored)
    }

    /// Moves a branch on: what a change set has changes it, and no model. The set is over then.
    ///
    /// # Errors
    /// `NotFound` if there is no such branch or set; `PreconditionFailed` if the branch is not what is expected;
    /// `Conflict` if bytes are missing; `NoSpace` for the bounds of the store; otherwise those of the file system. The
    /// branch then is what it was.
    pub(crate) fn commit_to_reference(
        &self,
        id: ChangeId,
        root: &ModelName,
        name: &ReferenceName,
        expected: Option<Revision>,
    ) -> Result<Revision> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let _turn = lock(&catalog.references);
        let read = reference_files::read(catalog.layout.hidden(), root, name);
        let before = read.map_err(unlisted)?.ok_or_else(|| {
            let text = format!("there is no branch '{}'", name.as_str());
            Error::new(ErrorKind::NotFound, text)
        })?;
        if expected.is_some_and(|expected| expected != before.revision()) {
            let text = "the branch has changed since: it is not at the commit that is expected";
            return Err(Error::new(ErrorKind::PreconditionFailed, text)
                .hint("look at what is there now, and commit again with its commit"));
        }

        let changes = self.take_for_objects(id)?;
        let after = changed(&before, &changes)?;
        let max = catalog.options.change_files_max;
        if after.members.len() > max {
            let text = format!("a branch has at most {}", counted(max as u64, "file"));
            return Err(Error::new(ErrorKind::NoSpace, text).hint("raise max-change-files"));
        }
        self.put_reference(name, Some(&before), &after)?;
        if let Err(error) = self.abandon_change(id) {
            log::debug!("a change set is left: {error}");
        }
        Ok(after.revision())
    }

    /// Writes a reference, once all of its bytes are objects that it pins.
    fn put_reference(
        &self,
        name: &ReferenceName,
        before: Option<&Manifest>,
        after: &Manifest,
    ) -> Result<()> {
        let catalog = self.catalog();
        let (old, new) = (before.map(digests).unwrap_or_default(), digests(after));
        catalog.check_pinned(after, &old)?;
        self.pin_objects(&new);
        let kept = self.keep_known(&new);
        let written = kept.and_then(|()| {
            let hidden = catalog.layout.hidden();
            reference_files::write(hidden, &after.root, name, after).map_err(unstored)
        });
        match &written {
            Ok(()) => {
                self.unpin_objects(&old);
                catalog.xet_sessions.note_named(&new);
                catalog.end_xet_sessions();
            }
            // What was sent stays for the next attempt.
            Err(_) => drop(catalog.objects.remove_pins(&new)),
        }
        lock(&catalog.last_manifests).clear();
        written
    }

    fn drop_reference(&self, root: &ModelName, name: &ReferenceName) -> Result<bool> {
        let catalog = self.catalog();
        let hidden = catalog.layout.hidden();
        let read = reference_files::read(hidden, root, name).map_err(unlisted)?;
        let was_there = reference_files::remove(hidden, root, name).map_err(unstored)?;
        if let Some(manifest) = read.filter(|_| was_there) {
            self.unpin_objects(&digests(&manifest));
        }
        lock(&catalog.last_manifests).clear();
        Ok(was_there)
    }
}

impl Catalog {
    /// Whether the quota has room for the bytes that a reference needs besides those it had.
    fn check_pinned(&self, after: &Manifest, old: &BTreeSet<[u8; 32]>) -> Result<()> {
        let new = after.members.iter();
        let new = new.filter(|member| !old.contains(member.digest.as_bytes()));
        let mut sizes = BTreeMap::new();
        for member in new {
            sizes.insert(*member.digest.as_bytes(), member.size);
        }
        let more = sizes.into_values().fold(0_u64, u64::saturating_add);
        if more == 0 {
            return Ok(());
        }
        self.check_total(&after.root, more, None).map(drop)
    }
}

/// What a state is after these changes.
///
/// # Errors
/// `Conflict` if one name would be a file and a folder.
fn changed(before: &Manifest, changes: &BTreeMap<ModelName, Change>) -> Result<Manifest> {
    let members = before.members.iter();
    let mut members: BTreeMap<_, _> = members
        .map(|member| (member.name.clone(), member.clone()))
        .collect();
    for (name, change) in changes {
        match change.bytes() {
            None => drop(members.remove(name)),
            Some(bytes) => {
                let member = FolderMember {
                    name: name.clone(),
                    digest: bytes.digest,
                    size: bytes.size,
                    modified: clock::now(),
                };
                members.insert(name.clone(), member);
            }
        }
    }
    for name in changes.keys().filter(|name| members.contains_key(*name)) {
        let above = name.ancestors().find(|above| members.contains_key(above));
        let prefix = format!("{name}/");
        let mut below =
            members.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        let below = below.next().filter(|(other, _)| other.is_below(name));
        if let Some(other) = above.or_else(|| below.map(|(other, _)| other.clone())) {
            let text = format!("'{name}' and '{other}' cannot both be there: one is a folder");
            return Err(Error::new(ErrorKind::Conflict, text).hint("remove one of them"));
        }
    }
    Ok(Manifest {
        root: before.root.clone(),
        members: members.into_values().collect(),
    })
}
