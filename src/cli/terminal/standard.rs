// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The streams that a program is started with, which may be closed.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Whether a descriptor of the beginning was closed. Where a program is started without one, the null
/// device takes its place, open for reading and writing, which no shell does.
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

/// Major and minor number of `/dev/null` on Linux.
const NULL_DEVICE: (u32, u32) = (1, 3);
