// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which models a list has.

use super::NamePattern;
use super::revision::Revision;

/// Which models are to be listed, and how many at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListRequest {
    pub(crate) filter: NameFilter,
    /// They come after this text, which need not be the name of any.
    pub(crate) after: String,
    /// Those that the folder of the prefix had in this revision.
    pub(crate) revision: Option<Revision>,
    /// How many models and folders a page has; `None` for all.
    pub(crate) limit: Option<usize>,
}

/// Which names a list has.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameFilter {
    /// What they begin with.
    pub(crate) prefix: String,
    pub(crate) pattern: Option<NamePattern>,
    pub(crate) depth: Depth,
}

/// What a list tells of names that go on behind the first separator after its prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Each of them.
    #[default]
    All,
    /// Their folder, once. A pattern is compared with its name.
    Folders,
}

impl NameFilter {
    /// Whether a model that has this name is one of them, wherever it lies.
    pub(crate) fn takes(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && self.is_matched(name)
    }

    /// Whether the pattern, if there is one, stands for this name.
    pub(crate) fn is_matched(&self, name: &str) -> bool {
        let pattern = self.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(name))
    }

    /// What all of the names begin with; `None` if there can be none.
    pub(crate) fn common_start(&self) -> Option<&str> {
        let pattern = self.pattern.as_ref();
        let literal = pattern.map_or("", NamePattern::literal_start);
        if literal.starts_with(&self.prefix) {
            Some(literal)
        } else {
            self.prefix.starts_with(literal).then_some(&self.prefix)
        }
    }
}
