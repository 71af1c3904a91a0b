// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Switches: flags that are there or not, and variables that say so.

use std::env;

use clap::ArgMatches;

use crate::error::{Error, ErrorKind, Result};
use crate::text;

/// Whether a switch is on, by its flag or by its environment variable.
///
/// # Errors
/// `Usage` if the variable is neither a yes nor a no.
pub(crate) fn is_set(matches: &ArgMatches, flag: &str) -> Result<bool> {
    // A flag can only switch on, so it counts before a variable that says no.
    if matches.get_flag(flag) {
        return Ok(true);
    }

    said(&variable_name(flag)).map(|said| said.unwrap_or(false))
}

/// Whether homes are refused that others can read or change. It has no flag and no line of the file: it is
/// a fact of where the home lies, and the file is in the home.
///
/// # Errors
/// `Usage` if the variable is neither a yes nor a no.
pub(crate) fn has_strict_modes() -> Result<bool> {
    said(STRICT_MODES).map(|said| said.unwrap_or(true))
}

/// What the variable of a switch says, if it is set.
///
/// # Errors
/// `Usage` if that is neither a yes nor a no.
pub(crate) fn said(name: &str) -> Result<Option<bool>> {
    // Read as the settings are, so that one form is right everywhere.
    let read = variable(name).map(|value| text::switch(&value)).transpose();
    read.map_err(|reason| Error::new(ErrorKind::Usage, format!("{name}: {reason}")))
}

pub(crate) const STRICT_MODES: &str = "SKEP_STRICT_MODES";

pub(crate) fn variable_name(flag: &str) -> String {
    format!("SKEP_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// An environment variable; an empty one counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
