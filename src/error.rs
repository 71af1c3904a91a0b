// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can go wrong, in one type for the whole house.
//!
//! An error here survives three translations: disk to HTTP status, status to the client's error, and
//! that to an exit code. Machines read the [`ErrorKind`], callers read the message, and the source is
//! only ever logged. All mappings stand in one table, [`KINDS`].

use std::time::Duration;
use std::{fmt, io};

/// The result of anything in this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What happened, for machines ([`ErrorKind`]) and for people (message and hint). It is one pointer wide:
/// results are moved everywhere, and errors are rare.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    is_local: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind with a message that is safe to show to any caller.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::of(kind, message.into())
    }

    #[cold]
    fn of(kind: ErrorKind, message: String) -> Self {
        Self(Box::new(Inner {
            kind,
            message,
            hint: None,
            retry_after: None,
            is_local: false,
            source: None,
        }))
    }

    /// Adds what the reader can do about it, for example a command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds how long the other side wants to be left alone (`Retry-After`, RFC 9110 section 10.2.3).
    #[must_use]
    pub(crate) fn again_after(mut self, pause: Duration) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// Keeps the cause, which is logged but never sent to a caller.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// An I/O error while doing `what`; the kind follows from the operating system's code.
    pub fn io(what: impl fmt::Display, error: io::Error) -> Self {
        let kind = ErrorKind::from_io(&error);
        Self::new(kind, format!("{what}: {}", reason(&error))).because(error)
    }

    /// As [`Error::io`] for a file of this device, but `Usage` where another name or other rights would help.
    pub(crate) fn local(what: impl fmt::Display, error: io::Error) -> Self {
        let is_name = matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidFilename
        );

        let mut told = Self::io(what, error).of_this_device();
        if !is_name {
            return told;
        }

        told.0.kind = ErrorKind::Usage;
        told.hint("use another path, or change its permissions")
    }

    /// Says that it names a file of this device, which callers from elsewhere are not told.
    #[must_use]
    pub(crate) fn of_this_device(mut self) -> Self {
        self.0.is_local = true;
        self
    }

    /// The kind, for machines.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message, safe for callers.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The message, and the innermost cause if its words are not in the message, for logs of this side.
    pub(crate) fn with_cause(&self) -> String {
        let message = self.message();
        let outermost = std::error::Error::source(self);
        let innermost = std::iter::successors(outermost, |cause| cause.source()).last();
        let cause = innermost.map_or_else(String::new, ToString::to_string);

        // The words of the system have a number of the error behind them.
        let words = cause.split(" (os error").next().unwrap_or_default();
        if message.to_lowercase().contains(&words.to_lowercase()) {
            message.to_owned()
        } else {
            format!("{message}: {cause}")
        }
    }

    /// What the reader can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether it names a file of this device, which is nobody's business elsewhere.
    pub(crate) fn is_local(&self) -> bool {
        self.0.is_local
    }

    /// How long the other side wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// An [`Error`] can travel through readers and writers and be taken out again by [`Error::from`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = ErrorKind::from_io(&error);
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => Self::new(kind, reason(&error)).because(error),
        }
    }
}

/// The system's words without the "(os error N)" that std appends, or better ones.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return "no file may be so large here (ulimit -f, or the file system)".to_owned();
    }
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_ascii_lowercase(),
        None => text,
    }
}

/// The kinds of failure; each has one HTTP status, one code word and one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line or a setting is wrong.
    Usage,
    /// A request that cannot be understood.
    BadRequest,
    /// No or wrong credentials.
    Unauthenticated,
    /// The credentials do not allow this.
    Forbidden,
    /// The other side is not who it should be (changed pin, unknown certificate).
    Untrusted,
    /// There is no such model or route.
    NotFound,
    /// A revision of a folder, or bytes of it, are not kept any more.
    RevisionGone,
    /// The method is known, but not for this target.
    MethodNotAllowed,
    /// The caller took too long.
    RequestTimeout,
    /// It exists already, or is not what the caller expected it to be.
    Conflict,
    /// A precondition (`If-Match`, `If-None-Match`) does not hold.
    PreconditionFailed,
    /// The body has no length where one is needed.
    LengthRequired,
    /// Larger than a limit allows.
    TooLarge,
    /// The target of the request is too long.
    TargetTooLong,
    /// A kind of content that is not accepted here.
    UnsupportedType,
    /// The requested range lies outside of the model.
    RangeNotSatisfiable,
    /// Something is expected of the server that it does not do.
    ExpectationFailed,
    /// A name under which this server does not answer.
    Misdirected,
    /// Digest or signature differ.
    Integrity,
    /// Too many attempts.
    TooManyRequests,
    /// The head of the request is too large.
    FieldsTooLarge,
    /// Our own fault.
    Internal,
    /// A method or coding that nobody here knows.
    NotImplemented,
    /// Nobody answers at the other end.
    Unreachable,
    /// Busy now; trying again may help.
    Busy,
    /// Network trouble in the middle of things; trying again may help.
    Interrupted,
    /// An HTTP version that is not spoken here.
    VersionNotSupported,
    /// The disk or the quota is full.
    NoSpace,
    /// Another instance is running.
    AlreadyRunning,
    /// The user pressed Ctrl-C.
    Cancelled,
    /// The user answered a question with no, or not at all.
    Declined,
    /// Standard output cannot be written.
    Unwritten,
}

/// One row of the table that maps a kind to what machines see.
pub(crate) struct KindRow {
    pub(crate) kind: ErrorKind,
    /// The `code` member of problem documents.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The exit code of the command line (`0` is never here).
    pub(crate) exit: u8,
}

/// Kind, code word, HTTP status and exit code. Where several kinds share a status, the first row is
/// what a bare status (an answer without a code word) means.
pub(crate) const KINDS: &[KindRow] = &[
    row(ErrorKind::BadRequest, "bad-request", 400, 2),
    row(ErrorKind::Usage, "usage", 400, 2),
    row(ErrorKind::Unauthenticated, "unauthenticated", 401, 7),
    row(ErrorKind::Forbidden, "forbidden", 403, 7),
    row(ErrorKind::NotFound, "not-found", 404, 4),
    row(ErrorKind::RevisionGone, "revision-gone", 404, 4),
    row(ErrorKind::MethodNotAllowed, "method-not-allowed", 405, 1),
    row(ErrorKind::RequestTimeout, "request-timeout", 408, 5),
    row(ErrorKind::Conflict, "conflict", 409, 11),
    row(ErrorKind::AlreadyRunning, "already-running", 409, 12),
    row(ErrorKind::LengthRequired, "length-required", 411, 2),
    row(
        ErrorKind::PreconditionFailed,
        "precondition-failed",
        412,
        11,
    ),
    row(ErrorKind::TooLarge, "too-large", 413, 8),
    row(ErrorKind::TargetTooLong, "target-too-long", 414, 2),
    row(ErrorKind::UnsupportedType, "unsupported-type", 415, 1),
    row(
        ErrorKind::RangeNotSatisfiable,
        "range-not-satisfiable",
        416,
        1,
    ),
    row(ErrorKind::ExpectationFailed, "expectation-failed", 417, 1),
    row(ErrorKind::Misdirected, "misdirected", 421, 2),
    row(ErrorKind::Integrity, "integrity", 422, 6),
    row(ErrorKind::TooManyRequests, "too-many-requests", 429, 5),
    row(ErrorKind::FieldsTooLarge, "fields-too-large", 431, 8),
    row(ErrorKind::Internal, "internal", 500, 1),
    row(ErrorKind::NotImplemented, "not-implemented", 501, 1),
    row(ErrorKind::Unreachable, "unreachable", 502, 3),
    row(ErrorKind::Untrusted, "untrusted", 502, 7),
    row(ErrorKind::Busy, "busy", 503, 5),
    row(ErrorKind::Cancelled, "cancelled", 503, 130),
    row(ErrorKind::Declined, "declined", 503, 1),
    row(ErrorKind::Interrupted, "interrupted", 504, 5),
    row(
        ErrorKind::VersionNotSupported,
        "version-not-supported",
        505,
        1,
    ),
    row(ErrorKind::NoSpace, "no-space", 507, 8),
    row(ErrorKind::Unwritten, "unwritten", 507, 8),
];

const fn row(kind: ErrorKind, code: &'static str, status: u16, exit: u8) -> KindRow {
    KindRow {
        kind,
        code,
        status,
        exit,
    }
}

impl ErrorKind {
    fn row(self) -> &'static KindRow {
        // Every kind has a row; the test below keeps it so.
        let row = KINDS.iter().find(|row| row.kind == self);
        row.unwrap_or(&KINDS[0])
    }

    /// The code word of problem documents, for example `not-found`.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The exit code of the command line.
    pub fn exit_code(self) -> u8 {
        self.row().exit
    }

    /// What an HTTP answer means: by its code word if it has one, by its status otherwise.
    pub fn from_answer(status: u16, code: Option<&str>) -> Self {
        let known = code.and_then(|code| KINDS.iter().find(|row| row.code == code));
        let known = known.or_else(|| KINDS.iter().find(|row| row.status == status));
        match known {
            Some(row) => row.kind,
            None if status >= 500 => Self::Interrupted,
            None => Self::BadRequest,
        }
    }

    /// The kind that an operating system's error belongs to.
    pub fn from_io(error: &io::Error) -> Self {
        // An error of ours that travelled through a reader or a writer keeps its kind.
        let inner = error.get_ref();
        if let Some(ours) = inner.and_then(|inner| inner.downcast_ref::<Error>()) {
            return ours.0.kind;
        }

        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Forbidden,
            io::ErrorKind::AlreadyExists => Self::Conflict,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace,
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => Self::Unreachable,
            // A read that times out is WouldBlock on some systems and TimedOut on others.
            io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => Self::Interrupted,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::BadRequest,
            // An unknown error is taken for a fault of ours, not of the caller.
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_to_the_client_and_has_an_exit_code() {
        for row in KINDS {
            assert_eq!(
                ErrorKind::from_answer(row.status, Some(row.code)),
                row.kind,
                "{}",
                row.code
            );
            assert_eq!(row.kind.code(), row.code);
            assert!((400..600).contains(&row.status), "{}", row.code);
            assert_ne!(row.exit, 0, "{}", row.code);
        }
    }

    #[test]
    fn code_words_are_unique() {
        for (index, row) in KINDS.iter().enumerate() {
            assert!(
                KINDS[..index].iter().all(|other| other.code != row.code),
                "{}",
                row.code
            );
        }
    }

    #[test]
    fn unknown_answers_fall_into_their_class() {
        assert_eq!(ErrorKind::from_answer(418, None), ErrorKind::BadRequest);
        assert_eq!(
            ErrorKind::from_answer(599, Some("new")),
            ErrorKind::Interrupted
        );
        assert_eq!(ErrorKind::from_answer(503, None), ErrorKind::Busy);
    }

    #[test]
    fn an_error_passes_through_io_unchanged() {
        let error = Error::new(ErrorKind::TooLarge, "too large").hint("send less");
        let back = Error::from(io::Error::from(error));
        assert_eq!(
            (back.kind(), back.message()),
            (ErrorKind::TooLarge, "too large")
        );
        assert_eq!(back.hint_text(), Some("send less"));
    }

    #[test]
    fn a_cause_is_told_once() {
        let denied = || io::Error::from_raw_os_error(13);
        let inner = Error::io("the model cannot be stored", denied());
        let outer = Error::new(ErrorKind::Internal, inner.message()).because(inner);
        assert_eq!(
            outer.with_cause(),
            "the model cannot be stored: permission denied"
        );

        let other = Error::new(ErrorKind::Internal, "it failed").because(denied());
        assert!(
            other
                .with_cause()
                .starts_with("it failed: Permission denied"),
            "{}",
            other.with_cause()
        );
        assert_eq!(Error::new(ErrorKind::Internal, "x").with_cause(), "x");
    }
}
