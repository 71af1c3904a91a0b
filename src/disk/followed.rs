// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which links are followed where something is written: those of the caller and of root.

use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::file_facts::{FileFacts, FileKind};
use crate::error::{Error, ErrorKind};

/// Where a path leads if its last name is a link, over all links behind it; otherwise the path itself.
/// Whoever may write to a directory may put a link there, so one that belongs neither to the caller nor to
/// root leads nowhere, as in the kernel's `protected_symlinks`. Links of the kernel to what has no path, such
/// as a pipe behind `/dev/stdout`, stay as they are.
///
/// # Errors
/// One that carries a `Conflict` for a link of somebody else; otherwise those of the file system, except
/// that there may be nothing at the end.
pub(crate) fn led_to(path: &Path) -> io::Result<PathBuf> {
    // Without a slash at the end, which would follow the link.
    let mut place: PathBuf = path.components().collect();

    for _ in 0..LINKS_MAX {
        let Some(next) = next(&place)? else {
            return Ok(place);
        };

        if next.symlink_metadata().is_err() && place.exists() {
            return Ok(place);
        }
        place = next;
    }

    Err(Errno::LOOP.into())
}

/// Where a link leads; `None` for what is none.
fn next(place: &Path) -> io::Result<Option<PathBuf>> {
    // The open link is asked, since what has the name may be another one by now.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = match rustix::fs::openat(CWD, place, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        opened => opened?,
    };

    let facts = FileFacts::from(&rustix::fs::fstat(&link)?);
    if facts.kind != FileKind::Link {
        return Ok(None);
    }

    if ![0, rustix::process::geteuid().as_raw()].contains(&facts.owner) {
        let text = format!(
            "{} is a link that another user made, and is not followed",
            place.display()
        );
        return Err(Error::new(ErrorKind::Conflict, text)
            .hint("remove it, or give another name")
            .into());
    }

    let target = rustix::fs::readlinkat(&link, c"", Vec::new())?.into_bytes();
    let target = std::ffi::OsString::from_vec(target);
    Ok(Some(place.parent().unwrap_or(Path::new("")).join(target)))
}

/// As many as the kernel follows.
const LINKS_MAX: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn links_of_others_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        symlink("file", path("own")).unwrap();
        symlink(path("own"), path("second")).unwrap();
        symlink("circle", path("circle")).unwrap();
        symlink("nothing", path("astray")).unwrap();
        for name in ["file", "own", "second"] {
            assert_eq!(led_to(&path(name)).unwrap(), path("file"), "{name}");
        }
        assert_eq!(led_to(&path("astray")).unwrap(), path("nothing"));
        assert_eq!(led_to(&path("none/x")).unwrap(), path("none/x"));
        assert!(led_to(&path("circle")).is_err());

        // Only root can give files away.
        if lchown(path("own"), Some(65534), None).is_ok() {
            for name in ["own", "second", "own/"] {
                let error = Error::from(led_to(&path(name)).unwrap_err());
                assert_eq!(error.kind(), ErrorKind::Conflict, "{name}");
                assert!(error.message().contains("own is a link"), "{error}");
            }
        }
    }

    #[test]
    fn what_has_no_path_is_left_to_the_kernel() {
        let (reader, _writer) = io::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        assert_eq!(led_to(&path).unwrap(), path);
    }
}
