// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bar of a transfer: one line of a terminal that is drawn anew while bytes go over the line.

use std::io::{self, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;

use crate::cli::terminal::standard::has_blocks;
use crate::logging;

/// A bar on standard error. It has no colours, and it goes away when it is dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
    look: Look,
    /// Keeps lines of the log out of the bar.
    _lines: logging::Through,
}

/// What a bar is made of.
#[derive(Clone, Copy)]
struct Look {
    columns: u16,
    has_blocks: bool,
}

impl Bar {
    /// A bar that is drawn once something happens. There is none where standard error is no terminal,
    /// and at a terminal that cannot go back in a line (`TERM` is `dumb` or absent).
    pub(crate) fn new(name: &str, total: Option<u64>) -> Option<Self> {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWN_PER_SECOND);
        if target.is_hidden() {
            return None;
        }

        let columns = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);

        let look = Look {
            columns,
            has_blocks: has_blocks(),
        };

        Some(Self::at(target, look, name, total))
    }

    fn at(target: ProgressDrawTarget, look: Look, name: &str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, target)
            .with_message(name.to_owned())
            .with_style(look.style(total));

        let screen = bar.clone();

        // A line of the log that is written past the bar would tear it.
        let write = move |line: &str| {
            screen.suspend(|| {
                // There is nowhere to complain if that fails.
                let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
            });
        };

        Self {
            bar,
            look,
            _lines: logging::through(write),
        }
    }

    /// Draws the begin of a transfer, of which `done` bytes of `total` are there already.
    pub(crate) fn begin(&self, done: u64, total: Option<u64>) {
        self.bar.set_style(self.look.style(total));
        self.bar.set_position(done);

        match total {
            Some(total) => self.bar.set_length(total),
            None => self.bar.unset_length(),
        }

        // What was there before says nothing of the rate.
        self.bar.reset_eta();
        self.bar.tick();
    }

    /// Draws how far it is, unless it was drawn just now.
    pub(crate) fn draw(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// It is called so from now on.
    pub(crate) fn rename(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    /// The total is another one.
    pub(crate) fn extend(&self, total: Option<u64>) {
        if let Some(total) = total {
            self.bar.set_length(total);
        }
    }

    /// Runs `print`, which prints lines, without the bar on the screen.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Look {
    /// The line of a bar, in which the name gets what the rest leaves.
    fn style(self, total: Option<u64>) -> ProgressStyle {
        // A terminal that does not say how wide it is has 0 columns.
        let is_wide = self.columns == 0 || self.columns >= COLUMNS_OF_ALL;
        let template = match total {
            Some(_) if is_wide => {
                "{wide_msg} {bar:20} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta_precise}"
            }
            Some(_) => "{wide_msg} {percent}% {binary_bytes_per_sec} {eta_precise}",
            None => "{wide_msg} {binary_bytes} {binary_bytes_per_sec}",
        };

        let blocks = if self.has_blocks {
            "\u{2588}\u{2591}"
        } else {
            "#."
        };

        let style = ProgressStyle::with_template(template);

        // The templates are constants, so the fallback is never used.
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars(blocks)
    }
}

const DRAWN_PER_SECOND: u8 = 10;

/// Below so many columns, the blocks and the sizes would leave nothing for the name.
const COLUMNS_OF_ALL: u16 = 78;

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use crate::threads::lock;

    /// A terminal that remembers what was written.
    #[derive(Clone, Debug)]
    struct Paper(u16, Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            self.0
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            lock(&self.1).push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            lock(&self.1).clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is on the screen at the begin of a transfer.
    fn shown(name: &str, columns: u16, has_blocks: bool, total: Option<u64>) -> String {
        let paper = Paper(columns, Arc::default());
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let bar = Bar::at(
            target,
            Look {
                columns,
                has_blocks,
            },
            name,
            total,
        );
        bar.begin(1 << 20, total);
        let screen = lock(&paper.1).clone();
        drop(bar);
        assert_eq!(lock(&paper.1).trim(), "", "it goes away");
        screen
    }

    #[test]
    fn a_line_tells_how_far_it_is() {
        let line = shown("a.bin", 80, true, Some(2 << 20));
        let blocks = "\u{2588}".repeat(10) + &"\u{2591}".repeat(10);
        let rest = format!(" {blocks} 1.00 MiB/2.00 MiB 0 B/s 00:00:00");
        assert!(
            line.starts_with("a.bin ") && line.trim_end().ends_with(&rest),
            "{line}"
        );

        let line = shown("a.bin", 80, false, Some(2 << 20));
        assert!(
            line.is_ascii() && line.contains(" ##########.......... 1.00 MiB/"),
            "{line}"
        );
        let line = shown("a.bin", 80, true, None);
        assert!(line.trim_end().ends_with(" 1.00 MiB 0 B/s"), "{line}");
    }

    #[test]
    fn a_resumed_transfer_begins_without_a_rate_and_lines_leave_the_bar_whole() {
        let (paper, look) = (
            Paper(80, Arc::default()),
            Look {
                columns: 80,
                has_blocks: true,
            },
        );
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let bar = Bar::at(target, look, "a", Some(9 << 20));
        for done in [0, 8 << 20] {
            bar.begin(done, Some(9 << 20));
            assert!(lock(&paper.1).contains(" 0 B/s "), "{}", lock(&paper.1));
        }

        let mut during = None;
        bar.aside(|| during = Some(lock(&paper.1).clone()));
        assert_eq!(during.unwrap().trim(), "");
        assert!(lock(&paper.1).starts_with("a "));
    }

    #[test]
    fn a_line_is_no_wider_than_its_terminal() {
        for name in ["\u{f6}".repeat(200), "\u{6a21}".repeat(200)] {
            for columns in [30, 40, 77, 78, 120] {
                let line = shown(&name, columns, true, Some(1 << 40));
                let wide = line.matches('\u{6a21}').count();
                assert!(line.starts_with(name.chars().next().unwrap()), "{line}");
                assert!(
                    line.trim_end().chars().count() + wide <= usize::from(columns),
                    "{columns}: {line}"
                );
            }
        }
    }
}
