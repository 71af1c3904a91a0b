// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where lines of the log go: standard error, a file that is set aside when it is full, or syslog.

use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Mutex;

use log::Level;

use crate::disk::Rolling;
use crate::error::{Error, ErrorKind, Result};
use crate::logging::log_options::LogOptions;
use crate::threads::lock;

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

    /// Whether the receiver of the lines adds the time.
    fn has_clock(&self) -> bool {
        matches!(self, Self::Syslog(_))
    }

    /// Writes a line; a failure has no place where it could be reported.
    fn write(&mut self, level: Level, line: &str) {
        let _ = match self {
            // One write, so that lines of several processes stay whole.
            Self::Terminal => io::stderr().write_all(format!("{line}\n").as_bytes()),
            Self::Screen(write) => {
                write(line);
                Ok(())
            }
            Self::File(file) => file.write(format!("{line}\n").as_bytes()),
            Self::Syslog(syslog) => syslog.write(level, line),
        };
    }
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

/// Puts another target in the place of the one before.
pub(crate) fn put(target: Target) {
    *lock(&TARGET) = target;
}

/// Has `write` put lines on the terminal, without their line ends, as long as the result lives. It must
/// not log.
pub(crate) fn through(write: impl FnMut(&str) + Send + 'static) -> Through {
    let mut target = lock(&TARGET);
    if matches!(*target, Target::Terminal) {
        *target = Target::Screen(Box::new(write));
    }
    Through(())
}

/// While this lives, lines that go to the terminal are written by somebody else.
pub(crate) struct Through(());

impl Drop for Through {
    fn drop(&mut self) {
        let mut target = lock(&TARGET);
        if matches!(*target, Target::Screen(_)) {
            *target = Target::Terminal;
        }
    }
}

/// Writes a line, which `line` makes; it is told whether the time is to be in it.
pub(crate) fn write(level: Level, line: impl FnOnce(LineTime) -> String) {
    let mut target = lock(&TARGET);
    let stamp = if target.has_clock() {
        LineTime::Absent
    } else {
        LineTime::Present
    };
    let line = line(stamp);
    target.write(level, &line);
}

/// Whether a line begins with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineTime {
    Present,
    Absent,
}

static TARGET: Mutex<Target> = Mutex::new(Target::Terminal);

/// The facility of system daemons (RFC 3164 section 4.1.1).
const DAEMON: u8 = 3;
