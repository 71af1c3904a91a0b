// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where lines of the log go: standard error, a file that is set aside when it is full, or syslog.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::disk::Rolling;
use crate::error::{Error, ErrorKind, Result};
use crate::logging::log_line::{LineTime, LogLine};
use crate::logging::log_options::LogOptions;

/// A place for lines.
pub(crate) enum Target {
    /// Standard error.
    Terminal,
    /// Whoever shows something at the terminal that lines must not break.
    Screen(Box<dyn FnMut(&str) + Send>),
    File(Rolling),
    Syslog(Syslog),
}

/// A connection to the socket of the system's log.
pub(crate) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Target {
    /// The place that the settings name.
    ///
    /// # Errors
    /// `Usage` if it cannot be written to.
    pub(crate) fn open(options: &LogOptions) -> Result<Self> {
        let unusable = |path: &PathBuf, error: io::Error| {
            let error = Error::io(
                format!("the log {} cannot be opened", path.display()),
                error,
            );
            Error::new(ErrorKind::Usage, error.message())
                .hint("check the settings log-file and log-syslog")
        };

        // There is at most one of the two: `Config::check` refuses both.
        if let Some(path) = &options.file {
            let opened = Rolling::open(path, options.bytes_max, options.keep);
            return opened
                .map(Self::File)
                .map_err(|error| unusable(path, error));
        }

        match &options.syslog {
            Some(path) => match connect(path) {
                Ok(socket) => Ok(Self::Syslog(Syslog {
                    path: path.clone(),
                    socket: Some(socket),
                })),
                Err(error) => Err(unusable(path, error)),
            },
            None => Ok(Self::Terminal),
        }
    }

    /// Whether lines have to bring the time along: syslog adds it.
    fn line_time(&self) -> LineTime {
        match self {
            Self::Syslog(_) => LineTime::Absent,
            Self::Terminal | Self::Screen(_) | Self::File(_) => LineTime::Present,
        }
    }

    /// Writes one line, however long that takes.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn write(&mut self, line: &LogLine) -> io::Result<()> {
        let text = line.shown(self.line_time());
        match self {
            // One write, so that lines of several processes stay whole.
            Self::Terminal => io::stderr().write_all(format!("{text}\n").as_bytes()),
            Self::Screen(write) => {
                write(&text);
                Ok(())
            }
            Self::File(file) => file.write(format!("{text}\n").as_bytes()),
            Self::Syslog(syslog) => syslog.write(line.level, &text),
        }
    }

    /// Writes the first of some lines, as many as fit into one piece, and says how many; it waits for
    /// nothing if [`Target::has_room`].
    ///
    /// # Errors
    /// Those of the system; then none of those lines counts as written.
    pub(crate) fn write_piece(&mut self, lines: &[LogLine]) -> (usize, io::Result<()>) {
        let Some(first) = lines.first() else {
            return (0, Ok(()));
        };

        let room = match self {
            Self::Terminal => PIECE_BYTES,
            Self::File(file) => file.piece_bytes(PIECE_BYTES),
            // A datagram is a line.
            Self::Screen(_) | Self::Syslog(_) => return (1, self.write(first)),
        };

        let mut piece = format!("{}\n", first.shown(LineTime::Present));
        let mut count = 1;
        for line in &lines[1..] {
            let text = line.shown(LineTime::Present);
            if piece.len() + text.len() >= room {
                break;
            }
            piece.push_str(&text);
            piece.push('\n');
            count += 1;
        }

        let written = match self {
            Self::File(file) => file.write(piece.as_bytes()),
            _ => write_unlocked(piece.as_bytes()),
        };

        (count, written)
    }

    /// Waits until a piece can be written without waiting, for a bounded time.
    pub(crate) fn has_room(&self, wait: Duration) -> bool {
        match self {
            Self::Terminal => is_writable(io::stderr().as_fd(), wait),
            Self::File(file) => is_writable(file.descriptor(), wait),
            // Without a socket, the write makes one or fails.
            Self::Syslog(Syslog { socket, .. }) => socket
                .as_ref()
                .is_none_or(|socket| is_writable(socket.as_fd(), wait)),
            Self::Screen(_) => true,
        }
    }
}

/// Whether standard error can be written to without waiting.
pub(crate) fn is_terminal_writable() -> bool {
    is_writable(io::stderr().as_fd(), Duration::ZERO)
}

/// Whether a descriptor takes bytes (or fails) at once, within some time.
fn is_writable(descriptor: BorrowedFd<'_>, wait: Duration) -> bool {
    let mut events = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
    let wait = Timespec::try_from(wait).ok();
    // An error here is for the write to find.
    rustix::io::retry_on_intr(|| poll(&mut events, wait.as_ref())) != Ok(0)
}

/// Writes to standard error without the lock of the standard library: if nobody reads it, other threads
/// that have a word to say there do not wait for this one.
fn write_unlocked(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(io::stderr(), bytes))?;
        bytes = &bytes[count..];
    }
    Ok(())
}

impl Syslog {
    /// RFC 3164 without time and host, which the system's log puts in (section 4.3.3): it knows the
    /// time better than a process that was started before the clock was set.
    fn write(&mut self, level: Level, line: &str) -> io::Result<()> {
        let severity = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };

        // The priority is eight times the facility plus the severity (RFC 3164 section 4.1.1).
        let packet = format!(
            "<{}>skep[{}]: {line}",
            DAEMON * 8 + severity,
            std::process::id()
        );

        let sent = self
            .socket
            .as_ref()
            .map(|socket| socket.send(packet.as_bytes()));

        if sent.is_some_and(|sent| sent.is_ok()) {
            return Ok(());
        }

        // The system's log may have been started anew.
        self.socket = connect(&self.path).ok();

        match &self.socket {
            Some(socket) => socket.send(packet.as_bytes()).map(drop),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

fn connect(path: &PathBuf) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    // A log that is stuck must not hold the server.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The facility of system daemons (RFC 3164 section 4.1.1).
const DAEMON: u8 = 3;

/// Bytes that a pipe with room for anything takes at once and in one piece (`PIPE_BUF` of pipe(7)).
const PIECE_BYTES: usize = 4096;
