// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A change set that changes no models: what was sent for it becomes objects.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::model::ModelName;
use crate::store::changes::change::{Change, Others};
use crate::store::changes::change_files::ChangeId;
use crate::store::changes::commit::make_ready;
use crate::store::changes::staging::open;
use crate::store::failure::unstored;
use crate::store::store_handle::Store;

impl Store {
    /// Makes objects of all that was sent for a set, and returns what it was to change. Nothing else can be done with
    /// the set then but to give it up.
    ///
    /// # Errors
    /// `NotFound` if there is no such set; `Conflict` if bytes of it were lost; otherwise those of the file system.
    pub(crate) fn take_for_objects(&self, id: ChangeId) -> Result<BTreeMap<ModelName, Change>> {
        let catalog = self.catalog();
        let change = catalog.changes.find(id)?;
        let mut set = open(&change)?;
        make_ready(catalog, &mut set, Others::Keep)?;

        let mut sent = Vec::new();
        for staged in set.entries.values() {
            if let Change::Sent(bytes) = staged {
                let place = set.files.place(bytes.number).map_err(unstored)?;
                sent.push((bytes.digest, place));
            }
        }
        catalog.take_objects(&sent, set.request.principal.as_deref())?;
        Ok(set.entries.clone())
    }
}
