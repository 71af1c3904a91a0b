// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What failures of the disk mean for those who store, read and remove.

use std::io;

use rustix::io::Errno;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

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
    let error = Error::io(format!("the model '{name}' cannot be removed"), error);
    match error.kind() {
        ErrorKind::Forbidden => Error::new(ErrorKind::Internal, error.message())
            .hint("check whether the model directory is read-only")
            .because(error),
        _ => error,
    }
}

/// What a failure of the disk means for a list. No caller can do anything about it.
pub(crate) fn unlisted(error: io::Error) -> Error {
    let error = Error::io("the models cannot be listed", error);
    Error::new(ErrorKind::Internal, error.message()).because(error)
}

/// What a failure of the disk means for a read.
pub(crate) fn unreadable(name: &ModelName, error: io::Error) -> Error {
    let error = Error::io(format!("the model '{name}' cannot be read"), error);
    match error.kind() {
        // Forbidden would say that the caller lacks a right, but it is the server that does.
        ErrorKind::Forbidden => Error::new(ErrorKind::Internal, error.message()).because(error),
        _ => error,
    }
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
    }
}
