// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bar of a transfer: one line of a terminal that is drawn anew while bytes go over the line.

use std::fmt;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use rustix::termios::tcgetwinsize;

/// A bar, which is on the screen once it was drawn and until it is cleared.
pub(crate) struct Bar {
    measured: Instant,
    done: u64,
    /// Bytes per second.
    rate: u64,
    is_shown: bool,
}

impl Bar {
    /// A bar of a transfer that begins at `done` bytes.
    pub(crate) fn start(done: u64) -> Self {
        Self {
            measured: Instant::now(),
            done,
            rate: 0,
            is_shown: false,
        }
    }

    /// Draws how far it is, ten times a second at most.
    pub(crate) fn draw(&mut self, name: &str, done: u64, total: Option<u64>) {
        let passed = self.measured.elapsed();
        if passed < PAUSE {
            return;
        }
        self.measure(done, passed);
        let columns = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { COLUMNS } else { columns };
        put(&format!(
            "{CLEAR}{}",
            line(name, done, total, self.rate, columns)
        ));
        self.is_shown = true;
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&mut self) {
        if self.is_shown {
            put(CLEAR);
            self.is_shown = false;
        }
    }

    /// The rate is that of the last seconds: what was measured counts less as time goes by.
    fn measure(&mut self, done: u64, passed: Duration) {
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = done.saturating_sub(self.done).saturating_mul(1000) / millis;
        self.rate = match self.rate {
            0 => rate,
            before => {
                let sum = before
                    .saturating_mul(MEMORY)
                    .saturating_add(rate.saturating_mul(millis));
                sum / MEMORY.saturating_add(millis)
            }
        };
        self.done = done;
        self.measured = Instant::now();
    }
}

/// Prints to the terminal; there is nowhere to complain if that fails.
fn put(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What a bar says, in fewer than `columns` columns.
fn line(name: &str, done: u64, total: Option<u64>, rate: u64, columns: usize) -> String {
    let per_second = Size(rate);
    let rest = match total {
        Some(total) => {
            let filled = u128::from(done.min(total)) * WIDTH as u128 / u128::from(total.max(1));
            // Not more than the width, so it fits.
            let filled = usize::try_from(filled).unwrap_or(WIDTH);
            let bar = FULL.repeat(filled) + &EMPTY.repeat(WIDTH - filled);
            let left = left(total.saturating_sub(done), rate);
            format!(
                " {bar} {}/{} {per_second}/s {left}",
                Size(done),
                Size(total)
            )
        }
        None => format!(" {} {per_second}/s", Size(done)),
    };
    let mut text = String::new();
    let mut free = columns.saturating_sub(1);
    let for_name = free
        .saturating_sub(rest.chars().count())
        .max(free.min(NAME_COLUMNS));
    let mut of_name = for_name;
    for char in name.chars() {
        // Some are wide, and a line that is wrapped cannot be cleared.
        let wide = if char.is_ascii() { 1 } else { 2 };
        if of_name < wide {
            break;
        }
        of_name -= wide;
        text.push(char);
    }
    free -= for_name - of_name;
    text.extend(rest.chars().take(free));
    text
}

/// How long `bytes` take, in the coarser two of hours, minutes and seconds.
fn left(bytes: u64, rate: u64) -> String {
    if rate == 0 {
        return String::new();
    }
    let seconds = bytes.div_ceil(rate);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

/// A number of bytes for people, `1.50 MiB`.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let power = self.0.ilog2() / 10;
        let unit = char::from(b" KMGTPE"[power as usize]);
        write!(
            f,
            "{:.2} {unit}iB",
            self.0 as f64 / (1_u64 << (10 * power)) as f64
        )
    }
}

/// To the first column, and away with the line.
const CLEAR: &str = "\r\x1b[2K";

const FULL: &str = "\u{2588}";

const EMPTY: &str = "\u{2591}";

const PAUSE: Duration = Duration::from_millis(100);

/// After so many milliseconds, what was measured counts half.
const MEMORY: u64 = 3000;

/// Of the bar itself, in columns.
const WIDTH: usize = 24;

/// What a long name has in any case, in columns.
const NAME_COLUMNS: usize = 12;

/// Of a terminal that does not say.
const COLUMNS: usize = 80;

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
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_line_tells_how_far_it_is_and_how_long_it_takes() {
        let text = line("a.bin", 1 << 20, Some(2 << 20), 4096, 100);
        let bar = FULL.repeat(12) + &EMPTY.repeat(12);
        assert_eq!(
            text,
            format!("a.bin {bar} 1.00 MiB/2.00 MiB 4.00 KiB/s 4m 16s")
        );
        assert_eq!(line("a.bin", 1 << 20, None, 0, 100), "a.bin 1.00 MiB 0 B/s");
        assert_eq!(left(7300, 1), "2h 01m");
        assert!(line("a", 9, Some(3), 1, 100).contains(" 9 B/3 B 1 B/s 0s"));
        assert!(line("a", 0, Some(0), 1, 100).contains(" 0 B/0 B "));
    }

    #[test]
    fn a_line_is_narrower_than_its_terminal() {
        let name = "\u{f6}".repeat(200);
        for columns in 1..120 {
            let text = line(&name, 1, Some(2), 1, columns);
            let wide = text.chars().filter(|char| *char == '\u{f6}').count();
            assert!(text.chars().count() + wide < columns, "{columns}: {text}");
        }
        let narrow = line(&name, 1, Some(2), 1, 40);
        assert!(
            narrow.contains('\u{f6}') && narrow.contains(FULL),
            "{narrow}"
        );
    }

    #[test]
    fn the_rate_follows_the_line() {
        let mut bar = Bar::start(1000);
        bar.measure(3000, Duration::from_secs(1));
        assert_eq!(bar.rate, 2000);
        for _ in 0..60 {
            bar.measure(bar.done + 500, Duration::from_secs(1));
        }
        assert!((500..510).contains(&bar.rate));
        bar.measure(0, Duration::from_secs(1));
        assert!(bar.rate < 500);
    }
}
