// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tables of the file that are not settings of the server: repeated ones (`[[hook]]`) and named ones
//! (`[peers.NAME]`). What they mean is known by the room they belong to, which reads them by a
//! constructor of its own; here they are only texts with their places.

use crate::error::{Error, ErrorKind, Result};
use crate::text::nearest;

/// A kind of table that a room reads.
#[derive(Debug)]
pub(crate) struct TableKind {
    /// The name in the file.
    pub(crate) name: &'static str,
    pub(crate) shape: TableShape,
    /// The keys that such a table may have.
    pub(crate) keys: &'static [&'static str],
}

/// How often a table may stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "no room of this version reads tables yet")
)]
pub(crate) enum TableShape {
    /// Any number of times, in order: `[[hook]]`.
    Repeated,
    /// Once for each name: `[peers.NAME]`.
    Named,
}

/// The kinds that rooms of this version read. A room that reads tables adds its kind here.
pub(crate) const TABLES: &[TableKind] = &[];

/// One table as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// The name of its kind.
    pub(crate) kind: &'static str,
    /// Its own name, for a named table.
    pub(crate) name: Option<String>,
    /// Where it begins, as `FILE, line N`.
    pub(crate) place: String,
    /// Keys and texts with their places, in the order of the file.
    pub(crate) entries: Vec<TableEntry>,
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableEntry {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) place: String,
}

impl TableKind {
    /// The key that is meant.
    ///
    /// # Errors
    /// `Usage` with the place and the nearest key.
    pub(crate) fn key(&self, name: &str, place: &str) -> Result<&'static str> {
        if let Some(key) = self.keys.iter().find(|key| **key == name) {
            return Ok(key);
        }

        let text = format!("{place}: a table '{}' has no key '{name}'", self.name);
        let error = Error::new(ErrorKind::Usage, text);

        Err(match nearest(name, self.keys.iter().copied()) {
            Some(known) => error.hint(format!("did you mean {known}?")),
            None => error.hint(format!("its keys are {}", self.keys.join(", "))),
        })
    }
}

impl Table {
    /// The header as one would write it.
    pub(crate) fn header(&self) -> String {
        match &self.name {
            Some(name) => format!("[{}.{name}]", self.kind),
            None => format!("[[{}]]", self.kind),
        }
    }
}
