// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log: one line per record, whatever the record has in it, on standard error unless the settings
//! of a server say otherwise.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock;
use crate::error::Result;
use crate::logging::format::{self, LogFormat};
use crate::logging::log_options::LogOptions;
use crate::logging::target::{self, LineTime, Target};
use crate::text::escaped;
use crate::wire::rfc3339;

/// How lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// With `skep:`, for a command that somebody waits for.
    Plain,
    /// With the time, for a server.
    Stamped,
}

/// Starts the log, or changes it.
pub(crate) fn start(level: LevelFilter, style: Style) {
    STAMPED.store(style == Style::Stamped, Ordering::Relaxed);

    // It is there already if this is a change.
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

/// Takes the settings of a server.
///
/// # Errors
/// `Usage` if the place for the log cannot be opened; the old one then stays.
pub(crate) fn configure(options: &LogOptions) -> Result<()> {
    reopen(options)?;
    FORMAT.store(options.audit.format as u8, Ordering::Relaxed);
    Ok(())
}

/// Opens the file or the socket anew; the form of the lines stays as it was at the start.
///
/// # Errors
/// As [`configure`].
pub(crate) fn reopen(options: &LogOptions) -> Result<()> {
    Target::open(options).map(target::put)
}

fn format() -> LogFormat {
    let formats = [
        LogFormat::Line,
        LogFormat::Logfmt,
        LogFormat::Json,
        LogFormat::Clf,
    ];

    // The format is an atomic number, so that no line waits for a lock to know its form.
    let number = FORMAT.load(Ordering::Relaxed);

    formats
        .into_iter()
        .find(|format| *format as u8 == number)
        .unwrap_or_default()
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries say is for those who look for a fault: ours says what it means.
        metadata.target().starts_with("skep") || log::max_level() >= Level::Debug
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }

        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };

        // The text is made before the target is locked: what is formatted may log something itself.
        let text = record.args().to_string();
        let (now, format) = (clock::now(), format());

        target::write(record.level(), |stamp| {
            // Events are written in their form already; people's has no time in it.
            if record.target() == format::TARGET && format != LogFormat::Line {
                return text;
            }
            if let Some(line) = format::record(format, now, level, &text) {
                return line;
            }
            match (STAMPED.load(Ordering::Relaxed), stamp) {
                (true, LineTime::Present) => format!("{} {level} {}", rfc3339(now), escaped(&text)),
                (true, LineTime::Absent) => format!("{level} {}", escaped(&text)),
                (false, _) => format!("skep: {level}: {}", escaped(&text)),
            }
        });
    }

    fn flush(&self) {}
}

static STAMPED: AtomicBool = AtomicBool::new(false);

/// The format of the settings, as a number.
static FORMAT: AtomicU8 = AtomicU8::new(0);
