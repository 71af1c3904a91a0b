// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is answered where a name is that of nothing: whether it was removed, is a folder, or which other one may
//! have been meant.

use crate::error::{Error, ErrorKind};
use crate::model::ModelName;
use crate::store::catalog::catalog_parts::{Catalog, NEAR_ENTRIES_MAX};
use crate::store::catalog::layout::Standing;
use crate::store::versions::kept_of;
use crate::text::nearest;

impl Catalog {
    pub(crate) fn not_found(&self, name: &ModelName) -> Error {
        if let Err(error) = self.layout.check_there() {
            return error;
        }
        let error = Error::new(ErrorKind::NotFound, format!("there is no model '{name}'"));
        if kept_of(&self.layout, name).removed > 0 {
            return error.hint(format!(
                "it was removed; 'skep rollback {name}' brings back what is kept of it"
            ));
        }
        let below = self.layout.names_below(name);
        if below.is_ok_and(|mut names| names.next().is_some()) {
            return error.hint(format!("it is a folder: write '{name}/'"));
        }
        match self.near(name) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error,
        }
    }

    /// The model whose name is nearest to one that nobody has.
    fn near(&self, name: &ModelName) -> Option<ModelName> {
        let names = self.first_names();
        let near = nearest(name.as_str(), names.iter().map(ModelName::as_str))?;
        let near = names.iter().find(|one| one.as_str() == near)?;
        let is_model = matches!(self.layout.standing(near), Ok(Standing::Model(_)));
        is_model.then(|| near.clone())
    }

    /// The first names of the directory, in no order: a guess must not cost more than the answer that it
    /// comes with.
    pub(crate) fn first_names(&self) -> Vec<ModelName> {
        let names = self.layout.names().into_iter();
        let names = names.flat_map(|names| names.within(NEAR_ENTRIES_MAX));
        names.flatten().take(NEAR_NAMES_MAX).collect()
    }
}

/// Names that are compared with one that nobody has.
const NEAR_NAMES_MAX: usize = 1000;
