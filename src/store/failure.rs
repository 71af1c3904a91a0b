// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What failures of the disk mean for those who store, read and remove.

use std::path::PathBuf;
use std::{fmt, io};

use rustix::io::Errno;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::hidden_folder::CHANGES;
use crate::text::quoted;

/// Compares a digest with the expected one, if there is one.
pub(crate) fn check_digest(digest: Digest, expected: Option<&Digest>) -> Result<()> {
    match expected.filter(|expected| **expected != digest) {
        None => Ok(()),
        Some(expected) => {
            let text =
                format!("the content has the digest {digest:?}, but {expected:?} was expected");
            Err(Error::new(ErrorKind::Integrity, text).hint("send it again"))
        }
    }
}

/// What a failure of the disk means for an upload.
pub(crate) fn unstored(error: io::Error) -> Error {
    let what = "the model cannot be stored";
    // "Illegal byte sequence" is what some say of characters that they have no place for.
    let is_unwritable = error.raw_os_error() == Some(Errno::ILSEQ.raw_os_error());

    match error.kind() {
        // FAT ends at 4 GiB; the general table takes this for a full disk.
        io::ErrorKind::FileTooLarge => {
            let text = format!("{what}: the file system does not support files of this size");
            return Error::new(ErrorKind::TooLarge, text).because(error);
        }
        io::ErrorKind::CrossesDevices => {
            let text =
                format!("{what}: its folder is on another file system than the model directory");
            return Error::new(ErrorKind::Conflict, text)
                .hint("choose a name in another folder, or serve that file system by itself")
                .because(error);
        }
        kind if is_unwritable
            || matches!(
                kind,
                io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput
            ) =>
        {
            let text = format!("{what}: the file system of the server does not take this name");
            return Error::new(ErrorKind::BadRequest, text)
                .hint("choose a shorter name, of letters, digits, dots and hyphens")
                .because(error);
        }
        _ => {}
    }

    if is_strange(&error) {
        return strange(what, error);
    }
    let error = Error::io(what, error);

    match error.kind() {
        ErrorKind::NoSpace => error.hint("remove a model that is not needed any more"),
        // These would say that the caller lacks a right, or that a model is missing.
        ErrorKind::Forbidden | ErrorKind::NotFound => {
            Error::new(ErrorKind::Internal, error.message())
                .hint("check whether the model directory was removed, unmounted or made read-only")
                .because(error)
        }
        _ => error,
    }
}

/// What a failure of the disk means for a removal.
pub(crate) fn unremoved(name: &ModelName, error: io::Error) -> Error {
    let what = format!("the model '{name}' cannot be removed");
    if is_strange(&error) {
        return strange(&what, error);
    }
    let error = Error::io(what, error);
    match error.kind() {
        ErrorKind::Forbidden => Error::new(ErrorKind::Internal, error.message())
            .hint("check whether the model directory is read-only")
            .because(error),
        _ => error,
    }
}

/// What a failure of the disk means for a list. No caller can do anything about it.
pub(crate) fn unlisted(error: io::Error) -> Error {
    not_listed("the models cannot be listed", error)
}

/// The same for a list of something else.
pub(crate) fn not_listed(what: &str, error: io::Error) -> Error {
    if is_strange(&error) {
        return strange(what, error);
    }
    let error = Error::io(what, error);
    Error::new(ErrorKind::Internal, error.message()).because(error)
}

/// What a failure of the disk means for a read.
pub(crate) fn unreadable(name: &ModelName, error: io::Error) -> Error {
    let what = format!("the model '{name}' cannot be read");
    if is_strange(&error) {
        return strange(&what, error);
    }
    // Forbidden would say that the caller lacks a right, but it is the server that does.
    if error.kind() == io::ErrorKind::PermissionDenied {
        let text =
            format!("{what}: the user that the server runs as has no right to read its file");
        return Error::new(ErrorKind::Internal, text)
            .hint("on the server, let that user read this file: chown or chmod the file itself, or its group")
            .because(ToldToCallers(error));
    }
    Error::io(what, error)
}

/// The cause of an error that callers are told of as it is, although the fault is on this side: there is nothing in
/// the message but what callers have named themselves, and what somebody has to mend.
#[derive(Debug)]
struct ToldToCallers(io::Error);

impl fmt::Display for ToldToCallers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ToldToCallers {}

/// Whether callers are told of an error as it is, although the fault is on this side.
pub(crate) fn is_for_callers(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.is::<ToldToCallers>())
}

/// The error of a start, with what is in the way where that was seen to be something strange.
pub(crate) fn mendable(error: Error, strange: &[PathBuf]) -> Error {
    let of_change = |path: &&PathBuf| path.iter().any(|segment| segment == CHANGES);
    match strange.iter().find(of_change) {
        Some(path) => error.hint(format!(
            "move {} out of the model directory, or give it to the user that the server runs as, and start again",
            quoted(path)
        )),
        None => error,
    }
}

/// Whether something that is not of this server stands in the place of one of its folders.
fn is_strange(error: &io::Error) -> bool {
    // The system itself says the same of files, with a number.
    error.raw_os_error().is_none()
        && matches!(
            error.kind(),
            io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
        )
}

/// The error of that. Which thing it is can be told: its name is one of the server's own, or the caller's.
fn strange(what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("{what}: {error}"))
        .hint(
            "on the server, move it out of the model directory, or give it to the user that the server runs as; the \
             log of the server says at its start where it is",
        )
        .because(ToldToCallers(error))
}

/// The error of an upload that is not there.
pub(crate) fn unknown() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "this upload does not exist, or it has expired",
    )
    .hint("start a new upload; in HTTP: PUT /v1/models/NAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_says_is_told_to_those_whom_it_concerns() {
        let errno = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for (error, kind, told) in [
            (Errno::FBIG, ErrorKind::TooLarge, "files of this size"),
            (Errno::XDEV, ErrorKind::Conflict, "another file system"),
            (Errno::ILSEQ, ErrorKind::BadRequest, "take this name"),
            (Errno::INVAL, ErrorKind::BadRequest, "take this name"),
            (Errno::NAMETOOLONG, ErrorKind::BadRequest, "take this name"),
            (Errno::NOSPC, ErrorKind::NoSpace, "cannot be stored"),
            // The caller lacks no right, and its model is not missing.
            (Errno::ACCESS, ErrorKind::Internal, "cannot be stored"),
            (Errno::ROFS, ErrorKind::Internal, "cannot be stored"),
            (Errno::NOENT, ErrorKind::Internal, "cannot be stored"),
        ] {
            let ours = unstored(errno(error));
            assert_eq!(ours.kind(), kind, "{error:?}");
            assert!(ours.message().contains(told), "{error:?}: {ours}");
            let has_hint = ours.hint_text().is_some();
            assert_eq!(has_hint, error != Errno::FBIG, "{error:?}");
        }

        let name: ModelName = "m".parse().unwrap();
        for error in [
            unremoved(&name, errno(Errno::ACCESS)),
            unreadable(&name, errno(Errno::ACCESS)),
            unlisted(errno(Errno::NOENT)),
        ] {
            assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        }
        let gone = unreadable(&name, errno(Errno::NOENT));
        assert_eq!(gone.kind(), ErrorKind::NotFound);

        // What callers can tell somebody who mends it is told to them.
        let closed = unreadable(&name, errno(Errno::ACCESS));
        assert!(is_for_callers(&closed) && closed.message().contains("'m'"));
        assert!(closed.hint_text().is_some());
        let of = |kind| io::Error::new(kind, "'revisions' is not a folder");
        for kind in [
            io::ErrorKind::NotADirectory,
            io::ErrorKind::PermissionDenied,
        ] {
            for error in [
                unlisted(of(kind)),
                unreadable(&name, of(kind)),
                unremoved(&name, of(kind)),
                unstored(of(kind)),
            ] {
                assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
                assert!(is_for_callers(&error) && error.hint_text().is_some());
                assert!(error.message().contains("'revisions'"), "{error}");
            }
        }
        assert!(!is_for_callers(&unlisted(errno(Errno::IO))));

        // A start that fails says what to move, if it is that.
        let of_start = || Error::new(ErrorKind::Internal, "cannot be completed").hint("make room");
        let hint = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
            mendable(of_start(), &paths).hint_text().unwrap().to_owned()
        };
        let path = "/m/.skep/changes/1/tree/f";
        assert!(hint(&["/m/.skep/about/x", path]).contains(path));
        assert_eq!(hint(&["/m/.skep/about/x"]), "make room");
    }
}
