// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launcher: a binary that, started again with a hidden verb, becomes the supervisor of a child,
//! and the proof that a binary knows that verb.

use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::control::{CLEAN, PROGRAM, VERB};
use crate::child::{program, supervisor};
use crate::error::{Error, Result};

/// A binary that knows the hidden verb. Without one nothing can be started: a program that does not
/// know the verb would begin its own work again.
#[derive(Clone, Debug)]
pub struct Launcher {
    binary: PathBuf,
}

/// What `main` has to call before anything else, with the arguments of the process: gives the launcher
/// of this binary or, if this process was started to launch, does that.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     let arguments: Vec<_> = std::env::args_os().collect();
///     let launcher = match skep::child::launch(&arguments) {
///         ControlFlow::Continue(launcher) => launcher,
///         ControlFlow::Break(Ok(())) => return ExitCode::SUCCESS,
///         ControlFlow::Break(Err(_)) => return ExitCode::FAILURE,
///     };
///     # drop(launcher);
///     ExitCode::SUCCESS
/// }
/// ```
pub fn launch(arguments: &[OsString]) -> ControlFlow<Result<()>, Launcher> {
    let words: Vec<_> = arguments.iter().skip(1).take(2).collect();
    if words.first().is_none_or(|word| *word != VERB) {
        return ControlFlow::Continue(Launcher {
            binary: PathBuf::from(THIS_BINARY),
        });
    }

    let result = match words.get(1) {
        Some(word) if *word == PROGRAM => program::run(),
        Some(word) if *word == CLEAN => supervisor::run(),
        _ => supervise(),
    };
    let what = format!("launching a process ('{VERB}' is not for people)");
    ControlFlow::Break(result.map_err(|error| Error::io(what, error)))
}

impl Launcher {
    /// Another binary that calls [`launch`], for programs that cannot: an installed skep, for example.
    /// Any other program would begin its own work when a child is started, and be ended for that after
    /// half a minute at most.
    pub fn at(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
        }
    }

    /// The path of the binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Starts a supervisor with this standard input.
    pub(super) fn spawn(&self, input: OwnedFd) -> io::Result<std::process::Child> {
        // A group of its own keeps the keys of a terminal away from it.
        Command::new(&self.binary)
            .arg(VERB)
            .env_clear()
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
    }
}

/// Becomes a supervisor without what whoever started skep had open: it would stay open, a port or the
/// end of somebody's pipe, for as long as the child runs, and be inherited by the child.
fn supervise() -> io::Result<()> {
    let has_inherited = close_fds::iter_open_fds(3).next().is_some();
    if !has_inherited {
        return supervisor::run();
    }

    close_fds::set_fds_cloexec(3, &[]);
    Err(Command::new(THIS_BINARY).args([VERB, CLEAN]).exec())
}

/// It is the running one, also after an upgrade replaced the file.
pub(super) const THIS_BINARY: &str = "/proc/self/exe";
