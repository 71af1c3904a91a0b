// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a fetched file appears on this device: written beside its name, under it only when whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::disk::{Part, led_to};
use crate::error::{Error, ErrorKind, Result};

/// Has a file written by `fill` and publishes it as `target` if that went well.
///
/// # Errors
/// Those of `fill` and of the file system; `target` is then as it was.
pub(crate) fn land<T>(target: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let explained = |error| Error::local(format!("writing {}", target.display()), error);
    let place = place(target)?;
    let mut part =
        Part::create_readable(directory(&place, target)?, ".skep-").map_err(explained)?;
    let value = fill(&mut Named {
        part: &mut part,
        target,
    })?;
    part.publish(&place).map_err(explained)?;
    Ok(value)
}

/// The directory of a file that is to be written.
///
/// # Errors
/// `Usage` if it is not there.
pub(crate) fn directory<'a>(place: &'a Path, target: &Path) -> Result<&'a Path> {
    let directory = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        // A bare name has an empty parent, which is not a directory for the system.
        _ => Path::new("."),
    };

    if !directory.is_dir() {
        let shown = directory.display();
        let message = format!(
            "writing {}: there is no directory {shown}",
            target.display()
        );
        return Err(Error::new(ErrorKind::Usage, message).hint("make it first, with mkdir -p"));
    }

    Ok(directory)
}

/// A part whose errors tell which file it would have become.
struct Named<'a> {
    part: &'a mut Part,
    target: &'a Path,
}

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => Error::local(format!("writing {}", self.target.display()), error).into(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.part.flush()
    }
}

/// Where the bytes go: a link of the caller or of root is followed, and what is not a file is not replaced by
/// one.
///
/// # Errors
/// `Usage` for a link to nothing, `Conflict` for what is not a file and for a link of somebody else, also one
/// to the directory; otherwise those of the file system.
pub(crate) fn place(target: &Path) -> Result<PathBuf> {
    let explained = |error| Error::local(format!("writing {}", target.display()), error);
    let is_link = target.is_symlink();
    led_to(target.parent().unwrap_or(Path::new("."))).map_err(explained)?;

    match fs::metadata(target) {
        // Writing through a dangling link would create a file somewhere unexpected.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_link => {
            let message = format!("{} is a symbolic link to nothing", target.display());
            Err(Error::new(ErrorKind::Usage, message).hint("remove it, or give another name"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(target.to_owned()),
        Err(error) => Err(explained(error)),
        // A rename over a device such as /dev/null would replace the device.
        Ok(metadata) if !metadata.is_file() => {
            let message = format!("{} exists and is not a file", target.display());
            Err(Error::new(ErrorKind::Conflict, message).hint("'-o -' writes to standard output"))
        }
        // The rename has to hit the file behind the link, or the link itself would be replaced.
        Ok(_) if is_link => led_to(target).map_err(explained),
        Ok(_) => Ok(target.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::symlink;

    use crate::disk::fault;

    #[test]
    fn only_whole_files_appear_and_links_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |target: &Path, text: &str| {
            land(target, |part| {
                part.write_all(text.as_bytes())?;
                if text == "bad" {
                    Err(Error::new(ErrorKind::Integrity, text))
                } else {
                    Ok(())
                }
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
        assert_eq!(
            write(&path("kept"), "x").unwrap_err().kind(),
            ErrorKind::Conflict
        );
        // What the user named is for the user to change, and is told by its name.
        symlink(path("nothing"), path("kept/dangling")).unwrap();
        for name in ["none/x", "kept/dangling", "kept/file/x"] {
            let error = write(&path(name), "x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            assert!(
                error.message().contains(name) && error.hint_text().is_some(),
                "{error}"
            );
        }
        fs::remove_file(path("kept/dangling")).unwrap();
        for call in 0..4 {
            fault::set(Some(call));
            let error = write(&path("new"), "good").unwrap_err();
            let told = format!("writing {}", path("new").display());
            assert!(error.message().starts_with(&told), "{call}: {error}");
        }
        fs::remove_file(path("new")).unwrap_or_default();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(path("kept")).unwrap().count(), 1);
    }
}
