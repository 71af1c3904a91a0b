// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ctrl-C in the middle of a transfer: unfinished files are removed, and the end comes at once.

use std::io::{self, Write as _};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};
use crate::stop::Shutdown;
use crate::text::escaped;
use crate::{disk, logging, threads};

/// Watches for signals from now on.
///
/// # Errors
/// If the system has no thread or no descriptor left.
pub(crate) fn watch() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(unwatched)?;
    let work = move || {
        if let Some(signal) = signals.forever().next() {
            end(signal);
        }
    };
    threads::spawn("signals", work).map(drop).map_err(unwatched)
}

/// The signals of a server, caught from here on: one that comes while it starts waits for
/// [`ServerSignals::serve`].
pub(crate) struct ServerSignals(Signals);

impl ServerSignals {
    /// # Errors
    /// If the system has no descriptor left.
    pub(crate) fn catch() -> Result<Self> {
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGXFSZ]);
        signals.map(Self).map_err(unwatched)
    }

    /// Has the first SIGINT or SIGTERM shut a server down, the second end it at once, and each SIGHUP run
    /// `reload`. SIGXFSZ, which a file beyond the limit of the process brings, is left to the failed
    /// write.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn serve(
        mut self,
        shutdown: Shutdown,
        reload: impl Fn() + Send + 'static,
    ) -> Result<()> {
        // A thread may lock, log and write files, which a signal handler must not (signal-safety(7)).
        let work = move || {
            let mut asked = false;
            for signal in self.0.forever() {
                match signal {
                    SIGHUP => reload(),
                    SIGXFSZ => {}
                    _ if asked => end(signal),
                    _ => {
                        log::info!("signal {signal}: finishing what is running");
                        shutdown.signalled(signal);
                        asked = true;
                    }
                }
            }
        };

        threads::spawn("signals", work).map(drop).map_err(unwatched)
    }
}

fn unwatched(error: io::Error) -> Error {
    Error::io("watching for signals", error)
}

/// While this lives, SIGINT does not end the process; afterwards it does.
pub(crate) struct Uninterrupted(Arc<AtomicBool>);

impl Uninterrupted {
    /// # Errors
    /// If the system does not allow it.
    pub(crate) fn new() -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&is_over))
            .map_err(unwatched)?;
        Ok(Self(is_over))
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[expect(clippy::exit, reason = "the other threads may hang in a system call")]
fn end(signal: i32) -> ! {
    disk::remove_unfinished();
    // A progress bar may have left the cursor in the middle of a line.
    let text = if RESUMABLE.load(Ordering::Relaxed) {
        format!("\nskep: interrupted; resume with: {}\n", same_command())
    } else {
        "\nskep: interrupted; unfinished files were removed\n".to_owned()
    };
    if logging::finish() {
        let _ = io::stderr().write_all(text.as_bytes());
    }
    process::exit(128 + signal)
}

/// While this lives, a transfer is running with which the same command goes on.
pub(crate) struct Resumable(());

impl Resumable {
    pub(crate) fn new() -> Self {
        RESUMABLE.store(true, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Resumable {
    fn drop(&mut self) {
        RESUMABLE.store(false, Ordering::Relaxed);
    }
}

static RESUMABLE: AtomicBool = AtomicBool::new(false);

/// The command line of this process, for a shell.
fn same_command() -> String {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(&escaped(&word.to_string_lossy())));
    std::iter::once("skep".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(
            quoted("--server=https://pi:8443"),
            "--server=https://pi:8443"
        );
        assert_eq!(quoted("it's a b"), r"'it'\''s a b'");
        assert_eq!(quoted(""), "''");
    }
}
