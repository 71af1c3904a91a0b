// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a fetched file goes: a path whose folder may be made only when bytes come, or a place in a folder
//! that is open.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use crate::client::download::save;
use crate::disk::{self, FilePlace};
use crate::error::Result;

/// Where a file goes.
pub(super) struct LandingPlace {
    /// As it was named, for people.
    shown: PathBuf,
    /// Where its links lead.
    path: PathBuf,
    place: OnceCell<FilePlace>,
}

impl LandingPlace {
    /// That of a path, in which links of the caller and of root are followed.
    ///
    /// # Errors
    /// `Usage` for a link to nothing, `Conflict` for what is not a file and for a link of somebody else;
    /// otherwise those of the file system.
    pub(super) fn of(target: &Path) -> Result<Self> {
        Ok(Self {
            shown: target.to_owned(),
            path: save::place(target)?,
            place: OnceCell::new(),
        })
    }

    /// A place in an open folder, in which nothing is followed.
    pub(super) fn at(place: FilePlace) -> Self {
        Self {
            shown: place.path(),
            path: place.path(),
            place: OnceCell::from(place),
        }
    }

    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// The place in its folder.
    ///
    /// # Errors
    /// `NotFound` if the folder is not there; otherwise those of the file system.
    pub(super) fn opened(&self) -> io::Result<&FilePlace> {
        if let Some(place) = self.place.get() {
            return Ok(place);
        }
        let opened = FilePlace::of(&self.path)?;
        Ok(self.place.get_or_init(|| opened))
    }

    /// The same for a file that is about to be written.
    ///
    /// # Errors
    /// `Usage` if the folder is not there; otherwise those of the file system.
    pub(super) fn ready(&self) -> Result<&FilePlace> {
        if self.place.get().is_none() {
            save::directory(&self.path, &self.shown)?;
        }
        self.opened().map_err(|error| {
            let what = format!("writing {}", self.shown.display());
            crate::error::Error::local(what, error)
        })
    }

    /// Where the bytes will be, and how many more may be there; `None` where the file system does not say.
    pub(super) fn free_bytes(&self) -> Option<(PathBuf, u64)> {
        if let Ok(place) = self.opened() {
            let free = place.folder().free_bytes().ok()??;
            return Some((place.folder().path().to_owned(), free));
        }

        // The directory may be made only now that bytes come.
        let mut above = self.path.ancestors().skip(1).map(|place| {
            if place == Path::new("") {
                Path::new(".")
            } else {
                place
            }
        });
        let directory = above.find(|place| place.is_dir()).unwrap_or(Path::new("/"));
        Some((directory.to_owned(), disk::free_bytes(directory).ok()??))
    }
}
