// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The streams that a program is started with, which may be closed, and the characters that they show.

use std::cell::Cell;
use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;

/// Whether a descriptor of the beginning was closed. Where a program is started without one, the null
/// device takes its place, open for reading and writing, which no shell does. Other programs do so for their
/// children (DEVNULL in Python), so this decides only where bytes of models would be lost.
///
/// # Errors
/// Those of the system.
pub(crate) fn is_closed(descriptor: BorrowedFd<'_>) -> Result<bool> {
    let explained = |error: Errno| Error::io("a standard stream", error.into());
    let stat = fstat(descriptor).map_err(explained)?;
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    let flags = fcntl_getfl(descriptor).map_err(explained)?;
    Ok(is_device && device == NULL_DEVICE && flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Standard output, which notices that nobody reads it any more.
pub(crate) struct Stdout<'a> {
    file: File,
    closed: &'a Cell<bool>,
}

impl<'a> Stdout<'a> {
    /// `closed` is set when the reader is gone.
    pub(crate) fn new(file: File, closed: &'a Cell<bool>) -> Self {
        Self { file, closed }
    }
}

/// Standard output cannot be written, for whatever reason.
fn unwritten(error: io::Error) -> Error {
    let told = Error::io("standard output cannot be written", error);
    Error::new(ErrorKind::Unwritten, told.message()).because(told)
}

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                self.closed.set(true);
                error
            }
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            // Whatever the reason is, it is none of the server and of its disk.
            _ => unwritten(error).into(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How the terminal was before what is typed at it was hidden.
static MODES: Mutex<Option<Termios>> = Mutex::new(None);

/// While this lives, what is typed may be hidden, and whoever ends the process calls [`show_typing`] first.
pub(crate) struct HiddenTyping(());

impl HiddenTyping {
    pub(crate) fn begin() -> Self {
        *lock(&MODES) = tcgetattr(rustix::stdio::stdin()).ok();
        Self(())
    }
}

impl Drop for HiddenTyping {
    fn drop(&mut self) {
        *lock(&MODES) = None;
    }
}

/// Gives the terminal back as it was, where it hides what is typed.
pub(crate) fn show_typing() {
    if let Some(modes) = lock(&MODES).take() {
        // There is nobody to tell if that fails.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes);
    }
}

/// Whether there are characters beyond ASCII to draw with, such as blocks.
pub(crate) fn has_blocks() -> bool {
    draws_blocks(|name| env::var(name).ok())
}

/// Whether the locale that the variables name (POSIX.1 section 8.2) is one of UTF-8, and the terminal is
/// not one that shows letters only.
fn draws_blocks(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
    let named = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|locale| !locale.is_empty());
    let is_utf8 = named.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    is_utf8 && !is_dumb
}

/// Major and minor number of `/dev/null` on Linux.
const NULL_DEVICE: (u32, u32) = (1, 3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_and_the_terminal_say_whether_blocks_are_understood() {
        for (all, ctype, lang, term, expected) in [
            ("", "", "de_CH.UTF-8", "xterm", true),
            ("", "C.utf8", "C", "", true),
            ("", "C.utf8", "C", "dumb", false),
            ("C", "", "de_CH.UTF-8", "xterm", false),
            ("", "", "de_CH.ISO-8859-1", "xterm", false),
            ("", "", "", "xterm", false),
        ] {
            let variable = |name: &str| {
                let value = match name {
                    "LC_ALL" => all,
                    "LC_CTYPE" => ctype,
                    "TERM" => term,
                    _ => lang,
                };
                Some(value.to_owned())
            };
            assert_eq!(
                draws_blocks(variable),
                expected,
                "{all} {ctype} {lang} {term}"
            );
        }
    }
}
