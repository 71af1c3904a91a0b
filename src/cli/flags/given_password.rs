// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The password of a server, as flags, variables or this device give it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::access::Password;
use crate::address::ServerUrl;
use crate::cli::flags::switch::variable;
use crate::error::{Error, ErrorKind, Result};
use crate::home;

/// The password of a server on this device, from its home.
pub(super) fn own_password(server: &ServerUrl, home: Option<&Path>) -> Result<Option<Password>> {
    let own: Option<PathBuf> = home.map(|home| home::PASSWORD.path(home));
    match own.filter(|path| server.is_loopback() && path.exists()) {
        Some(path) => password_file(&path).map(Some),
        None => Ok(None),
    }
}

/// The password that the flags or the environment give.
///
/// # Errors
/// `Usage` if it was written on the command line or cannot be used, and those of reading a file.
pub(crate) fn given_password(matches: &ArgMatches) -> Result<Option<Password>> {
    // This flag exists only to be refused: the list of processes shows command lines to everybody.
    if matches.contains_id("password") {
        let reason = "a password on the command line can be read by every user of this device";
        return Err(Error::new(ErrorKind::Usage, reason)
            .hint("use SKEP_PASSWORD, --password-file or --password-stdin"));
    }

    if matches.get_flag("password-stdin") {
        let name = "standard input";
        return first_line(io::stdin().lock(), name)
            .and_then(|text| password_of(text, name))
            .map(Some);
    }

    if let Some(path) = matches.get_one::<String>("password-file") {
        return password_file(Path::new(path)).map(Some);
    }

    // Flags count before variables, and ours before the one of dearning, which existing scripts
    // set.
    if let Some(password) = variable("SKEP_PASSWORD") {
        return password_of(password, "SKEP_PASSWORD").map(Some);
    }

    if let Some(path) = variable("SKEP_PASSWORD_FILE") {
        return password_file(Path::new(&path)).map(Some);
    }

    variable(OF_DEARNING)
        .map(|text| password_of(text, OF_DEARNING))
        .transpose()
}

/// The password that was written in a place of this name.
fn password_of(text: String, name: &str) -> Result<Password> {
    Password::new(text).map_err(|error| {
        let text = format!("{name}: {}", error.message());
        Error::new(error.kind(), text)
    })
}

fn password_file(path: &Path) -> Result<Password> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&shown, error))?;
    first_line(file, &shown).and_then(|text| password_of(text, &shown))
}

fn first_line(source: impl io::Read, name: &str) -> Result<String> {
    let mut text = String::new();
    let read = source.take(PASSWORD_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| unreadable(name, error))?;
    // Editors of some systems put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn unreadable(name: &str, error: io::Error) -> Error {
    Error::local(format!("reading the password from {name}"), error)
        .hint("name a file (--password-file, SKEP_PASSWORD_FILE) whose first line is the password")
}

const OF_DEARNING: &str = "DEARNING_PASSWORD";

/// A file that is longer than this is not read on for the end of its first line.
const PASSWORD_BYTES_MAX: u64 = 4096;
