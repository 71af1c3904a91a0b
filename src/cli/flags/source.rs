// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is to be sent: files of this device, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};

use crate::cli::terminal::Output;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

/// Something to send.
pub(crate) struct Source {
    pub(crate) name: ModelName,
    pub(crate) reader: SourceReader,
    /// Its length in bytes, where that is known.
    pub(crate) length: Option<u64>,
}

/// Where the bytes come from.
pub(crate) enum SourceReader {
    /// A regular file, of which any part can be read again.
    File(File),
    /// Standard input, or what else can be read once.
    Stream(Box<dyn Read>),
}

impl SourceReader {
    /// The bytes, to be read once.
    pub(crate) fn stream(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => stream,
        }
    }
}

/// Adds the list of files and `--name`.
pub(crate) fn arguments(command: Command) -> Command {
    let files = Arg::new("file")
        .value_name("FILE")
        .num_args(1..)
        .required(true);

    command
        .arg(
            files
                .value_parser(clap::value_parser!(PathBuf))
                .help("Files to send"),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .help("The name on the server"),
        )
}

/// The files that are to be sent, and the name for one of them.
///
/// # Errors
/// `Usage` if one name is given for several files.
pub(crate) fn files(matches: &ArgMatches) -> Result<(Vec<PathBuf>, Option<ModelName>)> {
    let files: Vec<PathBuf> = matches
        .get_many("file")
        .into_iter()
        .flatten()
        .cloned()
        .collect();

    let name = matches
        .get_one::<String>("name")
        .map(|name| name.parse())
        .transpose()?;

    // The second file would replace the first under the same name.
    if files.len() > 1 && name.is_some() {
        Err(Error::new(
            ErrorKind::Usage,
            "--name can be used with one file only",
        ))
    } else {
        Ok((files, name))
    }
}

/// The files, with those of a directory in its place: all that are regular and not hidden, by name.
///
/// # Errors
/// `Usage` for a directory if there is a name for one file, or if it cannot be read.
pub(crate) fn unfolded(
    files: Vec<PathBuf>,
    name: Option<&ModelName>,
    output: &Output,
) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for file in files {
        if !file.is_dir() {
            all.push(file);
            continue;
        }

        // A directory with one file today may have two tomorrow, so it is refused unread.
        if name.is_some() {
            return Err(Error::new(
                ErrorKind::Usage,
                "--name can be used with one file only",
            ));
        }
        all.append(&mut inside(&file, output)?);
    }

    Ok(all)
}

fn inside(directory: &Path, output: &Output) -> Result<Vec<PathBuf>> {
    let shown = directory.display();
    let explained = |error| Error::local(format!("reading {shown}"), error);
    let mut files = Vec::new();

    for entry in directory.read_dir().map_err(explained)? {
        let path = entry.map_err(explained)?.path();

        // Editors, version control and unfinished writes leave hidden files, which nobody means to
        // send.
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if path.is_dir() && !is_hidden {
            output.note(&format!(
                "{} is a directory and is not sent",
                path.display()
            ));
        } else if path.is_file() && !is_hidden {
            files.push(path);
        }
    }

    if files.is_empty() {
        let message = format!("there are no files in the directory {shown}");
        return Err(Error::new(ErrorKind::Usage, message).hint("hidden files are not sent"));
    }

    // Directories have no order; a sorted one makes two runs comparable.
    files.sort();

    Ok(files)
}

impl Source {
    /// Opens a file for `verb` under its own or another name; `-` is standard input.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Usage` for directories, for what has no name, and for what
    /// cannot be read; otherwise those of the file system.
    pub(crate) fn open(path: &Path, name: Option<&ModelName>, verb: &str) -> Result<Self> {
        if path == Path::new("-") {
            let reader = SourceReader::Stream(Box::new(io::stdin()));
            return match name {
                Some(name) => Ok(Self {
                    name: name.clone(),
                    reader,
                    length: None,
                }),
                None => Err(Error::new(ErrorKind::Usage, "standard input has no name")
                    .hint(format!("{verb} - --name NAME"))),
            };
        }

        let shown = path.display().to_string();

        // A missing file keeps its kind and so its exit code, which `local` would turn into
        // `Usage`.
        let explained = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::io(&shown, error),
            _ => Error::local(format!("reading {shown}"), error),
        };

        let file = File::open(path).map_err(explained)?;
        let metadata = file.metadata().map_err(explained)?;

        // Opening a directory succeeds; without this, reading it would fail without a hint.
        if metadata.is_dir() {
            return Err(
                Error::new(ErrorKind::Usage, format!("{shown} is a directory"))
                    .hint(format!("send its files: {verb} {shown}/*")),
            );
        }

        let name = match name {
            Some(name) => name.clone(),
            None => base_name(path)?,
        };

        // The length of a pipe or a device means nothing, and only a regular file can be read again
        // after a cut.
        let length = metadata.is_file().then_some(metadata.len());

        let reader = if metadata.is_file() {
            SourceReader::File(file)
        } else {
            SourceReader::Stream(Box::new(file))
        };

        Ok(Self {
            name,
            reader,
            length,
        })
    }
}

fn base_name(path: &Path) -> Result<ModelName> {
    let base = path.file_name().and_then(|name| name.to_str());
    match base {
        Some(base) => base.parse(),
        None => {
            let message = format!("{} has no usable name", path.display());
            Err(Error::new(ErrorKind::Usage, message).hint("give one with --name"))
        }
    }
}
