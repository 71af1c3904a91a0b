// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log: one line on standard error per record, whatever the record has in it.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use clap::ArgMatches;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::args;
use super::escape::escaped;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::rfc3339;

/// How lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With `skep:`, for a command that somebody waits for.
    Plain,
    /// With the time, for a server.
    Stamped,
}

/// Starts the log, or changes it. `--log-level` counts before `-v`, and that before `default`.
///
/// # Errors
/// `Usage` if there is no such level.
pub(super) fn start(matches: &ArgMatches, default: LevelFilter, style: Style) -> Result<()> {
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
        let line = match STAMPED.load(Ordering::Relaxed) {
            true => format!("{} {level} {}\n", rfc3339(SystemTime::now()), escaped(&text)),
            false => format!("skep: {level}: {}\n", escaped(&text)),
        };
        // One write, so that lines of several threads stay whole. There is nowhere to complain.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

static STAMPED: AtomicBool = AtomicBool::new(false);
