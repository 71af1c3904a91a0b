// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log: one line per record, whatever the record has in it, on standard error unless the settings
//! of a server say otherwise.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

use crate::clock;
use crate::error::{Error, Result};
use crate::logging::format::{self, LogFormat};
use crate::logging::log_line::{LineForm, LogLine, Style};
use crate::logging::log_options::LogOptions;
use crate::logging::log_queue::LogQueue;
use crate::logging::target::{Target, is_terminal_writable};
use crate::threads::{panic_text, thread_name};

/// Starts the log, or changes it.
pub(crate) fn start(level: LevelFilter, style: Style) {
    STAMPED.store(style == Style::Stamped, Ordering::Relaxed);

    // It is there already if this is a change.
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

/// Takes the settings of a server. From now on a thread writes the log, and nobody who logs waits.
///
/// # Errors
/// `Usage` if the place for the log cannot be opened; the old one then stays.
pub(crate) fn configure(options: &LogOptions) -> Result<()> {
    reopen(options)?;
    FORMAT.store(options.audit.format as u8, Ordering::Relaxed);

    // The standard library would write to standard error, and wait there.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        let (name, text) = (thread_name(), panic_text(panic.payload()));
        log::error!("{name} panicked at {place}: {text}");

        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            for line in trace.to_string().lines() {
                log::error!("{line}");
            }
        }
    }));

    Ok(())
}

/// Opens the file or the socket anew; the form of the lines stays as it was at the start.
///
/// # Errors
/// As [`configure`].
pub(crate) fn reopen(options: &LogOptions) -> Result<()> {
    let target = Target::open(options)?;
    LOG.redirect(target)
        .map_err(|error| Error::io("starting the log", error))
}

/// Waits until what was logged is written, for a bounded time, so that what is printed elsewhere comes
/// after it.
pub(crate) fn flush() {
    LOG.flush(FLUSH_WAIT);
}

/// Writes what is left of the log, for a bounded time; whether standard error takes a last word without
/// making the end of the process wait.
pub(crate) fn finish() -> bool {
    LOG.finish(FLUSH_WAIT);
    // A command may wait for its terminal as it likes.
    !LOG.has_thread() || is_terminal_writable()
}

/// Has `write` put lines on the terminal, without their line ends, as long as the result lives. It must
/// not log.
pub(crate) fn through(write: impl FnMut(&str) + Send + 'static) -> Through {
    LOG.change_direct(|target| {
        if matches!(target, Target::Terminal) {
            *target = Target::Screen(Box::new(write));
        }
    });
    Through(())
}

/// While this lives, lines that go to the terminal are written by somebody else.
pub(crate) struct Through(());

impl Drop for Through {
    fn drop(&mut self) {
        LOG.change_direct(|target| {
            if matches!(target, Target::Screen(_)) {
                *target = Target::Terminal;
            }
        });
    }
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
        // Ours says what it means, and of heads nothing. Libraries write those with the secrets in them.
        metadata.target().starts_with("skep")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }

        let style = if STAMPED.load(Ordering::Relaxed) {
            Style::Stamped
        } else {
            Style::Plain
        };

        // The text is made before the queue is locked: what is formatted may log something itself.
        LOG.put(LogLine {
            at: clock::now(),
            level: record.level(),
            text: record.args().to_string(),
            is_event: record.target() == format::TARGET,
            form: LineForm {
                style,
                format: format(),
            },
        });
    }

    fn flush(&self) {
        flush();
    }
}

static STAMPED: AtomicBool = AtomicBool::new(false);

/// The format of the settings, as a number.
static FORMAT: AtomicU8 = AtomicU8::new(0);

static LOG: LogQueue = LogQueue::new();

/// How long lines may take to be written before others go on without them.
const FLUSH_WAIT: Duration = Duration::from_secs(2);
