// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a commit is to do, as values: names with the bytes that they get, names that go, and the folder in which
//! that happens.

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::model::ModelName;
use crate::store::catalog::Stamp;
use crate::store::changes::change::Bytes;
use crate::store::versions::VersionRoom;

/// What is to be done, by name.
pub(crate) struct CommitPlan {
    pub(crate) published: Vec<Planned>,
    pub(crate) removed: Vec<Gone>,
    /// Names that have the bytes already that they are to get.
    pub(crate) unchanged: usize,
    /// Those of them of which something is said anew.
    pub(crate) described: Vec<(ModelName, Bytes)>,
    /// The folder that comes into being as a whole: all is in it, and nothing has its name.
    pub(crate) new_folder: Option<ModelName>,
    /// The folder that changes as a whole.
    pub(crate) exchange: Option<FolderExchange>,
    /// Whether what is replaced and what goes becomes versions: all of it, or nothing where it is too large
    /// together.
    pub(crate) keeps_versions: bool,
    /// What versions may take beside the models that there will be.
    pub(crate) room: VersionRoom,
}

impl CommitPlan {
    /// The names of what changes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ModelName> + Clone {
        let published = self.published.iter().map(|one| &one.name);
        published.chain(self.removed.iter().map(|gone| &gone.name))
    }

    /// Whether all that is replaced or goes becomes versions, or nothing is.
    pub(crate) fn keeps_what_was(&self) -> bool {
        let replaces = self.published.iter().any(|one| one.current.is_some());
        self.keeps_versions || (self.removed.is_empty() && !replaces)
    }

    /// Whether nothing would be done.
    pub(crate) fn is_nothing(&self) -> bool {
        self.published.is_empty() && self.removed.is_empty()
    }
}

/// A folder that is to change as a whole.
pub(crate) struct FolderExchange {
    pub(crate) folder: ModelName,
    /// The number of the file (inode) that the folder has that was assembled.
    pub(crate) inode: u64,
}

/// A model that goes.
pub(crate) struct Gone {
    pub(crate) name: ModelName,
    pub(crate) stamp: Stamp,
    pub(crate) digest: Option<Digest>,
}

/// A name that gets bytes.
pub(crate) struct Planned {
    pub(crate) name: ModelName,
    pub(crate) bytes: Bytes,
    /// Where the bytes are, if they are not in the set.
    pub(crate) source: Option<FilePlace>,
    /// What it replaces.
    pub(crate) current: Option<Stamp>,
    /// The digest of that, where it is known.
    pub(crate) replaced: Option<Digest>,
    /// Whether others have to go before it can have its name.
    pub(crate) waits: bool,
}
