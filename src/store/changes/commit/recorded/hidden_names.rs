// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The names of a commit that is decided and not done to its end: some of them have what is new and others what is
//! old, so nobody looks them up until it is.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::error::{Error, Result};
use crate::model::{Depth, ModelName, NameFilter};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::changes::commit::recorded::unfinished::refused;
use crate::text::composed;

/// Names that nobody may look up; by default there are none, and a look costs one comparison.
#[derive(Default)]
pub(crate) struct HiddenNames(Option<Box<HiddenParts>>);

struct HiddenParts {
    /// By what is the same of names that some file systems and people take for one.
    names: BTreeMap<String, ModelName>,
    /// With all that is in them.
    folders: Vec<String>,
}

impl HiddenNames {
    /// Those of these steps.
    pub(crate) fn of(steps: &[CommitStep]) -> Self {
        let mut parts = HiddenParts {
            names: BTreeMap::new(),
            folders: Vec::new(),
        };
        for step in steps {
            let both = std::iter::once(&step.name).chain(step.new_name());
            match step.what {
                StepKind::MoveFolder(_) => parts.folders.extend(both.map(folded)),
                // What else is in these folders stays as it is.
                StepKind::Appear | StepKind::Exchange(_) => {}
                _ => {
                    let both = both.map(|name| (folded(name), name.clone()));
                    parts.names.extend(both);
                }
            }
        }
        Self(Some(Box::new(parts)))
    }

    /// Whether this name can be looked up, of a model or of a folder with all that is in it.
    ///
    /// # Errors
    /// `Busy` if it cannot be now.
    pub(crate) fn check(&self, name: &ModelName) -> Result<()> {
        match &self.0 {
            Some(parts) if parts.has(name) => Err(hidden(&format!("'{name}' is"))),
            _ => Ok(()),
        }
    }

    /// Whether these names can be listed.
    ///
    /// # Errors
    /// `Busy` if one of them cannot be looked up now.
    pub(crate) fn check_list(&self, filter: &NameFilter) -> Result<()> {
        match &self.0 {
            Some(parts) if parts.has_any(filter) => Err(hidden("models of this list are")),
            _ => Ok(()),
        }
    }

    /// Whether all names can be looked up.
    ///
    /// # Errors
    /// `Busy` if one cannot be now.
    pub(crate) fn check_all(&self) -> Result<()> {
        match &self.0 {
            Some(_) => Err(hidden("some models are")),
            None => Ok(()),
        }
    }
}

impl HiddenParts {
    fn has(&self, name: &ModelName) -> bool {
        let name = folded(name);
        let inner = format!("{name}/");
        let is_around =
            |folder: &String| *folder == name || name.starts_with(&format!("{folder}/"));
        self.names.contains_key(&name)
            || self.has_name_below(&inner)
            || self
                .folders
                .iter()
                .any(|folder| is_around(folder) || folder.starts_with(&inner))
    }

    fn has_name_below(&self, prefix: &str) -> bool {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let mut next = self.names.range::<str, _>(from);
        next.next()
            .is_some_and(|(name, _)| name.starts_with(prefix))
    }

    fn has_any(&self, filter: &NameFilter) -> bool {
        let prefix = composed(&filter.prefix).to_lowercase();
        // A folder of a list is told with the number of models in it, whatever the pattern says of their names.
        let is_told =
            |name: &ModelName| filter.depth == Depth::Folders || filter.is_matched(name.as_str());
        let mut names = self.names.iter();
        let has_name = names.any(|(folded, name)| folded.starts_with(&prefix) && is_told(name));
        let mut folders = self.folders.iter().map(|folder| format!("{folder}/"));
        has_name || folders.any(|folder| folder.starts_with(&prefix) || prefix.starts_with(&folder))
    }
}

fn folded(name: &ModelName) -> String {
    composed(name.as_str()).to_lowercase()
}

fn hidden(what: &str) -> Error {
    refused(format!(
        "{what} part of a commit that is decided, and that the disk has not let be done to its end yet"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    fn step(text: &str, what: StepKind) -> CommitStep {
        CommitStep {
            name: name(text),
            what,
        }
    }

    fn is_listed(hidden: &HiddenNames, prefix: &str, pattern: &str, depth: Depth) -> bool {
        let filter = NameFilter {
            prefix: prefix.to_owned(),
            pattern: pattern.parse().ok(),
            depth,
        };
        hidden.check_list(&filter).is_ok()
    }

    #[test]
    fn what_changes_is_hidden_with_the_folders_around_it_and_nothing_else() {
        let hidden = HiddenNames::of(&[
            step("f/in/a", StepKind::Publish(1)),
            step("f/b", StepKind::Delete(1)),
            step("f", StepKind::Exchange(7)),
        ]);
        for text in ["f/in/a", "F/IN/A", "f/b", "f", "f/in"] {
            let error = hidden.check(&name(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy, "{text}");
        }
        for text in ["f/in/a/x", "f/in/ab", "f/in/stays", "f/stays", "f-", "g"] {
            hidden.check(&name(text)).unwrap();
        }

        for (prefix, pattern, depth, expected) in [
            ("", "", Depth::All, false),
            ("f/", "", Depth::All, false),
            ("g", "", Depth::All, true),
            ("", "*", Depth::All, true),
            ("", "**/a", Depth::All, false),
            ("f/in/stays", "", Depth::All, true),
            ("", "*", Depth::Folders, false),
            ("g/", "", Depth::Folders, true),
        ] {
            let found = is_listed(&hidden, prefix, pattern, depth);
            assert_eq!(found, expected, "{prefix} {pattern} {depth:?}");
        }
        assert!(hidden.check_all().is_err());
        let none = HiddenNames::default();
        assert!(none.check_all().is_ok() && is_listed(&none, "", "", Depth::All));
        none.check(&name("f/in/a")).unwrap();
    }

    #[test]
    fn a_folder_that_moves_is_hidden_under_both_names_with_all_that_is_in_it() {
        let hidden = HiddenNames::of(&[step("f/x", StepKind::MoveFolder(name("g")))]);
        for text in ["f/x", "f/x/a", "f", "g", "g/deep/a"] {
            assert!(hidden.check(&name(text)).is_err(), "{text}");
        }
        for text in ["f/a", "f/xa", "ga"] {
            hidden.check(&name(text)).unwrap();
        }
        assert!(!is_listed(&hidden, "g/deep", "", Depth::All));
        assert!(!is_listed(&hidden, "f/", "none", Depth::All));
        assert!(is_listed(&hidden, "f/a", "", Depth::All));
    }
}
