// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which model a caller means by a name: the one that has it in the other form of Unicode; and what is answered
//! where it is that of nothing: whether it was removed, is a folder, or which other one may have been meant.

use crate::error::{Error, ErrorKind};
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::catalog::catalog_parts::{Catalog, NEAR_ENTRIES_MAX};
use crate::store::catalog::layout::Standing;
use crate::store::versions::kept_of;
use crate::text::{composed, decomposed, nearest};

impl Catalog {
    /// The name by which a model, or what is kept of a removed one, has this name in the other form of
    /// Unicode; the name itself if there is none, or if it is taken itself.
    pub(crate) fn spelled(&self, name: &ModelName) -> ModelName {
        let is_there =
            |name: &ModelName| !matches!(self.layout.standing(name), Ok(Standing::Nothing));
        if name.as_str().is_ascii() || is_there(name) {
            return name.clone();
        }

        // A signature is called as its model is.
        if let Some(model) = Signature::model_of(name) {
            let spelled = Signature::name_for(&self.spelled(&model));
            return spelled.unwrap_or_else(|_| name.clone());
        }

        // Folders are called as they are there, and each may have its own form. What is kept of something that was
        // removed makes no second folder beside one that is there.
        let is_kept = |name: &ModelName| {
            matches!(self.layout.versions_of(name), Ok(Some(_)))
                || self.layout.hidden().keeps_of_folder(name)
        };
        let mut spelled = String::new();
        for segment in name.segments() {
            let forms = [segment.to_owned(), composed(segment), decomposed(segment)];
            let forms = forms.map(|form| format!("{spelled}{form}"));
            let found = |is_it: &dyn Fn(&ModelName) -> bool| {
                let is_it = |form: &&String| form.parse().is_ok_and(|name| is_it(&name));
                forms.iter().find(is_it)
            };
            let form = found(&is_there).or_else(|| found(&is_kept));
            spelled = format!("{}/", form.unwrap_or(&forms[0]));
        }
        let spelled = spelled.trim_end_matches('/').parse();
        spelled.unwrap_or_else(|_| name.clone())
    }

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
