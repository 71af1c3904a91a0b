// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the files of a folder need: numbers for names, and the folder made durable.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::disk::fault;
use crate::random;

/// For names that nobody else has or guesses.
pub(crate) fn random_number() -> io::Result<u64> {
    let random = random::bytes().map_err(io::Error::other)?;
    Ok(u64::from_ne_bytes(random))
}

/// Makes a change of names in a file's directory durable. File systems that cannot fsync a directory
/// (some network and FUSE ones) say so with `EINVAL` or `ENOTSUP`, and there is nothing more to do.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };

    fault::check()?;

    // Other errors count: a name that is not durable has not been acknowledged.
    match File::open(parent)?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
