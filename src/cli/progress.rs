// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far a transfer is: a bar on a terminal, a few lines in the log of a script.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escape::escaped;
use super::output::{Notes, Output};
use crate::client::Event;

/// The progress of one file.
pub(super) struct Progress<'a> {
    output: &'a Output,
    name: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    tenths: u64,
    bar: Option<ProgressBar>,
}

impl<'a> Progress<'a> {
    /// Progress of `total` bytes, where that is known.
    pub(super) fn start(output: &'a Output, name: &str, total: Option<u64>) -> Self {
        let name = escaped(name).into_owned();
        let shown = output.progress() == Notes::Shown && io::stderr().is_terminal();
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            bar.set_style(style(total.is_some()));
            bar.with_message(name.clone())
        });
        Self { output, name, total, done: 0, started: Instant::now(), tenths: 0, bar }
    }

    /// Takes in that `count` more bytes went over the line.
    pub(super) fn advance(&mut self, count: u64) {
        self.done += count;
        if let Some(bar) = &self.bar {
            bar.inc(count);
        } else if self.output.progress() == Notes::Shown {
            self.report();
        }
    }

    /// Takes in what happens in a transfer.
    pub(super) fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { size, at } => {
                self.total = *size;
                self.done = *at;
                self.started = Instant::now();
                self.tenths = 0;
                if let (Some(bar), Some(size)) = (&self.bar, size) {
                    bar.set_style(style(true));
                    bar.set_length(*size);
                    bar.set_position(*at);
                    bar.reset_eta();
                }
                if *at > 0 {
                    let name = &self.name;
                    self.say(&format!("{name}: going on after {}", HumanBytes(*at)));
                }
            }
            Event::Progress(done) => self.advance(done.saturating_sub(self.done)),
            Event::Retrying { pause, error } => {
                let seconds = pause.as_secs_f32();
                self.say(&format!("{}; trying again in {seconds:.1} s", error.message()));
            }
            Event::Restarted { reason } => {
                self.say(&format!("{}: beginning anew, {reason}", self.name));
            }
        }
    }

    /// Prints a note without tearing the bar.
    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }

    /// One line per tenth of a large file, once it has taken a while.
    fn report(&mut self) {
        let Some(total) = self.total.filter(|total| *total >= LARGE_BYTES) else {
            return;
        };
        let tenths = self.done / (total / 10);
        if tenths > self.tenths && self.started.elapsed() >= PATIENCE {
            self.tenths = tenths;
            let (done, total) = (HumanBytes(self.done), HumanBytes(total));
            self.output.note(&format!("{}: {}0 % ({done} of {total})", self.name, tenths.min(10)));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(has_end: bool) -> ProgressStyle {
    let style = ProgressStyle::with_template(match has_end {
        true => "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        false => "{msg} {bytes} {bytes_per_sec}",
    });
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

const LARGE_BYTES: u64 = 4 << 20;

const PATIENCE: Duration = Duration::from_secs(2);
