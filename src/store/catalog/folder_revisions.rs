// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The models of a folder with their digests, and the revisions of a folder and of all that are in it, by one look
//! at each of their models.
//!
//! Names come in the order of their bytes, folder by folder, so that each model is added to the revisions of
//! all folders around it, and nothing but the names of one folder on each level is in memory.

use std::io;

use crate::disk::{FileKind, FilePlace, Folder};
use crate::error::Result;
use crate::model::{ModelName, READY_FILE, Revision, RevisionHasher};
use crate::store::catalog::catalog_parts::Catalog;
use crate::store::catalog::layout::{Standing, is_absence, named};
use crate::store::catalog::packed_names::UnsortedNames;
use crate::store::catalog::stamp::Stamp;
use crate::store::failure::unlisted;
use crate::store::revisions::{FolderMember, Manifest};

/// What a folder is.
pub(crate) struct FolderRevision<'a> {
    pub(crate) folder: ModelName,
    pub(crate) opened: &'a Folder,
    /// `None` while a digest in it is not known, or if there is no model in it.
    pub(crate) revision: Option<Revision>,
    /// Whether something has the name `.ready` in it.
    pub(crate) has_file: bool,
}

/// What is told of each folder, those in it first.
type TellFolder<'a> = &'a mut dyn FnMut(FolderRevision<'_>);

impl Catalog {
    /// The names of the models in a folder, or of all, sorted.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn members(&self, root: Option<&ModelName>) -> Result<Vec<ModelName>> {
        let names = match root {
            Some(root) => self.layout.names_below(root),
            None => self.layout.names(),
        };

        let mut names = match names {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Ok(Vec::new());
            }
            names => names
                .map_err(unlisted)?
                .collect::<io::Result<Vec<_>>>()
                .map_err(unlisted)?,
        };
        names.sort_unstable();
        Ok(names)
    }

    /// What a folder has; `None` while a digest in it is not known. No model is read.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn manifest(&self, root: &ModelName) -> Result<Option<Manifest>> {
        let mut members = Vec::new();

        let mut standings = self.layout.standings();
        for name in self.members(Some(root))? {
            let Standing::Model(stamp) = standings.of(&name).map_err(unlisted)? else {
                continue;
            };
            let Some(digest) = self.model(&name, &stamp).digest else {
                return Ok(None);
            };
            members.push(FolderMember {
                name,
                digest,
                size: stamp.size,
                modified: stamp.modified(),
            });
        }
        Ok(Some(Manifest {
            root: root.clone(),
            members,
        }))
    }

    /// Tells the revisions of a folder and of those in it, or of all. Digests that are not known will be.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder, `Interrupted` if the store closes; otherwise those of the file
    /// system.
    pub(crate) fn folder_revisions(
        &self,
        below: Option<&ModelName>,
        tell: TellFolder<'_>,
    ) -> io::Result<()> {
        let mut walk = RevisionWalk {
            catalog: self,
            levels: Vec::new(),
            tell,
        };
        let root = self.layout.folder();
        match below {
            None => walk.read(root, "").map(drop),
            Some(name) => {
                let folder = root.descend(name.segments(), Folder::enter_any)?;
                walk.enter(&folder, name.as_str())
            }
        }
    }
}

struct RevisionWalk<'a> {
    catalog: &'a Catalog,
    /// The folder that is read, and those around it.
    levels: Vec<RevisionLevel>,
    tell: TellFolder<'a>,
}

struct RevisionLevel {
    /// Where the paths of its members begin in their names.
    start: usize,
    hasher: RevisionHasher,
    has_models: bool,
    is_known: bool,
}

impl RevisionWalk<'_> {
    fn enter(&mut self, opened: &Folder, path: &str) -> io::Result<()> {
        let folder = path.parse().map_err(io::Error::other)?;
        self.levels.push(RevisionLevel {
            start: path.len() + 1,
            hasher: RevisionHasher::default(),
            has_models: false,
            is_known: true,
        });

        let has_file = match self.read(opened, &format!("{path}/")) {
            Err(error) if self.catalog.ready.is_closing() => return Err(error),
            Err(error) => {
                self.give_up(path, &error);
                true
            }
            Ok(has_file) => has_file,
        };

        let level = self.levels.pop();
        let level = level.filter(|level| level.is_known && level.has_models);
        (self.tell)(FolderRevision {
            folder,
            opened,
            revision: level.map(|level| level.hasher.finish()),
            has_file,
        });
        Ok(())
    }

    /// Reads a folder, whose path is empty or has a separator at its end; says whether `.ready` is in it.
    fn read(&mut self, folder: &Folder, path: &str) -> io::Result<bool> {
        let (mut names, mut has_file) = (UnsortedNames::default(), false);
        for entry in folder.entries()? {
            let entry = entry?;
            has_file |= entry.name == READY_FILE;
            match named(folder, path, &entry) {
                Ok((name, Some(FileKind::File))) if !self.levels.is_empty() => {
                    names.push(name.file_name())?;
                }
                Ok((name, Some(FileKind::Folder))) => {
                    names.push(&format!("{}/", name.file_name()))?;
                }
                _ => {}
            }
        }

        let names = names.packed()?;
        let mut cursor = names.from("");
        while let Some(name) = cursor.next() {
            if self.catalog.ready.is_closing() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match name.strip_suffix('/') {
                Some(name) => self.inner(folder, name, &format!("{path}{name}"))?,
                None => self.model(folder, name, &format!("{path}{name}"))?,
            }
        }
        Ok(has_file)
    }

    fn inner(&mut self, above: &Folder, name: &str, path: &str) -> io::Result<()> {
        match above.enter_any(name) {
            Ok(folder) => self.enter(&folder, path),
            Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::NotADirectory => {
                Ok(())
            }
            Err(error) => {
                self.give_up(path, &error);
                Ok(())
            }
        }
    }

    fn model(&mut self, folder: &Folder, name: &str, path: &str) -> io::Result<()> {
        let facts = match FilePlace::new(folder, name).facts() {
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => {
                self.give_up(path, &error);
                return Ok(());
            }
            Ok(facts) if !facts.is_file() => return Ok(()),
            Ok(facts) => facts,
        };

        let name: ModelName = path.parse().map_err(io::Error::other)?;
        let Some(digest) = self.catalog.index.find(&name, &Stamp::of(facts)) else {
            self.catalog.digester.queue(&name);
            self.levels
                .iter_mut()
                .for_each(|level| level.is_known = false);
            return Ok(());
        };
        for level in &mut self.levels {
            level.has_models = true;
            level.hasher.add(&path[level.start..], digest);
        }
        Ok(())
    }

    /// The folders around what cannot be read have no revision; others have.
    fn give_up(&mut self, path: &str, error: &io::Error) {
        log::debug!("'{path}' keeps its folders from having a revision: {error}");
        self.levels
            .iter_mut()
            .for_each(|level| level.is_known = false);
    }
}
