// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where things lie in a model directory, and who may use it.
//!
//! A model is the plain file of the path that its name is. Beside the models is one hidden folder, which
//! no name can reach:
//! `.skep/lock`, `.skep/index`, `.skep/parts/` with the bytes of unfinished uploads, `.skep/uploads/`
//! with the journals of those that can be continued, `.skep/versions/` with what models were before,
//! and `.skep/about/` with where they come from.

mod changeable_layout;
mod file_names;
mod left_over;
mod model_paths;
mod standings;
mod store_format;
mod unusable;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::disk::{self, FileFacts, FileKind, FilePlace, Folder, FolderLock, LockAttempt, Part};
use crate::error::Result;
use crate::model::ModelName;
pub(crate) use file_names::is_absence;
pub(crate) use model_paths::{ModelNames, named};

use crate::store::catalog::layout::file_names::{
    AWKWARD, clash, folds_names, is_refusal, shown, try_names,
};
use crate::store::catalog::layout::left_over::UPLOAD_PREFIX;
use crate::store::catalog::layout::unusable::{marked, taken, tell_of_writers, unusable};
use crate::store::catalog::stamp::Stamp;
use crate::store::hidden_folder::{
    ABOUT, FORMAT, HIDDEN, HiddenFolder, INDEX, LOCK, PARTS, VERSIONS,
};
use crate::store::options::StoreOptions;
use crate::store::ready_files::remove_vacant;
use crate::text::counted;

/// A model directory that is ours to use.
pub(crate) struct Layout {
    folder: Folder,
    hidden: HiddenFolder,
    folds_names: bool,
    /// The file system takes no names with some characters, as FAT does.
    refuses_names: bool,
    /// Models are served as they are, and nothing is changed or kept beside them.
    is_read_only: bool,
    /// Each folder of models has a file with its revision.
    has_ready_files: bool,
    /// The file system was seen to refuse that two folders get the names of each other.
    refuses_exchange: AtomicBool,
    /// Held as long as this lives.
    _lock: Option<FolderLock>,
}

/// What stands under a name.
pub(crate) enum Standing {
    Nothing,
    Model(Stamp),
    /// A directory, symbolic link, FIFO or device, with its name for people.
    Other(&'static str),
}

impl Layout {
    /// Makes the directory where it is missing, takes its lock, and removes parts that were left over.
    /// Where the file system knows no locks, only parts older than `part_age_max` are.
    ///
    /// # Errors
    /// `Usage` if the directory cannot be used, `AlreadyRunning` if another server uses it.
    pub(crate) fn open(directory: &Path, options: &StoreOptions) -> Result<Self> {
        let given = directory;
        let unusable = |place: &Path, error| unusable(given, place, error);

        // The canonical path keeps its meaning when the process changes its working directory or a
        // link is replaced.
        if !options.read_only {
            disk::create_directory(given).map_err(|error| unusable(given, error))?;
        }
        let directory = fs::canonicalize(given).map_err(|error| unusable(given, error))?;
        let folder = Folder::open(&directory).map_err(|error| unusable(given, error))?;

        store_format::check(&folder)?;
        tell_of_writers(&folder);

        // A mistake in its permissions is refused at the start; otherwise the first upload would find
        // it, hours later. A card that was made read-only is none.
        let writable = folder.check_writable();
        let is_sealed = writable
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem);
        if is_sealed || options.read_only {
            log::warn!(
                "the models in {} are served read-only{}",
                directory.display(),
                if options.read_only {
                    ""
                } else {
                    ": their file system is"
                }
            );
            return Ok(Self::read_only(folder));
        }
        writable.map_err(|error| unusable(&directory, error))?;

        let hidden = HiddenFolder::of(&folder);
        let shown = directory.join(HIDDEN);
        let parts = hidden
            .made(PARTS)
            .map_err(|error| unusable(&shown.join(PARTS), error))?;

        let lock = hidden
            .file(LOCK)
            .and_then(|place| FolderLock::take_after(&place, LOCK_PATIENCE));
        let lock = lock.map_err(|error| unusable(&shown.join(LOCK), error))?;

        // The lock tells dead processes from living ones: under it, every part is left over.
        // Without locks, only its age tells.
        let held = match lock {
            LockAttempt::Held(held) => held,
            LockAttempt::Taken => return Err(taken(&directory)),
            LockAttempt::Marked(mark) => return Err(marked(&directory, &mark)),
        };
        let age_min = if held.is_mark() {
            options.part_age_max
        } else {
            Duration::ZERO
        };

        store_format::upgrade(&hidden, &folder)
            .map_err(|error| unusable(&shown.join(FORMAT), error))?;

        // The index is written as a part, too.
        hidden
            .itself()
            .and_then(|folder| disk::remove_left_over(&folder, disk::WRITTEN_PREFIX, age_min))
            .map_err(|error| unusable(&shown, error))?;

        // A folder in the wrong hands is told of now, and not by the first request that needs it.
        left_over::sweep(&hidden, age_min)
            .map_err(|(name, error)| unusable(&shown.join(name), error))?;

        let folds_names = folds_names(&hidden, &parts, &directory)
            .map_err(|error| unusable(&shown.join(PARTS), error))?;

        let refuses_names = Part::create_in(&parts, AWKWARD, 0o600)
            .is_err_and(|error| error.kind() != io::ErrorKind::NotFound && is_refusal(&error));

        Ok(Self {
            folder,
            hidden,
            folds_names,
            refuses_names,
            is_read_only: false,
            has_ready_files: options.ready_files,
            refuses_exchange: AtomicBool::new(false),
            _lock: Some(held),
        })
    }

    /// A directory in which nothing is changed: it needs no lock, and nothing is cleared away.
    fn read_only(folder: Folder) -> Self {
        Self {
            hidden: HiddenFolder::of(&folder),
            folder,
            folds_names: false,
            refuses_names: false,
            is_read_only: true,
            has_ready_files: false,
            refuses_exchange: AtomicBool::new(false),
            _lock: None,
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Whether each folder of models has a file with its revision, or gets one.
    pub(crate) fn has_ready_files(&self) -> bool {
        self.has_ready_files
    }

    pub(crate) fn directory(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn hidden(&self) -> &HiddenFolder {
        &self.hidden
    }

    /// The place of a model, whose folder has to be there.
    ///
    /// # Errors
    /// `NotFound` or `NotADirectory` if it is not; otherwise those of the file system.
    pub(crate) fn place(&self, name: &ModelName) -> io::Result<FilePlace> {
        model_paths::place(&self.folder, name)
    }

    /// The same, and its folders are made where they are missing.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn made_place(&self, name: &ModelName) -> io::Result<FilePlace> {
        model_paths::made_place(&self.folder, name)
    }

    /// The same, but a power cut may take the folders away again.
    pub(crate) fn made_place_unsynced(&self, name: &ModelName) -> io::Result<FilePlace> {
        model_paths::made_place_unsynced(&self.folder, name)
    }

    /// The top folder of a model, or of the model of which this is an old version; `None` if it is neither.
    pub(crate) fn top_of(&self, place: &FilePlace) -> Option<ModelName> {
        model_paths::top_of(&self.folder, place)
    }

    /// Whether the file system takes some different names for the same one.
    pub(crate) fn folds_names(&self) -> bool {
        self.folds_names
    }

    /// Removes the folders of a model that is gone, as far as nothing is in them.
    pub(crate) fn remove_empty_folders(&self, name: &ModelName) {
        model_paths::remove_empty_folders(&self.folder, name);
    }

    /// Removes the folder that has this name if nothing but a file of ours is in it; says whether it did.
    pub(crate) fn remove_empty_folder(&self, name: &ModelName) -> bool {
        let place = self.place(name);
        place.is_ok_and(|place| remove_vacant(place.folder(), name.file_name()).is_ok())
    }

    /// What stands in the place of a folder that leads to a model: its name, and what it is.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn in_the_way(
        &self,
        name: &ModelName,
    ) -> io::Result<Option<(String, &'static str)>> {
        let found = model_paths::in_the_way(&self.folder, name)?;
        Ok(found.map(|(name, kind)| (name, shown(kind))))
    }

    /// Where the index of digests is that was kept.
    pub(crate) fn kept_index(&self) -> io::Result<FilePlace> {
        let place = self.hidden.existing_file(INDEX)?;
        place.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Where the index of digests goes.
    pub(crate) fn index(&self) -> io::Result<FilePlace> {
        self.hidden.file(INDEX)
    }

    /// Where the versions of a model are kept; `None` if there are none.
    pub(crate) fn versions_of(&self, name: &ModelName) -> io::Result<Option<Folder>> {
        let Some(versions) = self.hidden.existing_for(VERSIONS, name)? else {
            return Ok(None);
        };

        match versions.enter(name.file_name()) {
            Err(error) if is_absence(&error) => Ok(None),
            entered => entered.map(Some),
        }
    }

    /// What is known of where a model comes from; `None` if nothing is known of any.
    pub(crate) fn about(&self, name: &ModelName) -> io::Result<Option<FilePlace>> {
        let folder = self.hidden.existing_for(ABOUT, name)?;
        Ok(folder.map(|folder| FilePlace::new(&folder, name.file_name())))
    }

    /// A new part on the file system of the models.
    pub(crate) fn part(&self) -> io::Result<Part> {
        // Somebody may have tidied up, and left the models where they are.
        Part::create_in(&self.hidden.made(PARTS)?, UPLOAD_PREFIX, MODEL_MODE)
    }

    /// All models, in no order. What is not a regular file or has no name that a model may have is
    /// left out, and so is what vanishes meanwhile.
    pub(crate) fn models(&self) -> io::Result<Vec<(ModelName, Stamp)>> {
        let mut models = Vec::new();
        for name in self.names()? {
            let name = name?;
            match self.standing(&name) {
                Ok(Standing::Model(stamp)) => models.push((name, stamp)),
                Ok(_) => {}
                // One damaged entry of an old card must not hide all the others.
                Err(error) => log::warn!("the model '{name}' is not listed: {error}"),
            }
        }

        Ok(models)
    }

    /// The names of all models, in no order, read as they are asked for.
    pub(crate) fn names(&self) -> io::Result<ModelNames> {
        ModelNames::open(&self.folder)
    }

    /// The names of the models in a folder, in no order; none if it is none.
    pub(crate) fn names_below(&self, folder: &ModelName) -> io::Result<ModelNames> {
        ModelNames::below(&self.folder, folder)
    }

    /// Tells of what was copied in by hand under names that no request can ask for.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn tell_of_strange_names(&self) -> io::Result<()> {
        if let (count, Some(reason)) = self.names()?.left_out()? {
            let files = counted(count as u64, "file");
            log::warn!("{files} left out of the models, to be renamed; the first: {reason}");
        }
        Ok(())
    }

    /// What stands under a name; links are not followed.
    pub(crate) fn standing(&self, name: &ModelName) -> io::Result<Standing> {
        standing_of(self.place(name).and_then(|place| place.facts()))
    }

    /// Opens a model, with the stamp of exactly that file; `None` if there is none.
    pub(crate) fn open_model(&self, name: &ModelName) -> io::Result<Option<(File, Stamp)>> {
        match self.place(name).and_then(|place| place.open()) {
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
            Ok((file, facts)) => Ok(Some((file, Stamp::of(facts)))),
        }
    }

    /// The name of another file that this file system takes for the same name.
    pub(crate) fn clash(&self, name: &ModelName) -> io::Result<Option<String>> {
        if self.folds_names {
            clash(&self.folder, name)
        } else {
            Ok(None)
        }
    }

    /// Whether the file system takes this name, so that nobody sends bytes for one that it does not.
    ///
    /// # Errors
    /// As the file system refuses it.
    pub(crate) fn check_name(&self, name: &ModelName) -> io::Result<()> {
        match self.place(name).and_then(|place| place.facts()) {
            Err(error) if is_refusal(&error) => Err(error),
            // Only making a file shows what it takes. The folder of parts is on the same file system.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.refuses_names => {
                try_names(&self.hidden.made(PARTS)?, name)
            }
            _ => Ok(()),
        }
    }
}

fn standing_of(facts: io::Result<FileFacts>) -> io::Result<Standing> {
    let facts = match facts {
        Err(error) if is_nothing(&error) => return Ok(Standing::Nothing),
        other => other?,
    };

    Ok(match facts.kind {
        FileKind::File => Standing::Model(Stamp::of(facts)),
        other => Standing::Other(shown(other)),
    })
}

/// No folder that leads to it, or something else in the place of one, is no model either.
fn is_nothing(error: &io::Error) -> bool {
    is_absence(error) || error.kind() == io::ErrorKind::NotADirectory
}

/// Before the umask: the user says who else reads the models, and the folder of parts is private.
pub(crate) const MODEL_MODE: u32 = 0o666;

/// How long a start waits for a server that is about to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::catalog::layout::file_names::other_name;

    #[test]
    fn a_file_that_is_found_but_not_listed_clashes_with_the_one_that_is() {
        let listed = || vec![("Model.dm".to_owned(), 7), ("other".to_owned(), 8)];
        assert_eq!(
            other_name("model.dm", 7, listed()).as_deref(),
            Some("Model.dm")
        );
        assert_eq!(
            other_name("model.dm", 9, listed()).as_deref(),
            Some("another file")
        );
        assert_eq!(other_name("Model.dm", 7, listed()), None);
    }

    #[test]
    fn names_clash_where_the_file_system_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut layout = Layout::open(directory.path(), &StoreOptions::default()).unwrap();
        fs::write(directory.path().join("Mod\u{e9}l.dm"), b"x").unwrap();
        let names = ["mod\u{e9}l.dm", "Mode\u{301}l.dm", "MOD\u{c9}L.DM"];
        let is_one = |name: &str| directory.path().join(name).exists();
        assert_eq!(layout.folds_names, names.into_iter().any(is_one));
        layout.folds_names = true;
        let clash = |name: &str| layout.clash(&name.parse().unwrap()).unwrap();
        for name in names {
            assert_eq!(clash(name).is_some(), is_one(name), "{name}");
        }
        assert_eq!(clash("Mod\u{e9}l.dm"), None);
    }
}
