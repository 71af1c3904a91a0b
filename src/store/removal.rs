// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Removing a single model.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::event::Happening;
use crate::model::{Model, ModelName};
use crate::store::catalog::Standing;
use crate::store::claim::Condition;
use crate::store::failure::unremoved;
use crate::store::locking::name_locks::NameScope;
use crate::store::rules::side_file;
use crate::store::store_handle::Store;
use crate::store::versions::{self, VersionRoom};

impl Store {
    /// Removes a model. Those who are reading it get all of it.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub fn remove(&self, name: &ModelName) -> Result<Model> {
        self.remove_if(name, &Condition::Any)
    }

    /// Removes a model if a condition holds.
    ///
    /// # Errors
    /// As [`Store::find`], and `PreconditionFailed`.
    pub fn remove_if(&self, name: &ModelName, condition: &Condition) -> Result<Model> {
        let catalog = self.catalog();
        catalog.check_changeable()?;

        // Digesting can take minutes and comes before the lock; `judge` notices if the file has changed since.
        let digested = catalog.digest_for(name, condition)?;

        let guard = catalog.changing(NameScope::of(name))?;
        let Standing::Model(_) = catalog.standing(name)? else {
            return Err(catalog.not_found(name));
        };

        let tally = catalog.tally(name);
        let current = catalog.judge(name, condition, digested)?;
        let stamp = current.ok_or_else(|| catalog.not_found(name))?;
        let unready = catalog.unready([name]);
        let _unready = unready.map_err(|error| unremoved(name, error))?;
        let model = stamp.model(name, catalog.index.find(name, &stamp));

        let is_linked = catalog.is_linked(name);

        // Readers keep their open file in both cases; only the name goes.
        let removed = versions::put_away(catalog, name, &stamp);
        catalog.layout.remove_empty_folders(name);

        // Also after a failure: if only the last fsync failed, the name is gone already.
        catalog.forget(name);
        removed.map_err(|error| unremoved(name, error))?;
        if is_linked && let Some(digest) = model.digest {
            catalog.learn_linked(&BTreeSet::from([*digest.as_bytes()]));
        }

        versions::tidy_removed(catalog, name);

        // Left alone, it would vouch for whatever gets the name next.
        side_file::remove(catalog, name);
        drop(tally);
        guard.keep_within(VersionRoom::UNBOUNDED);

        catalog.events.model(|| Happening::ModelRemoved {
            name: name.clone(),
            size: model.size,
            digest: model.digest,
        });
        Ok(model)
    }
}
