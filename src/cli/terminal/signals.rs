// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ctrl-C in the middle of a transfer: unfinished files are removed, and the end comes at once.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::cli::terminal::machine::JsonReport;
use crate::cli::terminal::standard::show_typing;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::Shutdown;
use crate::text::escaped;
use crate::{disk, logging, threads};

/// Has a write beyond the file limit of the process (`ulimit -f`) fail, instead of ending the command without a
/// word.
pub(crate) fn survive_file_limit() {
    // What has a handler does not end the process, and nobody asks whether it was called.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Watches for signals from now on. One that ends the command prints its `report`.
///
/// # Errors
/// If the system has no thread or no descriptor left.
pub(crate) fn watch(report: Option<JsonReport>) -> Result<()> {
    *threads::lock(&REPORT) = report;

    // A command that is run again after a question is watched already.
    if WAKING.get().is_some() {
        return Ok(());
    }

    // From the first of these on, no signal goes unnoticed: what nobody waits for yet is in `ASKED`.
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = signal.unsigned_abs() as usize;
        signal_hook::flag::register_usize(signal, Arc::clone(&ASKED), number).map_err(unwatched)?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(unwatched)?;
    wake_input().map_err(unwatched)?;
    if let Some(signal) = asked() {
        end(signal);
    }

    let work = move || {
        if let Some(signal) = signals.forever().next() {
            end(signal);
        }
    };
    threads::spawn("signals", work).map(drop).map_err(unwatched)
}

/// Has signals wake whoever waits for an input.
fn wake_input() -> io::Result<()> {
    let (reader, writer) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    // Watched once in a process; where it is watched twice, the first one is woken.
    let _ = WAKING.set(reader);
    Ok(())
}

/// Can be read after a signal.
static WAKING: OnceLock<UnixStream> = OnceLock::new();

/// An input that fails after a signal, also while nothing comes.
pub(crate) struct WatchedInput(File);

impl WatchedInput {
    pub(crate) fn new(input: File) -> Self {
        Self(input)
    }
}

impl Read for WatchedInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(waking) = WAKING.get() {
            let mut watched = [
                PollFd::new(&self.0, PollFlags::IN),
                PollFd::new(waking, PollFlags::IN),
            ];
            // An interrupted call is repeated by the caller.
            poll(&mut watched, None)?;
        }

        if asked().is_some() {
            return Err(interrupted().into());
        }
        self.0.read(buffer)
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted; nothing was published")
}

/// The number of the signal that came, or 0; set by the handler itself, so that it is known at once.
static ASKED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The signal that came, if one has.
fn asked() -> Option<i32> {
    let signal = i32::try_from(ASKED.load(Ordering::SeqCst));
    signal.ok().filter(|signal| *signal != 0)
}

/// Makes sure, at the end of an input, that this is no end by a signal: Ctrl-C ends the producer, too, and
/// it may be gone before the signal is here.
///
/// # Errors
/// `Cancelled` if there was a signal.
pub(crate) fn settle() -> Result<()> {
    // A signal to a process group is with all its members within microseconds, and one that a service
    // manager or a shell sends to each of them within milliseconds.
    thread::sleep(SETTLE);
    if asked().is_none() {
        PHASE.store(COMPLETING, Ordering::Relaxed);
        return Ok(());
    }

    Err(interrupted())
}

/// The signals of a server, caught from here on: one that comes while it starts waits for
/// [`ServerSignals::serve`].
pub(crate) struct ServerSignals(Signals);

impl ServerSignals {
    /// # Errors
    /// If the system has no descriptor left.
    pub(crate) fn catch() -> Result<Self> {
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]);
        signals.map(Self).map_err(unwatched)
    }

    /// Has the first SIGINT or SIGTERM shut a server down, the second end it at once, and each SIGHUP run
    /// `reload`.
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

/// While this lives, somebody is asked something, and a signal ends the command at once.
pub(crate) struct Asking(u8);

impl Asking {
    pub(crate) fn begin() -> Self {
        Self(PHASE.swap(ASKING, Ordering::Relaxed))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        PHASE.store(self.0, Ordering::Relaxed);
    }
}

/// Leaves the end to the thread that watches for signals, if one came: an input that ends with the terminal is
/// no answer.
pub(crate) fn give_way() {
    if asked().is_some() && WAKING.get().is_some() {
        thread::sleep(PATIENCE * 2);
    }
}

/// Whether a transfer that was interrupted is at rest: given up on the server, or noted on this device.
static AT_REST: Mutex<bool> = Mutex::new(false);

static RESTING: Condvar = Condvar::new();

/// What ends the transfer that can be resumed, so that it notes what it has.
static RUNNING: Mutex<Option<Shutdown>> = Mutex::new(None);

/// Leaves a transfer that is interrupted the time to come to rest.
fn await_end_of_transfer(signal: i32) {
    if let Some(shutdown) = threads::lock(&RUNNING).take() {
        shutdown.signalled(signal);
    }
    if [RESUMABLE, PIPED].contains(&PHASE.load(Ordering::Relaxed)) {
        let at_rest = threads::lock(&AT_REST);
        let _ = RESTING.wait_timeout_while(at_rest, PATIENCE, |is_over| !*is_over);
    }
}

#[expect(clippy::exit, reason = "the other threads may hang in a system call")]
fn end(signal: i32) -> ! {
    await_end_of_transfer(signal);
    show_typing();
    let removed = disk::remove_unfinished();
    let mut hint = None;
    let text = match PHASE.load(Ordering::Relaxed) {
        RESUMABLE => {
            hint = Some(format!("resume with: {}", same_command()));
            "interrupted"
        }
        PIPED => "interrupted; nothing was published",
        ASKING => "interrupted at a question; nothing was changed after it was asked",
        COMPLETING => {
            "interrupted at the end: the server may have the model already; 'skep ls -l' shows it"
        }
        _ if removed > 0 => "interrupted; unfinished files were removed",
        _ => "interrupted",
    };

    let code = 128 + signal;
    report(text, hint.as_deref(), code);

    if logging::finish() {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        // A progress bar may have left the cursor in the middle of a line.
        let _ = io::stderr().write_all(format!("\nskep: {text}{hint}\n").as_bytes());
    }
    process::exit(code)
}

/// Prints the JSON of a command that ends here.
fn report(text: &str, hint: Option<&str>, code: i32) {
    let Some(report) = threads::lock(&REPORT).take() else {
        return;
    };

    let mut error = Error::new(ErrorKind::Cancelled, text);
    if let Some(hint) = hint {
        error = error.hint(hint);
    }

    // Nobody may read standard output, and the command ends all the same.
    let (done, printed) = channel();
    let work = move || {
        report.interrupt(&error, code, |line| {
            // There is nowhere to complain if that fails.
            let _ = io::stdout().write_all(format!("{line}\n").as_bytes());
        });
        let _ = done.send(());
    };
    if threads::spawn("report", work).is_ok() {
        let _ = printed.recv_timeout(PATIENCE);
    }
}

/// The JSON of the command that runs, where that is wanted.
static REPORT: Mutex<Option<JsonReport>> = Mutex::new(None);

/// What a signal interrupts, while this lives.
pub(crate) struct Interruptible(());

impl Interruptible {
    /// A transfer with which the same command goes on, and what ends it.
    pub(crate) fn resumable(shutdown: Shutdown) -> Self {
        *threads::lock(&RUNNING) = Some(shutdown);
        Self::begin(RESUMABLE)
    }

    /// An upload of an input that cannot be read again.
    pub(crate) fn piped() -> Self {
        Self::begin(PIPED)
    }

    fn begin(phase: u8) -> Self {
        PHASE.store(phase, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        let phase = PHASE.load(Ordering::Relaxed);
        *threads::lock(&RUNNING) = None;
        if [RESUMABLE, PIPED].contains(&phase) && asked().is_some() {
            *threads::lock(&AT_REST) = true;
            RESTING.notify_all();
            // The thread that watches ends the process with the code of the signal.
            thread::sleep(PATIENCE * 2);
        }
        PHASE.store(NOTHING, Ordering::Relaxed);
    }
}

static PHASE: AtomicU8 = AtomicU8::new(NOTHING);

const NOTHING: u8 = 0;
const RESUMABLE: u8 = 1;
const PIPED: u8 = 2;
const COMPLETING: u8 = 3;
const ASKING: u8 = 4;

/// How long it may take to give up an upload on the server, or to have the last bytes on the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an end of input is watched for the signal that may have caused it.
const SETTLE: Duration = Duration::from_millis(100);

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
