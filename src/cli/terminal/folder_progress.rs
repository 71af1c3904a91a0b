// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far a folder is of which several files are under way at a time: one bar for the whole.

use std::collections::BTreeMap;

use crate::cli::terminal::output::Output;
use crate::cli::terminal::progress::{Progress, size};
use crate::client::TransferNews;
use crate::text::counted;

/// The progress of many files.
pub(crate) struct FolderProgress<'a> {
    progress: Progress<'a>,
    name: String,
    files: u64,
    files_done: u64,
    /// The bytes of files that are done.
    bytes_done: u64,
    /// The bytes of the files that are under way, by their numbers.
    under_way: BTreeMap<usize, u64>,
}

impl<'a> FolderProgress<'a> {
    /// Progress of so many files with so many bytes.
    pub(crate) fn start(output: &'a Output, name: &str, files: usize, bytes: u64) -> Self {
        let mut progress = Self {
            progress: Progress::start(output, name, Some(bytes)),
            name: name.to_owned(),
            files: files as u64,
            files_done: 0,
            bytes_done: 0,
            under_way: BTreeMap::new(),
        };
        progress.count();
        progress
    }

    /// All of it is looked at again.
    pub(crate) fn begin_again(&mut self) {
        (self.files_done, self.bytes_done) = (0, 0);
        self.under_way.clear();
    }

    /// Takes in what happens to a file.
    pub(crate) fn tell(&mut self, number: usize, file: &str, news: &TransferNews) {
        match news {
            TransferNews::Started { at } => {
                if *at > 0 {
                    self.say(&format!("{file}: resuming after {}", size(*at)));
                }
                self.under_way.insert(number, *at);
                self.draw();
            }
            TransferNews::Progress(done) => {
                self.under_way.insert(number, *done);
                self.draw();
            }
            TransferNews::Retrying { pause, reason } => {
                let seconds = pause.as_secs_f32();
                self.say(&format!("{file}: {reason}; trying again in {seconds:.1} s"));
            }
            TransferNews::Restarted { reason } => {
                self.say(&format!("{file}: starting again, {reason}"));
            }
            TransferNews::Done(_) => {}
        }
    }

    /// A file of so many bytes is done.
    pub(crate) fn finish(&mut self, number: usize, bytes: u64) {
        self.under_way.remove(&number);
        self.skip(bytes);
    }

    /// A file of so many bytes needs nothing to be done.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.bytes_done = self.bytes_done.saturating_add(bytes);
        self.files_done += 1;
        self.count();
        self.draw();
    }

    /// Takes in so many more bytes than were known of.
    pub(crate) fn extend(&mut self, bytes: u64) {
        self.progress.extend(bytes);
    }

    /// Prints lines without tearing the bar.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.progress.aside(print)
    }

    fn say(&self, text: &str) {
        self.progress.say(text);
    }

    fn count(&mut self) {
        let files = counted(self.files, "file");
        let text = format!("{} {} of {files}", self.name, self.files_done);
        self.progress.rename(&text);
    }

    fn draw(&mut self) {
        let under_way = self.under_way.values().copied();
        let done = under_way.fold(self.bytes_done, u64::saturating_add);
        self.progress.go_to(done);
    }
}
