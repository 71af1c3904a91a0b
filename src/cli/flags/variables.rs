// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Variables of the environment that have the form of ours and are none: slips of the hand, which
//! would otherwise have no effect and say nothing.

use std::ffi::OsString;

use clap::Command;

use crate::cli::flags::switch::{STRICT_MODES, variable_name};
use crate::text::{escaped, nearest};

/// Warns of each variable `SKEP_...` that no flag of any verb has. The whole command line is asked for
/// only if the one that was used does not know a variable.
pub(crate) fn warn_of_unknown(used: &Command, whole: impl FnOnce() -> Command) {
    let names = || std::env::vars_os().map(|(name, _)| name);
    if unknown(used, names()).is_empty() {
        return;
    }

    for text in unknown(&whole(), names()) {
        log::warn!("{text}");
    }
}

/// One text for each unknown variable, at most a few.
fn unknown(command: &Command, names: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut names = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str()))
        .peekable();

    // Most environments have none.
    if names.peek().is_none() {
        return Vec::new();
    }

    let mut known = OTHERS.map(str::to_owned).to_vec();
    known.extend(flags(command));

    let mut found: Vec<_> = names
        .filter(|name| !known.contains(name))
        .take(UNKNOWN_MAX)
        .collect();
    found.sort();

    found
        .iter()
        .map(|name| {
            let shown = escaped(name);
            let near = nearest(name, known.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("the variable {shown} is unknown and has no effect{near}")
        })
        .collect()
}

/// The variables of all flags, of this command and of its verbs.
fn flags(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|flag| flag.get_long());
    let mut names: Vec<_> = own.map(variable_name).collect();
    names.extend(command.get_subcommands().flat_map(flags));
    names
}

const PREFIX: &str = "SKEP_";

/// Variables that belong to no flag, and those of this project's own tests and scripts.
const OTHERS: [&str; 5] = [
    "SKEP_HOME",
    STRICT_MODES,
    "SKEP_CHILD",
    "SKEP_TEST_SECONDS",
    "SKEP_BUILD_CACHE",
];

/// An environment may hold any number of them.
const UNKNOWN_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn only_what_no_flag_has_is_unknown() {
        let serve = Command::new("serve").arg(Arg::new("n").long("max-connections"));
        let command = Command::new("skep").subcommand(serve);
        let names = [
            "PATH",
            "SKEP_HOME",
            "SKEP_MAX_CONNECTIONS",
            "SKEP_MAX_CONECTIONS",
            "SKEP_X",
        ];

        let told = unknown(&command, names.into_iter().map(OsString::from));
        assert_eq!(
            told,
            [
                "the variable SKEP_MAX_CONECTIONS is unknown and has no effect; did you mean \
                 SKEP_MAX_CONNECTIONS?",
                "the variable SKEP_X is unknown and has no effect",
            ]
        );
    }
}
