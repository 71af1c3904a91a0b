// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names of models as paths below the model directory. Each folder on the way is opened from the one
//! above it, so that neither a link nor a folder that is moved meanwhile leads to any other place.

use std::io;

use crate::disk::{FileKind, FilePlace, Folder, FolderEntry};
use crate::error::Error;
use crate::model::ModelName;
use crate::store::catalog::layout::file_names::is_absence;
use crate::store::hidden_folder::{HIDDEN, VERSIONS};
use crate::text::quotable;

/// The place of a model, whose folder has to be there.
///
/// # Errors
/// `NotFound` or `NotADirectory` if it is not; otherwise those of the file system.
pub(super) fn place(root: &Folder, name: &ModelName) -> io::Result<FilePlace> {
    place_in(root, name, Folder::enter_any)
}

/// The same, and its folders are made where they are missing.
///
/// # Errors
/// Those of the file system.
pub(super) fn made_place(root: &Folder, name: &ModelName) -> io::Result<FilePlace> {
    place_in(root, name, Folder::make_open)
}

/// The same, but a power cut may take the folders away again.
///
/// # Errors
/// Those of the file system.
pub(super) fn made_place_unsynced(root: &Folder, name: &ModelName) -> io::Result<FilePlace> {
    place_in(root, name, Folder::make_open_unsynced)
}

fn place_in(
    root: &Folder,
    name: &ModelName,
    open: fn(&Folder, &str) -> io::Result<Folder>,
) -> io::Result<FilePlace> {
    let folder = root.descend(name.folders(), open)?;
    Ok(FilePlace::new(&folder, name.file_name()))
}

/// The top folder of a model, or of the model of which this is an old version; `None` if it is neither.
pub(super) fn top_of(root: &Folder, place: &FilePlace) -> Option<ModelName> {
    let path = place.path();
    let below = path.strip_prefix(root.path()).ok()?;
    let mut segments = below.iter().map(|segment| segment.to_str());
    let mut top = segments.next()??;
    if top == HIDDEN {
        segments.next().filter(|room| *room == Some(VERSIONS))?;
        top = segments.next()??;
    }
    // That of a model in folders.
    if top == HIDDEN {
        top = segments.next()??;
    }
    top.parse().ok()
}

/// Removes the folders of a model that is gone, as far as nothing is in them. One that cannot be removed
/// does no harm.
pub(super) fn remove_empty_folders(root: &Folder, name: &ModelName) {
    root.remove_while_empty(name.folders().collect(), Folder::enter_any);
}

/// What stands in the place of a folder that leads to a model, with its name.
///
/// # Errors
/// Those of the file system.
pub(super) fn in_the_way(
    root: &Folder,
    name: &ModelName,
) -> io::Result<Option<(String, FileKind)>> {
    let Some(folders) = name.split_last().0 else {
        return Ok(None);
    };

    let (mut folder, mut end) = (root.clone(), 0);
    for segment in folders.split('/') {
        end += segment.len();
        match FilePlace::new(&folder, segment).facts() {
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
            Ok(facts) if facts.kind != FileKind::Folder => {
                return Ok(Some((folders[..end].to_owned(), facts.kind)));
            }
            Ok(_) => folder = folder.enter_any(segment)?,
        }
        end += 1;
    }
    Ok(None)
}

/// The name of an entry of a folder, whose prefix is empty or a path with a separator at its end, and what
/// has it; `None` for what is gone.
///
/// # Errors
/// For what cannot be a model or lead to one by its name: how it is shown, and why.
pub(crate) fn named(
    folder: &Folder,
    prefix: &str,
    entry: &FolderEntry,
) -> Result<(ModelName, Option<FileKind>), (String, String)> {
    let Some(text) = entry.name.to_str() else {
        let shown = entry.name.to_string_lossy().into_owned();
        let reason = format!("the name '{}' is not UTF-8", quotable(&shown));
        return Err((shown, reason));
    };
    let parsed: Result<ModelName, Error> = format!("{prefix}{text}").parse();
    let name = parsed.map_err(|error| (text.to_owned(), error.message().to_owned()))?;

    let kind = entry.kind.or_else(|| {
        let facts = FilePlace::new(folder, text).facts();
        facts.ok().map(|facts| facts.kind)
    });
    Ok((name, kind))
}

/// The names of all models, in no order, read as they are asked for. What is no regular file or has no name
/// that a model may have is left out.
pub(crate) struct ModelNames {
    /// The folder that is read, and those above it.
    levels: Vec<FolderLevel>,
    /// How many files have names that no request can ask for, and why the first of them does.
    left_out: (usize, Option<String>),
    /// How many entries are still read, whatever they are.
    entries_left: usize,
}

struct FolderLevel {
    folder: Folder,
    /// What comes before the names in it: nothing, or a path with a separator at its end.
    prefix: String,
    entries: Box<dyn Iterator<Item = io::Result<FolderEntry>>>,
}

impl ModelNames {
    pub(super) fn open(root: &Folder) -> io::Result<Self> {
        Ok(Self {
            levels: vec![FolderLevel::open(root.clone(), String::new())?],
            left_out: (0, None),
            entries_left: usize::MAX,
        })
    }

    /// Those in a folder.
    pub(super) fn below(root: &Folder, name: &ModelName) -> io::Result<Self> {
        let folder = root.descend(name.segments(), Folder::enter_any)?;
        Ok(Self {
            levels: vec![FolderLevel::open(folder, format!("{name}/"))?],
            left_out: (0, None),
            entries_left: usize::MAX,
        })
    }

    /// Reads so many entries at most, of models or not.
    pub(crate) fn within(mut self, entries_max: usize) -> Self {
        self.entries_left = entries_max;
        self
    }

    /// Reads all that is left, and tells how many files cannot be models by their names, and why the first
    /// of them cannot. Hidden ones are left out on purpose.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn left_out(mut self) -> io::Result<(usize, Option<String>)> {
        for name in self.by_ref() {
            name?;
        }
        Ok(self.left_out)
    }

    fn leave_out(&mut self, shown: &str, reason: String) {
        if !shown.starts_with('.') {
            self.left_out.0 += 1;
            self.left_out.1.get_or_insert(reason);
        }
    }
}

impl FolderLevel {
    fn open(folder: Folder, prefix: String) -> io::Result<Self> {
        let entries = Box::new(folder.entries()?);
        Ok(Self {
            folder,
            prefix,
            entries,
        })
    }
}

impl Iterator for ModelNames {
    type Item = io::Result<ModelName>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.entries_left = self.entries_left.checked_sub(1)?;
            let level = self.levels.last_mut()?;
            let entry = match level.entries.next() {
                Some(Ok(entry)) => entry,
                // The folder went with its last model.
                Some(Err(error)) if is_absence(&error) => {
                    self.levels.pop();
                    continue;
                }
                Some(Err(error)) => {
                    self.levels.clear();
                    return Some(Err(error));
                }
                None => {
                    self.levels.pop();
                    continue;
                }
            };

            let (name, kind) = match named(&level.folder, &level.prefix, &entry) {
                Ok(named) => named,
                Err((shown, reason)) => {
                    self.leave_out(&shown, reason);
                    continue;
                }
            };
            match kind {
                Some(FileKind::File) => return Some(Ok(name)),
                Some(FileKind::Folder) => {
                    let entered = level.folder.enter_any(name.file_name());
                    let prefix = format!("{name}/");
                    match entered.and_then(|folder| FolderLevel::open(folder, prefix)) {
                        Ok(inner) => self.levels.push(inner),
                        Err(error) if is_absence(&error) => {}
                        // One damaged folder of an old card must not hide all the others.
                        Err(error) => log::warn!("the folder '{name}' is not listed: {error}"),
                    }
                }
                _ => {}
            }
        }
    }
}
