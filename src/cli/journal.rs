// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log: one line per record, whatever the record has in it, on standard error unless the settings
//! of a server say otherwise.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use clap::ArgMatches;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::args;
use super::sink::{self, Stamp, Target};
use crate::audit::{self, Format};
use crate::clock;
use crate::config::LogOptions;
use crate::error::{Error, ErrorKind, Result};
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

/// Starts the log, or changes it. `--log-level` counts before `-v`, and that before `default`.
///
/// # Errors
/// `Usage` if there is no such level.
pub(crate) fn start(matches: &ArgMatches, default: LevelFilter, style: Style) -> Result<()> {
    let level = match args::text(matches, "log-level") {
        Some(name) => name.parse().map_err(|_| {
            Error::new(ErrorKind::Usage, format!("there is no log level '{name}'"))
                .hint("use error, warn, info, debug, trace or off")
        })?,
        None => (0..matches.get_count("verbose")).fold(default, |level, _| more(level)),
    };
    STAMPED.store(style == Style::Stamped, Ordering::Relaxed);
    // It is there already if this is a change.
    let _ = log::set_logger(&Sink);
    log::set_max_level(level);
    Ok(())
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
    Target::open(options).map(sink::put)
}

fn format() -> Format {
    let formats = [Format::Line, Format::Logfmt, Format::Json, Format::Clf];
    let number = FORMAT.load(Ordering::Relaxed);
    formats
        .into_iter()
        .find(|format| *format as u8 == number)
        .unwrap_or_default()
}

fn more(level: LevelFilter) -> LevelFilter {
    match level {
        LevelFilter::Off => LevelFilter::Error,
        LevelFilter::Error => LevelFilter::Warn,
        LevelFilter::Warn => LevelFilter::Info,
        LevelFilter::Info => LevelFilter::Debug,
        LevelFilter::Debug | LevelFilter::Trace => LevelFilter::Trace,
    }
}

struct Sink;

impl Log for Sink {
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
        let text = record.args().to_string();
        let (now, format) = (clock::now(), format());
        sink::write(record.level(), |stamp| {
            // Events are written in their form already; people's has no time in it.
            if record.target() == audit::TARGET && format != Format::Line {
                return text;
            }
            if let Some(line) = audit::record(format, now, level, &text) {
                return line;
            }
            match (STAMPED.load(Ordering::Relaxed), stamp) {
                (true, Stamp::Present) => format!("{} {level} {}", rfc3339(now), escaped(&text)),
                (true, Stamp::Absent) => format!("{level} {}", escaped(&text)),
                (false, _) => format!("skep: {level}: {}", escaped(&text)),
            }
        });
    }

    fn flush(&self) {}
}

static STAMPED: AtomicBool = AtomicBool::new(false);

/// The format of the settings, as a number.
static FORMAT: AtomicU8 = AtomicU8::new(0);
