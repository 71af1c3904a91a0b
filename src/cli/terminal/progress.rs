// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far a transfer is: a bar on a terminal, a few lines in the log of a script.

use std::time::{Duration, Instant};

use indicatif::HumanBytes;

use crate::cli::terminal::bar::Bar;
use crate::cli::terminal::output::{Notes, Output};
use crate::client::TransferEvent;
use crate::text::escaped;

/// The progress of one file.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    name: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    tenths: u64,
    bar: Option<Bar>,
}

impl<'a> Progress<'a> {
    /// Progress of `total` bytes, where that is known.
    pub(crate) fn start(output: &'a Output, name: &str, total: Option<u64>) -> Self {
        let name = escaped(name).into_owned();
        let is_shown = output.progress() == Notes::Shown;
        let bar = is_shown.then(|| Bar::new(&name, total)).flatten();

        Self {
            output,
            name,
            total,
            done: 0,
            started: Instant::now(),
            tenths: 0,
            bar,
        }
    }

    /// It is called so from now on.
    pub(crate) fn rename(&mut self, name: &str) {
        self.name = escaped(name).into_owned();
        if let Some(bar) = &self.bar {
            bar.rename(&self.name);
        }
    }

    /// There are so many bytes more to do than was said.
    pub(crate) fn extend(&mut self, bytes: u64) {
        let total = self.total.map(|total| total.saturating_add(bytes));
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.extend(total);
        }
    }

    /// So many bytes are done; fewer than before if some got lost.
    pub(crate) fn go_to(&mut self, done: u64) {
        self.done = self.done.min(done);
        self.advance(done - self.done);
    }

    /// Takes in that `count` more bytes went over the line.
    pub(crate) fn advance(&mut self, count: u64) {
        self.done += count;
        if let Some(bar) = &self.bar {
            bar.draw(self.done);
        } else if self.output.progress() == Notes::Shown {
            self.report();
        }
    }

    /// Takes in what happens in a transfer.
    pub(crate) fn tell(&mut self, event: &TransferEvent<'_>) {
        match event {
            TransferEvent::Started { size, at } => {
                // A retry starts from what has arrived, which may be less than what was counted.
                self.total = *size;
                self.done = *at;
                self.started = Instant::now();
                self.tenths = 0;
                if *at > 0 {
                    self.say(&format!(
                        "{}: resuming after {}",
                        self.name,
                        HumanBytes(*at)
                    ));
                }
                if let Some(bar) = &self.bar {
                    bar.begin(*at, *size);
                }
            }
            TransferEvent::Progress(done) => self.advance(done.saturating_sub(self.done)),
            TransferEvent::Retrying { pause, error } => {
                let seconds = pause.as_secs_f32();
                self.say(&format!(
                    "{}; trying again in {seconds:.1} s",
                    error.message()
                ));
            }
            TransferEvent::Restarted { reason } => {
                self.say(&format!("{}: starting again, {reason}", self.name));
            }
        }
    }

    /// Prints a note without tearing the bar.
    pub(crate) fn say(&self, text: &str) {
        self.aside(|| self.output.note(text));
    }

    /// Prints lines without tearing the bar.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.aside(print),
            None => print(),
        }
    }

    /// One line per tenth of a large file, once it has taken a while.
    fn report(&mut self) {
        let Some(total) = self.total.filter(|total| *total >= LARGE_BYTES) else {
            return;
        };

        // Not `10 * done / total`, which could overflow; `total` is large enough not to make this a
        // division by zero.
        let tenths = self.done / (total / 10);

        if tenths > self.tenths && self.started.elapsed() >= PATIENCE {
            self.tenths = tenths;
            // The true figure, which may be well past the tenth that has come to be told.
            let percent = self.done / (total / 100);
            let (done, total) = (HumanBytes(self.done), HumanBytes(total));
            self.output.note(&format!(
                "{}: {} % ({done} of {total})",
                self.name,
                percent.min(100)
            ));
        }
    }
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

const LARGE_BYTES: u64 = 4 << 20;

const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (5 << 20, "5.00 MiB"),
            (3 << 30, "3.00 GiB"),
            (u64::MAX, "16.00 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
