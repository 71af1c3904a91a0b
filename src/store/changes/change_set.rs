// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A change set in memory: what was asked for, by name, and what of it collides.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::disk::{self, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::changes::change::{Change, ChangeRequest};
use crate::store::changes::change_files::{APPENDED, ChangeFiles, ENTRIES};
use crate::store::changes::change_journal::entry_line;
use crate::text::{composed, decomposed};

/// A change set that is not committed.
pub(crate) struct ChangeSet {
    pub(crate) files: ChangeFiles,
    pub(crate) request: ChangeRequest,
    pub(crate) entries: BTreeMap<ModelName, Change>,
    /// Names that are the same for this file system or for people, by what is the same of them.
    folded: BTreeMap<String, ModelName>,
    next: u64,
    journal: File,
    /// Lines of the journal.
    lines: usize,
    /// The memory of the entries, about.
    pub(crate) memory: u64,
    /// The bytes that were sent for them.
    pub(crate) sent_bytes: u64,
    /// How old it was when this process first saw it, and since when it did not change.
    pub(crate) seen: (Duration, Instant),
    /// What the folder was has to stay, or nothing is done.
    pub(crate) must_keep: bool,
    /// The steps of its commit are written down, but not all of them are done.
    pub(crate) is_decided: bool,
    /// It was committed or given up, and nothing more can be done with it.
    pub(crate) is_over: bool,
}

impl ChangeSet {
    pub(crate) fn new(files: ChangeFiles, request: ChangeRequest, journal: File) -> Self {
        Self {
            files,
            request,
            entries: BTreeMap::new(),
            folded: BTreeMap::new(),
            next: 1,
            journal,
            lines: 0,
            memory: 0,
            sent_bytes: 0,
            seen: (Duration::ZERO, Instant::now()),
            must_keep: false,
            is_decided: false,
            is_over: false,
        }
    }

    /// For how long it was not changed.
    pub(crate) fn age(&self) -> Duration {
        self.seen.0.saturating_add(self.seen.1.elapsed())
    }

    /// A number that no file of it has.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Whether a name can be in the set.
    ///
    /// # Errors
    /// `BadRequest` for a name that is not in its folder; `Conflict` for one that another name of the set
    /// excludes: a folder and a file of one name, or two that are one name for the file system.
    pub(crate) fn check_name(
        &self,
        name: &ModelName,
        folds_names: bool,
        change: Option<&Change>,
    ) -> Result<()> {
        if let Some(root) = &self.request.root
            && !name.is_below(root)
        {
            let text = format!("'{name}' is not in '{root}/', the folder of this change set");
            return Err(Error::new(ErrorKind::BadRequest, text)
                .hint("begin a change set for a folder that has both"));
        }

        // What goes is in nobody's way.
        if matches!(change, Some(Change::Removal)) {
            return Ok(());
        }

        let is_there = |other: &ModelName| {
            let found = self.entries.get(other);
            found.is_some_and(|found| found.bytes().is_some())
        };

        let within = self.is_within(name, is_there);
        let within = within.or_else(|| self.is_like_within(name, folds_names, is_there));
        if let Some(other) = within {
            let text = format!("'{name}' and '{other}' cannot both be there: one is a folder");
            return Err(
                Error::new(ErrorKind::Conflict, text).hint("leave one of them out of the set")
            );
        }

        if let Some(other) = self.other_form(name) {
            let text = format!(
                "'{name}' is in a folder that the set has as '{other}', in the other form of Unicode"
            );
            return Err(Error::new(ErrorKind::Conflict, text)
                .hint("write letters with marks in one form (NFC or NFD) in all names"));
        }

        let folded = fold(name, folds_names);
        match folded.and_then(|folded| self.folded.get(&folded)) {
            Some(other) if other != name && is_there(other) => {
                let text = format!("'{name}' and '{other}' are the same name on this file system");
                Err(Error::new(ErrorKind::Conflict, text).hint("rename one of them"))
            }
            _ => Ok(()),
        }
    }

    /// A folder of a name as the set has it, if that is in the other form of Unicode.
    fn other_form(&self, name: &ModelName) -> Option<String> {
        if name.as_str().is_ascii() {
            return None;
        }

        let mut path = String::new();
        for segment in name.folders() {
            let forms = [segment.to_owned(), composed(segment), decomposed(segment)];
            let forms = forms.into_iter().map(|form| format!("{path}{form}/"));
            let used = forms.into_iter().find(|folder| self.has_below(folder));
            let used = used.unwrap_or_else(|| format!("{path}{segment}/"));
            if used != format!("{path}{segment}/") {
                return Some(used);
            }
            path = used;
        }
        None
    }

    /// Whether something of the set is to be in a folder.
    fn has_below(&self, folder: &str) -> bool {
        let from = (Bound::Included(folder), Bound::Unbounded);
        let below = self.entries.range::<str, _>(from);
        let mut below = below.take_while(|(name, _)| name.as_str().starts_with(folder));
        below.any(|(_, change)| change.bytes().is_some())
    }

    /// A name of the set that is a folder of this one, or is in it.
    fn is_within(
        &self,
        name: &ModelName,
        is_there: impl Fn(&ModelName) -> bool,
    ) -> Option<ModelName> {
        let above = name.ancestors().find(|above| is_there(above));
        above.or_else(|| {
            let prefix = format!("{name}/");
            let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
            let below = self.entries.range::<str, _>(from);
            let mut below = below.take_while(|(other, _)| other.as_str().starts_with(&prefix));
            below
                .find(|(other, _)| is_there(other))
                .map(|(other, _)| other.clone())
        })
    }

    /// The same, in the other form of Unicode.
    fn is_like_within(
        &self,
        name: &ModelName,
        folds_names: bool,
        is_there: impl Fn(&ModelName) -> bool,
    ) -> Option<ModelName> {
        let folded = |name: &ModelName| fold(name, folds_names);
        let above = name.ancestors().filter_map(|above| folded(&above));
        let mut above = above.filter_map(|above| self.folded.get(&above));
        let above = above.find(|other| is_there(other));

        let below = || {
            let prefix = format!("{}/", folded(name)?);
            let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
            let below = self.folded.range::<str, _>(from);
            let mut below = below.take_while(|(folded, _)| folded.starts_with(&prefix));
            below
                .find(|(_, other)| is_there(other))
                .map(|(_, other)| other)
        };
        above.or_else(below).cloned()
    }

    /// Notes what is to become of a name, in the place of what was to become of it before, whose bytes go.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn note(&mut self, name: &ModelName, change: Change, folds: bool) -> io::Result<()> {
        fault::check()?;
        if self.lines > 2 * self.entries.len() + LINES_MORE {
            self.shorten()?;
        }
        self.journal
            .write_all(entry_line(name, &change).as_bytes())?;
        self.seen = (Duration::ZERO, Instant::now());
        self.insert(name.clone(), change, folds);
        Ok(())
    }

    /// Writes the journal anew, without the lines that later ones have superseded.
    fn shorten(&mut self) -> io::Result<()> {
        let mut text = String::new();
        for (name, change) in &self.entries {
            let mut change = change.clone();
            // Whether a power cut has left the bytes as they are is looked at once more.
            if let Change::Sent(bytes) = &mut change {
                bytes.is_unsure = true;
            }
            text += &entry_line(name, &change);
        }

        let place = self.files.place(ENTRIES)?;
        disk::write_unsynced(&place, text.as_bytes(), 0o600)?;
        self.journal = place.open_as(APPENDED, 0o600)?;
        self.lines = self.entries.len();
        Ok(())
    }

    /// Replaces what is known of the bytes of a name, which stay the same.
    pub(crate) fn insert_same(&mut self, name: &ModelName, change: Change) {
        if let Some(known) = self.entries.get_mut(name) {
            *known = change;
        }
    }

    /// As [`ChangeSet::note`] for what the journal has already.
    pub(crate) fn insert(&mut self, name: ModelName, change: Change, folds_names: bool) {
        if let Some(folded) = fold(&name, folds_names) {
            self.folded.insert(folded, name.clone());
        }
        if let Some(bytes) = change.bytes() {
            self.next = self.next.max(bytes.number + 1);
        }

        let kept = change.bytes().map(|bytes| bytes.number);
        self.lines += 1;
        self.memory += change.memory(&name);
        self.sent_bytes = self.sent_bytes.saturating_add(change.sent_size());
        if let Some(old) = self.entries.get(&name) {
            self.memory = self.memory.saturating_sub(old.memory(&name));
            self.sent_bytes = self.sent_bytes.saturating_sub(old.sent_size());
        }
        let old = self.entries.insert(name, change);
        if let Some(Change::Sent(old)) = old
            && kept != Some(old.number)
            && let Ok(place) = self.files.place(old.number)
        {
            // What stays behind goes with the set.
            let _ = place.remove_unsynced();
        }
    }
}

/// How many more lines a journal has than names before it is written anew.
const LINES_MORE: usize = 1000;

/// What is the same of names that are one for the file system or for people; `None` if only equal names are.
fn fold(name: &ModelName, folds_names: bool) -> Option<String> {
    let text = name.as_str();
    if folds_names {
        Some(composed(text).to_lowercase())
    } else {
        (!text.is_ascii()).then(|| composed(text))
    }
}
