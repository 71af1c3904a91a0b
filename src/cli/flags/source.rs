// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is to be sent: files of this device, or standard input.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use rustix::fs::FileType;

use crate::cli::terminal::is_closed;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::Signature;

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
    Stream(File),
}

impl SourceReader {
    /// The bytes, to be read once.
    pub(crate) fn stream(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => Box::new(stream),
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
                .help("Files to send, or directories, each as a folder"),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .help("The name on the server; of a directory, that of the folder"),
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
        .map(|name| match name.strip_suffix('/') {
            // As folders are written elsewhere.
            Some(folder) if files.iter().all(|file| file.is_dir()) => folder.parse(),
            _ => name.parse(),
        })
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

/// Refuses files of which one would replace another on the server, also by the signature that goes with
/// it.
///
/// # Errors
/// `Usage` if there are such files.
pub(crate) fn distinct(files: &[PathBuf], name: Option<&ModelName>, is_signed: bool) -> Result<()> {
    let mut first: HashMap<ModelName, &Path> = HashMap::new();

    for file in files {
        let name = match name {
            Some(name) => name.clone(),
            // What has no name is refused when its turn comes.
            None => match base_name(file) {
                Ok(name) => name,
                Err(_) => continue,
            },
        };

        let signature = if is_signed {
            Signature::name_for(&name).ok()
        } else {
            None
        };

        for name in [Some(name), signature].into_iter().flatten() {
            if let Some(other) = first.insert(name.clone(), file) {
                let (one, two) = (other.display(), file.display());
                let text = format!(
                    "{one} and {two} would both become '{name}' on the server; nothing was sent"
                );
                return Err(Error::new(ErrorKind::Usage, text)
                    .hint("send them one at a time, with --name NAME"));
            }
        }
    }

    Ok(())
}

impl Source {
    /// Opens a file for `verb` under its own or another name; `-` is standard input.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Usage` for directories, for what has no name, and for what
    /// cannot be read; otherwise those of the file system.
    pub(crate) fn open(path: &Path, name: Option<&ModelName>, verb: &str) -> Result<Self> {
        if path == Path::new("-") {
            let reader = SourceReader::Stream(input()?);
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
                    .hint(format!("name its files: {verb} {shown}/*")),
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
            SourceReader::Stream(file)
        };

        Ok(Self {
            name,
            reader,
            length,
        })
    }
}

/// Standard input.
///
/// # Errors
/// `Usage` if it is none: closed, or a directory.
fn input() -> Result<File> {
    let explained = |error: rustix::io::Errno| Error::io("standard input", error.into());
    let input = rustix::stdio::stdin();
    let stat = rustix::fs::fstat(input).map_err(explained)?;
    let kind = FileType::from_raw_mode(stat.st_mode);

    if kind == FileType::Directory {
        let text = "standard input is a directory";
        return Err(Error::new(ErrorKind::Usage, text).hint("send its files: skep put DIR"));
    }

    if is_closed(input)? {
        return Err(Error::new(ErrorKind::Usage, "standard input is closed"));
    }

    let owned = input.try_clone_to_owned();
    owned
        .map(File::from)
        .map_err(|error| Error::io("standard input", error))
}

/// The name under which a file is sent if none is given.
///
/// # Errors
/// `Usage` and `BadRequest` for what cannot be a name.
pub(crate) fn base_name(path: &Path) -> Result<ModelName> {
    let base = path.file_name().and_then(|name| name.to_str());
    match base {
        Some(base) => base.parse(),
        None => {
            let message = format!("{} has no usable name", path.display());
            Err(Error::new(ErrorKind::Usage, message).hint("give one with --name"))
        }
    }
}
