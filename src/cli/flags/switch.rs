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

    let name = variable_name(flag);

    // Read as the settings are, so that one form is right everywhere.
    match variable(&name).map(|value| text::switch(&value)) {
        None => Ok(false),
        Some(Ok(is_on)) => Ok(is_on),
        Some(Err(_)) => Err(Error::new(
            ErrorKind::Usage,
            format!("{name} must be 1 or 0"),
        )),
    }
}

pub(crate) fn variable_name(flag: &str) -> String {
    format!("SKEP_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// An environment variable; an empty one counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
