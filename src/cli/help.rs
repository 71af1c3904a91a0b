// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep help`, and what is said of a command line that cannot be understood.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind as Mistake};
use clap::{Command, Error};

use crate::cli::terminal::{JsonReport, Output};
use crate::config::{SECTIONS, settings};
use crate::error::ErrorKind;
use crate::manual;
use crate::text::{escaped, nearest};

/// Answers `skep help WORD` where the word is a topic of the manual, or nothing that is known; `None`
/// for anything else. Verbs and topics have different names.
pub(crate) fn answer(arguments: &[OsString], command: &Command) -> Option<ExitCode> {
    let word = word(arguments)?;

    let topic = manual::find(word).map(|topic| topic.text.to_owned());
    if let Some(text) = topic.or_else(|| settings_of(word)) {
        return Some(print(&text));
    }

    let text = unknown(word, command)?;
    let _ = writeln!(std::io::stderr(), "skep: error: {text}");
    tell_machines(arguments, crate::error::Error::new(ErrorKind::Usage, text));

    Some(ExitCode::from(ErrorKind::Usage.exit_code()))
}

fn word(arguments: &[OsString]) -> Option<&str> {
    match arguments {
        [_, help, word] if help == "help" => word.to_str(),
        _ => None,
    }
}

/// The settings of a section, or the one of a name.
fn settings_of(word: &str) -> Option<String> {
    let section = SECTIONS.iter().find(|section| section.name == word);
    let single = || settings().find(|(_, setting)| setting.key == word);
    let (section, rows) = match section {
        Some(section) => (section, section.rows),
        None => single().map(|(section, setting)| (section, std::slice::from_ref(setting)))?,
    };

    let mut text = format!("{}, in config.toml [{}]:\n", section.about, section.name);
    for row in rows {
        let default = match row.default {
            "" => String::new(),
            default => format!("default: {default}; "),
        };
        text.push_str(&format!(
            "\n  --{} {}\n      {}\n      [{default}a change counts: {}]\n",
            row.key,
            row.value,
            row.about(),
            row.effect
        ));
    }
    text.push_str("\nHow values are written, and where: skep help settings\n");

    Some(text)
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
    let topics = || manual::TOPICS.iter().map(|topic| topic.name);
    let sections = || SECTIONS.iter().map(|section| section.name);
    let names = || verbs().chain(topics()).chain(sections());

    nearest(word, names())
        .or_else(|| names().find(|name| !word.is_empty() && name.starts_with(word)))
}

/// What the manual has, for the end of the help.
pub(crate) fn topics() -> String {
    let mut text = "Topics of the manual ('skep help TOPIC'):\n".to_owned();
    for topic in manual::TOPICS {
        text.push_str(&format!("  {:<12} {}\n", topic.name, topic.summary));
    }
    let sections: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
    text.push_str(&format!(
        "\nSections of the settings ('skep help SECTION'):\n  {}\n",
        sections.join(", ")
    ));
    text
}

/// Prints help, a version, or what is wrong with the command line.
pub(crate) fn explain(error: Error, arguments: &[OsString], command: &Command) -> ExitCode {
    let error = corrected(error, arguments, command);
    let text = error.render();

    match error.kind() {
        Mistake::DisplayHelp | Mistake::DisplayVersion => print(&text.to_string()),
        Mistake::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{text}");
            let error = crate::error::Error::new(ErrorKind::Usage, "no command was given");
            tell_machines(arguments, error);
            ExitCode::from(ErrorKind::Usage.exit_code())
        }
        _ => {
            let _ = write!(std::io::stderr(), "skep: {text}");
            tell_machines(arguments, in_one_line(&text.to_string()));
            ExitCode::from(ErrorKind::Usage.exit_code())
        }
    }
}

/// Prints a result; a text that could not be written is a failure as for any verb.
fn print(text: &str) -> ExitCode {
    let output = Output::default();
    match output.write(text.as_bytes()) {
        Err(error) if output.is_closed() => output.remember(&error),
        Err(error) => output.failed(&error),
        Ok(()) => {}
    }
    ExitCode::from(output.exit_code())
}

/// Prints the JSON of a command line that cannot be understood, if that asks for JSON.
pub(crate) fn tell_machines(arguments: &[OsString], error: crate::error::Error) {
    let by_variable = || matches!(crate::cli::flags::said("SKEP_JSON"), Ok(Some(true)));
    if arguments.iter().any(|word| word == "--json") || by_variable() {
        let report = JsonReport::default();
        report.fail(&error);
        let line = report.line().unwrap_or_default();
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// What the parser says: a paragraph of the mistake, which may list things, perhaps one of tips, and one
/// of the usage.
fn in_one_line(text: &str) -> crate::error::Error {
    let mut paragraphs = text.split("\n\n");
    let mistake = paragraphs.next().unwrap_or_default();
    let words: Vec<_> = mistake.lines().map(str::trim).collect();
    let words = words.join(" ");

    let told = words.strip_prefix("error: ").unwrap_or(&words);
    let error = crate::error::Error::new(ErrorKind::Usage, told);
    match paragraphs
        .next()
        .and_then(|next| next.trim().strip_prefix("tip: "))
    {
        Some(tip) => error.hint(tip.lines().next().unwrap_or_default()),
        None => error,
    }
}

/// The same mistake with the flag that is nearest by the measure of this program; the parser's own takes
/// any flag that begins alike. A flag that is hidden is not suggested: `--password` would be refused,
/// since a password does not belong on a command line.
fn corrected(mut error: Error, arguments: &[OsString], command: &Command) -> Error {
    if let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) {
        let verbs = command.get_subcommands().map(Command::get_name);
        let near = nearest(wrong, verbs).or_else(|| elsewhere(wrong));
        if let Some(near) = near.map(str::to_owned) {
            error.insert(
                ContextKind::SuggestedSubcommand,
                ContextValue::Strings(vec![near]),
            );
        }
        return error;
    }

    let tip = || server_named(&error, arguments, command);
    if let Some(tip) = dashed(&error, arguments, command).or_else(tip) {
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
        error.remove(ContextKind::Usage);
        return error;
    }

    let (Some(ContextValue::String(suggested)), Some(ContextValue::String(wrong))) = (
        error.get(ContextKind::SuggestedArg),
        error.get(ContextKind::InvalidArg),
    ) else {
        return error;
    };

    let verb = arguments
        .iter()
        .find_map(|word| command.find_subcommand(word));
    let flags = verb.into_iter().flat_map(Command::get_arguments);
    let shown: Vec<_> = flags
        .chain(command.get_arguments())
        .filter(|flag| !flag.is_hide_set())
        .filter_map(|flag| flag.get_long())
        .collect();

    let wanted = wrong.trim_start_matches('-');
    let near = nearest(wanted, shown.iter().copied()).map(|near| format!("--{near}"));
    let is_shown = shown.contains(&suggested.trim_start_matches('-'));

    let better = match near {
        Some(near) if near == *suggested => return error,
        None if is_shown => return error,
        Some(near) => near,
        None => INSTEAD.to_owned(),
    };

    // The line of usage was made for the other suggestion.
    error.remove(ContextKind::Usage);
    error.insert(ContextKind::SuggestedArg, ContextValue::String(better));
    error
}

/// The verb for which other programs have this word.
fn elsewhere(word: &str) -> Option<&'static str> {
    let (_, verb) = ELSEWHERE.iter().find(|(other, _)| *other == word)?;
    Some(verb)
}

const ELSEWHERE: &[(&str, &str)] = &[
    ("upload", "put"),
    ("send", "put"),
    ("add", "put"),
    ("sync", "put"),
    ("download", "get"),
    ("fetch", "get"),
    ("clone", "get"),
    ("delete", "rm"),
    ("del", "rm"),
    ("unlink", "rm"),
    ("dir", "ls"),
    ("move", "mv"),
    ("info", "show"),
    ("stat", "show"),
    ("check", "verify"),
    ("start", "serve"),
    ("server", "serve"),
    ("run", "serve"),
    ("login", "pair"),
    ("undo", "rollback"),
    ("password", "passwd"),
];

/// What to write where the value of a flag begins with a hyphen and is taken for flags.
fn dashed(error: &Error, arguments: &[OsString], command: &Command) -> Option<String> {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let mut pairs = arguments
        .windows(2)
        .filter_map(|pair| Some((pair[0].to_str()?, pair[1].to_str()?)));
    let (flag, value) =
        pairs.find(|(_, value)| value.starts_with(wrong) && !value.starts_with("--"))?;

    let verb = arguments
        .iter()
        .find_map(|word| command.find_subcommand(word))?;
    let long = flag.strip_prefix("--")?;
    let takes_value =
        |arg: &&clap::Arg| arg.get_long() == Some(long) && arg.get_action().takes_values();
    verb.get_arguments().find(takes_value)?;
    Some(format!(
        "the value of '{flag}' begins with a hyphen: write '{flag}={}'",
        escaped(value)
    ))
}

/// How the server is named, where a word stands in a place that has none, or a flag that the verb does not have.
fn server_named(error: &Error, arguments: &[OsString], command: &Command) -> Option<String> {
    if error.kind() != Mistake::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };

    let verb = arguments
        .iter()
        .find_map(|word| command.find_subcommand(word))?;
    let name = verb.get_name();
    let mut flags = verb.get_arguments();
    let has_flag = flags.any(|arg| arg.get_long() == Some("server"));
    let takes_url = verb.get_positionals().any(|arg| arg.get_id() == "url");

    if has_flag && !wrong.starts_with('-') {
        let wrong = escaped(wrong);
        Some(format!(
            "a server is named with a flag: 'skep {name} --server {wrong}'"
        ))
    } else if takes_url && wrong == "--server" {
        Some(format!(
            "a server is named without a flag here: 'skep {name} URL'"
        ))
    } else {
        None
    }
}

/// What is suggested in the place of a hidden flag.
const INSTEAD: &str = "--password-file";

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let serve = Command::new("serve");
        let serve = crate::cli::flags::args::passwords(serve);
        let serve = crate::cli::flags::node_settings::arguments(serve);
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
    fn the_verb_that_was_meant_is_suggested() {
        for (wrong, told) in [
            ("srve", "'serve'"),
            ("sevre", "'serve'"),
            ("SERVE", "'serve'"),
            ("start", "'serve'"),
        ] {
            let words = ["skep", wrong].map(OsString::from);
            let command = command().subcommand_required(true);
            let error = command.clone().try_get_matches_from(&words).unwrap_err();
            let text = corrected(error, &words, &command).render().to_string();
            assert!(text.contains(told), "{text}");
        }
    }

    #[test]
    fn no_flag_is_suggested_that_is_refused() {
        for (wrong, told) in [
            ("--passwort", "'--password-file'"),
            ("--dri", "'--dir'"),
            ("--drain-timeot", "'--drain-timeout'"),
        ] {
            let words = ["skep", "serve", wrong, "x"].map(OsString::from);
            let error = command().try_get_matches_from(&words).unwrap_err();
            let text = corrected(error, &words, &command()).render().to_string();
            assert!(text.contains(told), "{text}");
            assert!(!text.contains("'--password'"), "{text}");
        }
    }
}
