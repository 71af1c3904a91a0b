// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models that are removed together, in one step of the server.

use crate::client::Client;
use crate::client::changes::Committed;
use crate::client::transfer::TransferEvents;
use crate::error::Result;
use crate::model::{ModelName, Revision};

/// What is removed together.
pub(crate) enum Removal<'a> {
    /// All of a folder, as long as it has this revision.
    Folder(&'a ModelName, Revision),
    Names(&'a [ModelName]),
}

/// Whether what was removed can be brought back, as far as the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    Possible,
    Impossible,
}

impl Client {
    /// Removes models in one step, or none of them.
    ///
    /// # Errors
    /// `PreconditionFailed` if a folder has another revision by now; those of the connection and of the server.
    pub(crate) fn remove_together(
        &mut self,
        removal: &Removal<'_>,
        retries: u32,
        events: TransferEvents<'_>,
    ) -> Result<Committed> {
        // What a folder was is kept where the set is one of that folder.
        let root = match removal {
            Removal::Folder(root, _) => Some((*root).clone()),
            Removal::Names(names) => ModelName::common_folder(names.iter()),
        };
        let path = self.begin_change(root.as_ref())?;

        let committed = match removal {
            Removal::Folder(_, revision) => {
                let all = format!("{path}?others=remove");
                self.commit_at(&all, Some(*revision), retries, events)
            }
            Removal::Names(names) => self
                .stage_removals(names, retries, events)
                .and_then(|()| self.commit_at(&path.to_string(), None, retries, events)),
        };
        // What cannot be committed would stay until it expires.
        if committed.is_err()
            && let Err(error) = self.abandon_change()
        {
            log::debug!("the change set is left: {error}");
        }
        committed
    }

    fn stage_removals(
        &self,
        names: &[ModelName],
        retries: u32,
        events: TransferEvents<'_>,
    ) -> Result<()> {
        names.iter().try_for_each(|name| {
            self.persistently(retries, events, &mut |client| client.stage_removal(name))
        })
    }
}
