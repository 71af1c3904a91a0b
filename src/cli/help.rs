// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep help`, and what is said of a command line that cannot be understood.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind as Mistake};
use clap::{Command, Error};

use crate::error::ErrorKind;
use crate::manual;
use crate::text::{escaped, nearest};

/// Answers `skep help WORD` where the word is a topic of the manual, or nothing that is known; `None`
/// for anything else. Verbs and topics have different names.
pub(crate) fn answer(arguments: &[OsString], command: &Command) -> Option<ExitCode> {
    let word = word(arguments)?;

    if let Some(topic) = manual::find(word) {
        // A reader that has gone away is no reason to complain.
        let _ = write!(std::io::stdout(), "{}", topic.text);
        return Some(ExitCode::SUCCESS);
    }

    let text = unknown(word, command)?;
    let _ = writeln!(std::io::stderr(), "skep: error: {text}");

    Some(ExitCode::from(ErrorKind::Usage.exit_code()))
}

fn word(arguments: &[OsString]) -> Option<&str> {
    match arguments {
        [_, help, word] if help == "help" => word.to_str(),
        _ => None,
    }
}

/// What is said of a word that is neither a verb nor a topic.
fn unknown(word: &str, command: &Command) -> Option<String> {
    if word == "help" || word.starts_with('-') || command.find_subcommand(word).is_some() {
        return None;
    }

    let hint = near(word, command).map_or_else(
        || "'skep help' lists them".to_owned(),
        |near| format!("did you mean 'skep help {near}'?"),
    );
    let shown = escaped(word);

    Some(format!("there is no command or topic '{shown}'; {hint}"))
}

/// The verb or the topic that is nearest to a word: one edit away, or begun with it.
fn near<'a>(word: &str, command: &'a Command) -> Option<&'a str> {
    let verbs = || command.get_subcommands().map(Command::get_name);
    let names = || verbs().chain(manual::TOPICS.iter().map(|topic| topic.name));

    nearest(word, names())
        .or_else(|| names().find(|name| !word.is_empty() && name.starts_with(word)))
}

/// What the manual has, for the end of the help.
pub(crate) fn topics() -> String {
    let mut text = "Topics of the manual ('skep help TOPIC'):\n".to_owned();
    for topic in manual::TOPICS {
        text.push_str(&format!("  {:<12} {}\n", topic.name, topic.summary));
    }
    text
}

/// Prints help, a version, or what is wrong with the command line.
pub(crate) fn explain(error: Error) -> ExitCode {
    let error = corrected(error);
    let text = error.render();

    match error.kind() {
        Mistake::DisplayHelp | Mistake::DisplayVersion => {
            // A reader that has gone away is no reason to complain.
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Mistake::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{text}");
            ExitCode::from(ErrorKind::Usage.exit_code())
        }
        _ => {
            let _ = write!(std::io::stderr(), "skep: {text}");
            ExitCode::from(ErrorKind::Usage.exit_code())
        }
    }
}

/// The same mistake without a suggestion that would be refused: `--password` is hidden, since a
/// password does not belong on a command line.
fn corrected(mut error: Error) -> Error {
    let is_hidden = |value: &ContextValue| match value {
        ContextValue::String(flag) => flag == REFUSED,
        ContextValue::Strings(flags) => flags.iter().any(|flag| flag == REFUSED),
        _ => false,
    };

    if error.get(ContextKind::SuggestedArg).is_some_and(is_hidden) {
        let value = ContextValue::String(INSTEAD.to_owned());
        error.insert(ContextKind::SuggestedArg, value);
    }

    error
}

const REFUSED: &str = "--password";
const INSTEAD: &str = "--password-file";

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let serve = Command::new("serve");
        let serve = crate::cli::flags::args::passwords(serve);
        Command::new("skep").subcommand(serve)
    }

    #[test]
    fn a_topic_is_answered_and_a_verb_is_left_to_its_help() {
        for topic in manual::TOPICS {
            let words = ["skep", "help", topic.name].map(OsString::from);
            assert_eq!(word(&words), Some(topic.name));
        }
        for other in [&["skep", "files"][..], &["skep"]] {
            let words: Vec<_> = other.iter().map(OsString::from).collect();
            assert_eq!(word(&words), None, "{other:?}");
        }
        for known in ["serve", "help", "--verbose"] {
            assert_eq!(unknown(known, &command()), None);
        }
    }

    #[test]
    fn an_unknown_word_names_the_nearest() {
        for (word, told) in [
            ("serv", "did you mean 'skep help serve'?"),
            ("ser", "did you mean 'skep help serve'?"),
            ("nothing-like-it", "'skep help' lists them"),
        ] {
            let text = unknown(word, &command()).unwrap();
            assert!(text.ends_with(told), "{text}");
        }
    }

    #[test]
    fn no_flag_is_suggested_that_is_refused() {
        let words = ["skep", "serve", "--passwort", "x"];
        let error = command().try_get_matches_from(words).unwrap_err();
        let text = corrected(error).render().to_string();
        assert!(text.contains("'--password-file'"), "{text}");
        assert!(!text.contains("'--password'"), "{text}");
    }
}
