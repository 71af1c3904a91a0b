// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stands under many names, looked at one after the other.

use std::io;

use crate::disk::{FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::layout::{Layout, Standing, standing_of};
use crate::store::hidden_folder::LastWay;

/// Looks at names, of which those of one folder should come one after the other.
pub(crate) struct Standings(LastWay);

impl Layout {
    /// Looks at many names.
    pub(crate) fn standings(&self) -> Standings {
        Standings(LastWay::new(self.folder(), Folder::enter_any))
    }
}

impl Standings {
    /// As [`Layout::standing`], of a folder that may have been moved away since the name before.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn of(&mut self, name: &ModelName) -> io::Result<Standing> {
        let folder = self.0.to(name.folders());
        standing_of(folder.and_then(|folder| FilePlace::new(&folder, name.file_name()).facts()))
    }
}
