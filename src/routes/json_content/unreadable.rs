// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a body of JSON cannot be read.

use std::io;

use struson::reader::ReaderError;

use crate::error::{Error, ErrorKind};

pub(crate) fn invalid_json() -> Error {
    Error::new(ErrorKind::BadRequest, "invalid json")
}

/// Why the reader of JSON cannot go on.
pub(crate) fn unreadable(error: ReaderError) -> Error {
    match error {
        ReaderError::IoError { error, .. } => broken(error),
        _ => invalid_json(),
    }
}

/// What went wrong below the JSON: a limit or the connection, or else the text is not JSON or UTF-8.
pub(crate) fn broken(error: io::Error) -> Error {
    match Error::from(error) {
        ours if matches!(ours.kind(), ErrorKind::BadRequest | ErrorKind::Internal) => {
            invalid_json()
        }
        ours => ours,
    }
}
