// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a fetched file appears on this device: written beside its name, under it only when whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Part;
use crate::error::{Error, ErrorKind, Result};

/// Has a file written by `fill` and publishes it as `target` if that went well.
///
/// # Errors
/// Those of `fill` and of the file system; `target` is then as it was.
pub(super) fn land<T>(target: &Path, fill: impl FnOnce(&mut Part) -> Result<T>) -> Result<T> {
    let failed = |error| Error::io(format!("writing {}", target.display()), error);
    let place = place(target)?;
    let directory = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut part = Part::create_readable(directory, ".skep-").map_err(failed)?;
    let value = fill(&mut part)?;
    part.publish(&place).map_err(failed)?;
    Ok(value)
}

/// Where the bytes go: a link is followed, and what is not a file is not replaced by one.
fn place(target: &Path) -> Result<PathBuf> {
    let failed = |error| Error::io(target.display(), error);
    let place = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target.to_owned()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(target).map_err(failed)?,
        Ok(_) => target.to_owned(),
    };
    match fs::metadata(&place).map_err(failed)?.is_file() {
        true => Ok(place),
        false => {
            let message = format!("{} exists and is not a file", target.display());
            Err(Error::new(ErrorKind::Conflict, message).hint("'-o -' writes to standard output"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_whole_files_appear_and_links_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |target: &Path, text: &str| {
            land(target, |part| {
                part.write_all(text.as_bytes())?;
                if text == "bad" { Err(Error::new(ErrorKind::Integrity, text)) } else { Ok(()) }
            })
        };
        fs::create_dir(path("kept")).unwrap();
        symlink(path("kept/file"), path("link")).unwrap();
        fs::write(path("kept/file"), "old").unwrap();
        assert!(write(&path("link"), "bad").is_err());
        assert!(write(&path("new"), "bad").is_err());
        assert_eq!(fs::read(path("link")).unwrap(), b"old");
        write(&path("link"), "good").unwrap();
        assert_eq!(fs::read(path("kept/file")).unwrap(), b"good");
        assert_eq!(write(&path("kept"), "x").unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(write(&path("none/x"), "x").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(path("kept")).unwrap().count(), 1);
    }
}
