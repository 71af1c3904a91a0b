// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which form a model directory has: a number in `.skep/format`, so that a server which does not know a
//! later form leaves it alone.
//!
//! A directory without the file is of the first form, which differs from the second one by that file only.

use std::io;

use crate::disk::{self, Folder};
use crate::error::{Error, ErrorKind, Result};
use crate::store::hidden_folder::{FORMAT, HiddenFolder};

/// Whether this server may use the directory; nothing is changed.
///
/// # Errors
/// `Usage` if a newer server has used it, or the number cannot be read.
pub(crate) fn check(models: &Folder) -> Result<()> {
    let directory = models.path().display();
    let kept = read(models).map_err(|error| {
        let error = Error::io(format!("cannot read the format of {directory}"), error);
        Error::new(ErrorKind::Usage, error.message()).because(error)
    })?;

    let Some(text) = kept else {
        return Ok(());
    };

    match text.trim().parse::<u64>() {
        Ok(1..=NEWEST) => Ok(()),
        Ok(newer) if newer > NEWEST => {
            let text = format!(
                "the model directory {directory} has the format {newer} of a newer skep; this one knows \
                 formats up to {NEWEST}, and has changed nothing"
            );
            Err(Error::new(ErrorKind::Usage, text)
                .hint("update skep, or choose another directory with --dir"))
        }
        _ => {
            let text = format!("{directory}/.skep/format does not hold the number of a format");
            Err(Error::new(ErrorKind::Usage, text).hint(format!(
                "if no newer skep has used the directory, write {NEWEST} into that file"
            )))
        }
    }
}

/// Notes that the directory has the newest form; it is ours already.
///
/// # Errors
/// Those of the file system.
pub(crate) fn upgrade(hidden: &HiddenFolder, models: &Folder) -> io::Result<()> {
    let newest = format!("{NEWEST}\n");
    if read(models)?.as_ref() == Some(&newest) {
        return Ok(());
    }

    match disk::write_at(&hidden.file(FORMAT)?, newest.as_bytes(), 0o600) {
        // A server on a full disk still serves, and can note it at the next start.
        Err(error) if ErrorKind::from_io(&error) == ErrorKind::NoSpace => Ok(()),
        written => written,
    }
}

/// What is in the file; `None` if there is none.
fn read(models: &Folder) -> io::Result<Option<String>> {
    let bytes = match HiddenFolder::of(models).existing_file(FORMAT) {
        Ok(Some(place)) => place.read(BYTES_MAX),
        Ok(None) => return Ok(None),
        // What is in the way there is told of by who needs the folder.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => Err(error),
    };

    match bytes {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// The form that this server writes.
const NEWEST: u64 = 2;

const BYTES_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_number_that_is_known_is_taken_and_all_else_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let hidden = HiddenFolder::of(&folder);
        check(&folder).unwrap();
        upgrade(&hidden, &folder).unwrap();
        let path = directory.path().join(".skep/format");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");

        for (text, is_known) in [
            ("1\n", true),
            ("2", true),
            ("3\n", false),
            ("18446744073709551616", false),
            ("0", false),
            ("", false),
            ("two", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(check(&folder).is_ok(), is_known, "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }

        fs::write(&path, "1\n").unwrap();
        upgrade(&hidden, &folder).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
    }

    #[test]
    fn only_a_number_that_is_not_there_is_the_first_form() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        fs::create_dir(directory.path().join(".skep")).unwrap();
        check(&folder).unwrap();

        // What is in the way is told of by whoever needs the folder.
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join(".skep"), "").unwrap();
        check(&Folder::open(other.path()).unwrap()).unwrap();

        // What cannot be read may be of a newer server.
        fs::write(directory.path().join(".skep/format"), [b'1'; 100]).unwrap();
        let error = check(&folder).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
