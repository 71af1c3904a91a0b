// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A list of models that is read bit by bit, so that a slow reader of a long one costs little memory.

use std::sync::Arc;

use crate::error::Result;
use crate::model::{Model, ModelName};
use crate::store::catalog::{Catalog, Standing};
use crate::store::failure::{unlisted, unstored};
use crate::store::store_handle::Store;
use crate::store::versions::{self, RemovedModel};

/// All models, sorted by name. Those that come or go meanwhile may be in it or not.
pub(crate) struct Listing {
    catalog: Arc<Catalog>,
    last: Option<ModelName>,
    /// The names that come next, last one first.
    next: Vec<ModelName>,
}

/// All models together.
pub(crate) struct StoreTotals {
    pub(crate) models: u64,
    pub(crate) bytes: u64,
    /// Bytes of the disk beside its reserve, as far as the file system says.
    pub(crate) free: Option<u64>,
}

impl Store {
    /// How many models there are, how large they are, and how much room is left.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn totals(&self) -> Result<StoreTotals> {
        let catalog = self.catalog();
        catalog.layout.check_there()?;
        let models = catalog.layout.models().map_err(unstored)?;
        let free = catalog.layout.folder().free_bytes().map_err(unstored)?;
        Ok(StoreTotals {
            models: models.len() as u64,
            bytes: models.iter().map(|(_, stamp)| stamp.size).sum(),
            free: free.map(|free| free.saturating_sub(catalog.options.reserve_bytes)),
        })
    }

    /// Begins a list.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub(crate) fn listing(&self) -> Result<Listing> {
        let catalog = Arc::clone(self.catalog());
        catalog.layout.check_there()?;

        let begun = catalog.name_list.begin(&catalog.layout);
        begun.map_err(unlisted)?;

        Ok(Listing {
            catalog,
            last: None,
            next: Vec::new(),
        })
    }
}

impl Listing {
    /// What there is of removed models. That it cannot be read hides no model.
    pub(crate) fn removed(&self) -> Box<dyn Iterator<Item = RemovedModel> + Send> {
        versions::removed(Arc::clone(&self.catalog)).unwrap_or_else(|error| {
            log::warn!("old versions of removed models are not listed: {error}");
            Box::new(std::iter::empty())
        })
    }

    fn next_name(&mut self) -> Option<ModelName> {
        if self.next.is_empty() {
            self.next = self.catalog.name_list.after(self.last.as_ref(), AT_ONCE);
            self.next.reverse();
        }

        let name = self.next.pop()?;
        self.last = Some(name.clone());
        Some(name)
    }
}

impl Iterator for Listing {
    type Item = Model;

    fn next(&mut self) -> Option<Model> {
        loop {
            let name = self.next_name()?;
            match self.catalog.layout.standing(&name) {
                Ok(Standing::Model(stamp)) => return Some(self.catalog.model(&name, &stamp)),
                // What is no model, or vanished meanwhile.
                Ok(_) => {}
                // One damaged entry of an old card must not hide all the others.
                Err(error) => log::warn!("the model '{name}' is not listed: {error}"),
            }
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.catalog.name_list.end();
    }
}

/// Names that one listing has in memory.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::store::{Condition, StoreOptions};

    #[test]
    fn listings_share_their_names_and_see_what_was_there_before_they_began() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(directory.path().join(name), "x").unwrap();
        (0..200).for_each(|number| write(&format!("m{number:03}")));
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();

        let mut slow = store.listing().unwrap();
        assert_eq!(slow.next().unwrap().name.as_str(), "m000");
        assert!(slow.next.len() < AT_ONCE, "names of one listing");
        write("later");
        std::fs::remove_file(directory.path().join("m199")).unwrap();

        let all: Vec<_> = store.listing().unwrap().map(|model| model.name).collect();
        assert_eq!((all.len(), all[0].as_str()), (200, "later"));
        assert!(all.is_sorted());

        let rest: Vec<_> = slow.by_ref().map(|model| model.name).collect();
        assert_eq!((rest.len(), rest[0].as_str()), (198, "m001"));

        // With the last reader the names go, too.
        let names = &slow.catalog.name_list;
        assert_eq!(names.after(None, 1000).len(), 200);
        let catalog = Arc::clone(&slow.catalog);
        drop(slow);
        assert!(catalog.name_list.after(None, 1000).is_empty());
    }

    #[test]
    fn a_further_name_is_refused_where_there_are_enough_models() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        std::fs::write(directory.path().join("a"), "x").unwrap();
        let options = StoreOptions {
            models_max: 2,
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let admit = |name: &str| store.admit(&name.parse().unwrap(), Some(1), &Default::default());

        admit("b").unwrap();
        std::fs::write(directory.path().join("b"), "x").unwrap();
        assert_eq!(admit("c").unwrap_err().kind(), ErrorKind::NoSpace);
        admit("a").unwrap();
    }

    #[test]
    fn a_version_that_comes_back_is_a_further_name_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            models_max: 1,
            versions_max: 1,
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let put = |name: &ModelName| {
            let upload = store.upload(None).unwrap();
            upload.commit(name, None, &Condition::Any).unwrap();
        };

        let gone = "gone".parse().unwrap();
        put(&gone);
        store.remove(&gone).unwrap();
        std::fs::write(directory.path().join("present"), "by hand").unwrap();
        assert_eq!(
            store.rollback(&gone).unwrap_err().kind(),
            ErrorKind::NoSpace
        );

        std::fs::remove_file(directory.path().join("present")).unwrap();
        store.rollback(&gone).unwrap();
    }
}
