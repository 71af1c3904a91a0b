// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The number of a home's format: a home that a newer skep has written is left alone.
//!
//! Format 1 had no number, and kept the SHA-256 of tokens. Format 2 keeps their public keys; lines of
//! format 1 are read, and each is replaced when its token is first shown over TLS.

use std::io;
use std::path::Path;

use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::home::home_files::FORMAT;

/// Checks that a home is not of a newer format. Nothing is written.
///
/// # Errors
/// `Usage` if it is, or its number cannot be read.
pub(crate) fn check_format(home: &Path) -> Result<()> {
    let path = home.join(FORMAT.name);
    let text = match disk::read_text(&path) {
        // A home of format 1, or one that is still empty.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // What is wrong with the home is found out by whoever needs something of it.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(());
        }
        read => read.map_err(|error| Error::local(format!("reading {}", path.display()), error))?,
    };

    let number: u64 = text.trim().parse().map_err(|error| {
        let text = format!("{} is not the number of a format", path.display());
        Error::new(ErrorKind::Usage, text)
            .of_this_device()
            .because(error)
            .hint("restore it; if no newer skep has used this home, remove it")
    })?;

    if number > NUMBER {
        let text = format!(
            "the home {} has the format {number} of a newer skep, and this one knows the formats up to \
             {NUMBER}; nothing was changed",
            home.display()
        );
        return Err(Error::new(ErrorKind::Usage, text)
            .of_this_device()
            .hint("use the newer skep, or set SKEP_HOME to another directory"));
    }

    Ok(())
}

/// Makes a home that can be written to: one that is there, and has a number that is known here.
///
/// # Errors
/// As [`check_format`], and those of the file system.
pub(crate) fn prepare(home: &Path) -> Result<()> {
    check_format(home)?;

    let path = home.join(FORMAT.name);
    let make = || {
        disk::create_directory(home)?;
        if path.exists() {
            return Ok(());
        }
        disk::write(&path, format!("{NUMBER}\n").as_bytes(), FORMAT.mode)
    };

    make().map_err(|error| Error::local(format!("writing to {}", home.display()), error))
}

/// The format that is written here.
const NUMBER: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;

    use crate::home::{SERVERS, TOKENS};

    #[test]
    fn a_home_gets_its_number_with_the_first_change() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("tokens"), "of format 1\n").unwrap();
        check_format(home.path()).unwrap();
        assert!(
            !home.path().join("format").exists(),
            "reading changes nothing"
        );
        SERVERS.write(home.path(), "pi\n").unwrap();
        assert_eq!(
            fs::read_to_string(home.path().join("format")).unwrap(),
            "2\n"
        );
        check_format(home.path()).unwrap();
    }

    #[test]
    fn a_newer_home_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        for text in ["3\n", "4294967296", "18446744073709551616", "", "two", "-1"] {
            fs::write(home.path().join("format"), text).unwrap();
            let error = check_format(home.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
            assert!(error.hint_text().is_some());
            SERVERS.write(home.path(), "x").unwrap_err();
            TOKENS
                .change(home.path(), |_| Ok(Some("x".to_owned())))
                .unwrap_err();
            let names: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
            assert_eq!(names.len(), 1, "{text}: {names:?}");
        }
    }
}
