// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where fetched files go: what `-o` means.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};

use crate::cli::terminal::Output;
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

/// Where fetched files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    Stdout,
    /// One file of this name.
    File(PathBuf),
    /// Files in this directory, each under the last segment of its name.
    Directory(PathBuf),
}

/// Adds `-o`.
pub(crate) fn arguments(command: Command) -> Command {
    command.arg(
        Arg::new("output")
            .short('o')
            .long("output")
            .value_name("FILE|DIR/|-")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Where to save it; - is standard output [default: ./NAME]"),
    )
}

impl Destination {
    /// What `-o` says for these names.
    ///
    /// # Errors
    /// `Usage` if several of them would go to one file.
    pub(crate) fn of(matches: &ArgMatches, names: &[ModelName]) -> Result<Self> {
        let output = matches.get_one::<PathBuf>("output").map(PathBuf::as_path);
        let destination = Self::new(output, names.len())?;

        // Whoever stores a model says how it is called, and must not say which hidden file is replaced here.
        let is_hidden = |name: &&ModelName| name.file_name().starts_with('.');
        if let (Self::Directory(_), Some(name)) = (&destination, names.iter().find(is_hidden)) {
            let text = format!("'{name}' would be saved as a hidden file");
            return Err(Error::new(ErrorKind::Usage, text).hint("name the file: -o FILE"));
        }

        // A model in a folder is saved under the last segment of its name.
        let mut seen = HashMap::new();
        for name in names {
            let Some(other) = seen.insert(name.file_name(), name) else {
                continue;
            };
            if destination == Self::Stdout {
                continue;
            }
            let (text, hint) = if other == name {
                (format!("'{name}' is named twice"), "name it once")
            } else {
                let file = name.file_name();
                let text = format!("'{other}' and '{name}' would both be saved as '{file}'");
                (text, "fetch them one by one, each with its own -o FILE")
            };
            let text = format!("{text}, and the second would replace the first");
            return Err(Error::new(ErrorKind::Usage, text).hint(hint));
        }
        Ok(destination)
    }

    fn new(output: Option<&Path>, count: usize) -> Result<Self> {
        let Some(output) = output else {
            return Ok(Self::Directory(PathBuf::from(".")));
        };

        if STDOUT.iter().any(|name| output == Path::new(name)) {
            return Ok(Self::Stdout);
        }

        // A slash at the end means a directory, even one that does not exist yet.
        if output.as_os_str().as_encoded_bytes().ends_with(b"/") || output.is_dir() {
            return Ok(Self::Directory(output.to_owned()));
        }

        // A link that leads nowhere counts as there: no directory can be made in its place.
        match count {
            0 | 1 => Ok(Self::File(output.to_owned())),
            _ if !output.exists() && !output.is_symlink() => Ok(Self::Directory(output.to_owned())),
            _ => Err(Error::new(
                ErrorKind::Usage,
                "several models cannot be saved as one file",
            )
            .hint("name a directory: -o DIR/")),
        }
    }

    /// Makes the directory, if it is one that is not there yet.
    ///
    /// # Errors
    /// `Usage` if it cannot be made; otherwise those of the file system.
    pub(crate) fn prepare(&self, output: &Output) -> Result<()> {
        let Self::Directory(directory) = self else {
            return Ok(());
        };

        if directory.exists() {
            return Ok(());
        }

        // The directory belongs to the user and not to the home, so the umask decides who may read
        // it.
        let shown = directory.display();
        disk::create_open_directory(directory)
            .map_err(|error| Error::local(format!("creating the directory {shown}"), error))?;
        output.note(&format!("created the directory {shown}"));

        Ok(())
    }

    /// The path for a model; `None` for standard output.
    pub(crate) fn path(&self, name: &ModelName) -> Option<PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path.clone()),
            Self::Directory(directory) if directory == Path::new(".") => {
                Some(PathBuf::from(name.file_name()))
            }
            Self::Directory(directory) => Some(directory.join(name.file_name())),
        }
    }
}

/// The names of standard output. A file that it leads to is written to and not replaced.
const STDOUT: &[&str] = &["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_file_a_directory_or_standard_output() {
        let here = tempfile::tempdir().unwrap();
        let name: ModelName = "m.dm".parse().unwrap();
        let path = |output: Option<&Path>, count| {
            Destination::new(output, count).map(|destination| destination.path(&name))
        };
        assert_eq!(path(None, 2).unwrap(), Some("m.dm".into()));
        for stdout in STDOUT {
            assert_eq!(path(Some(Path::new(stdout)), 2).unwrap(), None);
        }
        assert_eq!(path(Some(Path::new("x")), 1).unwrap(), Some("x".into()));
        assert_eq!(path(Some(Path::new("./-")), 1).unwrap(), Some("./-".into()));
        assert_eq!(
            path(Some(Path::new("x/")), 2).unwrap(),
            Some("x/m.dm".into())
        );
        assert_eq!(
            path(Some(here.path()), 2).unwrap(),
            Some(here.path().join("m.dm"))
        );
        assert_eq!(
            path(Some(Path::new("x")), 2).unwrap(),
            Some("x/m.dm".into())
        );
        std::fs::write(here.path().join("x"), "").unwrap();
        let error = path(Some(&here.path().join("x")), 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
