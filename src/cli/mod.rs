// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line: one table of verbs, one file per verb.
//!
//! Results go to standard output and nothing else does. Not here: what the verbs do, which is in
//! the client and in the node.

mod flags;
mod help;
mod terminal;
mod verbs;

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::error::{Error, ErrorKind, Result};
use crate::{child, home, logging};
use terminal::Output;

/// One verb: how it is called, what it takes, and what it does.
struct Verb {
    name: &'static str,
    /// Other spellings, which are not documented.
    aliases: &'static [&'static str],
    about: &'static str,
    /// Adds the verb's arguments to its command.
    arguments: fn(Command) -> Command,
    run: fn(&ArgMatches, &Output) -> Result<()>,
}

/// All verbs, in the order of the help.
const COMMANDS: &[Verb] = &[
    Verb {
        name: "serve",
        aliases: &[],
        about: "Store models in a directory and serve them",
        arguments: verbs::serve::arguments,
        run: verbs::serve::run,
    },
    Verb {
        name: "config",
        aliases: &[],
        about: "Show the settings of a server, and where they were set",
        arguments: verbs::config::arguments,
        run: verbs::config::run,
    },
    Verb {
        name: "put",
        aliases: &["push"],
        about: "Send files to a server",
        arguments: verbs::transfer::put::arguments,
        run: verbs::transfer::put::run,
    },
    Verb {
        name: "get",
        aliases: &["pull"],
        about: "Fetch models from a server and save them as files",
        arguments: verbs::transfer::get::arguments,
        run: verbs::transfer::get::run,
    },
    Verb {
        name: "cat",
        aliases: &[],
        about: "Write a model to standard output",
        arguments: verbs::transfer::cat::arguments,
        run: verbs::transfer::cat::run,
    },
    Verb {
        name: "mirror",
        aliases: &[],
        about: "Have a server fetch repositories of its upstream ahead",
        arguments: verbs::transfer::mirror::arguments,
        run: verbs::transfer::mirror::run,
    },
    Verb {
        name: "ls",
        aliases: &["list"],
        about: "List the models of a server",
        arguments: verbs::models::list::arguments,
        run: verbs::models::list::run,
    },
    Verb {
        name: "status",
        aliases: &[],
        about: "Tell how a server is, and what one may do there",
        arguments: verbs::server_status::arguments,
        run: verbs::server_status::run,
    },
    Verb {
        name: "rm",
        aliases: &["remove"],
        about: "Remove models from a server",
        arguments: verbs::models::remove::arguments,
        run: verbs::models::remove::run,
    },
    Verb {
        name: "mv",
        aliases: &["rename"],
        about: "Give a model or a folder of a server another name",
        arguments: verbs::models::rename::arguments,
        run: verbs::models::rename::run,
    },
    Verb {
        name: "show",
        aliases: &[],
        about: "Show everything that a server knows about models",
        arguments: verbs::models::show::arguments,
        run: verbs::models::show::run,
    },
    Verb {
        name: "verify",
        aliases: &[],
        about: "Have a server check its models for damage, or check signatures of local files",
        arguments: verbs::models::verify::arguments,
        run: verbs::models::verify::run,
    },
    Verb {
        name: "rollback",
        aliases: &[],
        about: "Bring back the previous versions of models",
        arguments: verbs::models::rollback::arguments,
        run: verbs::models::rollback::run,
    },
    Verb {
        name: "gc",
        aliases: &[],
        about: "Have a server free old versions, abandoned uploads and what is remembered of models that are gone",
        arguments: verbs::models::clear::arguments,
        run: verbs::models::clear::run,
    },
    Verb {
        name: "post",
        aliases: &[],
        about: "Send files to a dearning server (POST /import_model)",
        arguments: verbs::transfer::post::arguments,
        run: verbs::transfer::post::run,
    },
    Verb {
        name: "load",
        aliases: &[],
        about: "Fetch files from a dearning server (POST /load_model)",
        arguments: verbs::transfer::load::arguments,
        run: verbs::transfer::load::run,
    },
    Verb {
        name: "keygen",
        aliases: &[],
        about: "Make a key that signs models",
        arguments: verbs::signing::keygen::arguments,
        run: verbs::signing::keygen::run,
    },
    Verb {
        name: "sign",
        aliases: &[],
        about: "Sign files on this device",
        arguments: verbs::signing::sign::arguments,
        run: verbs::signing::sign::run,
    },
    Verb {
        name: "invite",
        aliases: &[],
        about: "Print an invitation that gives another device access",
        arguments: verbs::access::invite::arguments,
        run: verbs::access::invite::run,
    },
    Verb {
        name: "pair",
        aliases: &[],
        about: "Accept the invitation of a server",
        arguments: verbs::access::pair::arguments,
        run: verbs::access::pair::run,
    },
    Verb {
        name: "ca",
        aliases: &[],
        about: "Issue certificates to devices with an authority of your own",
        arguments: verbs::access::ca::arguments,
        run: verbs::access::ca::run,
    },
    Verb {
        name: "fingerprint",
        aliases: &[],
        about: "Print the fingerprint of a server, by which it is recognised",
        arguments: verbs::access::fingerprint::arguments,
        run: verbs::access::fingerprint::run,
    },
    Verb {
        name: "token",
        aliases: &[],
        about: "Make, list and remove tokens of the server on this device",
        arguments: verbs::access::token::arguments,
        run: verbs::access::token::run,
    },
    Verb {
        name: "passwd",
        aliases: &[],
        about: "Set a password for the server on this device",
        arguments: verbs::access::passwd::arguments,
        run: verbs::access::passwd::run,
    },
    Verb {
        name: "version",
        aliases: &[],
        about: "Print the version",
        arguments: verbs::version::arguments,
        run: verbs::version::run,
    },
];

/// Runs a command line, whose first word is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();

    // The hidden verb of child processes: `launch` turns this process into the supervisor of a child,
    // or into its program.
    if let ControlFlow::Break(launched) = child::launch(&arguments) {
        let Err(error) = launched else {
            return ExitCode::SUCCESS;
        };
        Output::default().error(&error);
        return ExitCode::from(error.kind().exit_code());
    }

    terminal::signals::survive_file_limit();

    // Of the verbs, only the one that is called gets its flags: a server has no use for those of all.
    let mut command = command(|command, verb| command.defer(verb.arguments));
    if let Some(code) = help::answer(&arguments, &command) {
        return code;
    }

    let matches = match command.try_get_matches_from_mut(&arguments) {
        Ok(matches) => matches,
        Err(error) => return help::explain(error, &arguments, &whole_command()),
    };

    let output = match Output::new(&matches) {
        Ok(output) => output,
        Err(error) => {
            Output::default().error(&error);
            let code = error.kind().exit_code();
            help::tell_machines(&arguments, error);
            return ExitCode::from(code);
        }
    };

    let _last_lines = LastLines;
    let result = dispatch(&matches, &output, command);
    report(&output, result);
    let output = asked(&matches, output);

    // What an object of JSON tells can still fail to be written.
    let result = output.finish_json();
    report(&output, result);

    ExitCode::from(output.exit_code())
}

/// Runs the command again with a password, if the server wants one, none was given, and there is somebody
/// to ask.
fn asked(matches: &ArgMatches, output: Output) -> Output {
    let Some(server) = output.unanswered() else {
        return output;
    };

    match terminal::ask::password(&server) {
        Ok(None) => output,
        Ok(Some(password)) => {
            // Nothing was done before, and what failed then does not count any more.
            let again = Output::new(matches).unwrap_or_default();
            let again = again.with_password(password);
            let result = run_verb(matches, &again);
            report(&again, result);
            again
        }
        Err(error) => {
            report(&output, Err(error));
            output
        }
    }
}

/// Tells of a failure, and keeps its exit code.
fn report(output: &Output, result: Result<()>) {
    let Err(error) = result else { return };

    // Whoever read our output has enough of it and knows that; the exit code is for all others.
    // Otherwise the lines that led to it come first, and where nobody reads them, nobody reads this either.
    if !output.is_closed() && logging::finish() {
        output.failed(&error);
    } else {
        output.remember(&error);
    }
}

/// Writes the rest of the log when it is dropped, also by a panic.
struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        logging::finish();
    }
}

fn dispatch(matches: &ArgMatches, output: &Output, command: Command) -> Result<()> {
    let level = flags::log_level(matches, log::LevelFilter::Warn)?;

    // `skep serve` starts it again, with a level and a style of its own.
    logging::start(level, logging::Style::Plain);
    flags::variables::warn_of_unknown(&command, whole_command);

    // A server runs for long, and its memory is for others then.
    drop(command);
    run_verb(matches, output)
}

fn run_verb(matches: &ArgMatches, output: &Output) -> Result<()> {
    let called = matches.subcommand();

    let found = called.and_then(|(name, matches)| {
        COMMANDS
            .iter()
            .find(|verb| verb.name == name)
            .map(|verb| (verb, matches))
    });

    match found {
        Some((verb, matches)) => {
            // Without a home, a verb may do all the same; with a newer one, none does anything.
            home::directory().map_or(Ok(()), |home| check_home(&home))?;
            (verb.run)(matches, output)
        }
        None => Err(Error::new(ErrorKind::Usage, "no command was given").hint("skep help")),
    }
}

/// Refuses a home of a newer format, and one that others can read or change.
fn check_home(home: &Path) -> Result<()> {
    home::check_format(home)?;
    if flags::has_strict_modes()? {
        home::check_modes(home)?;
    }
    Ok(())
}

/// The command line with the flags of every verb.
fn whole_command() -> Command {
    command(|command, verb| (verb.arguments)(command))
}

fn command(with_arguments: impl Fn(Command, &Verb) -> Command) -> Command {
    let root = Command::new("skep")
        .version(env!("CARGO_PKG_VERSION"))
        .about("skep: a pocket model server and its client")
        .before_help(EXAMPLES)
        .after_help(help::topics())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100);

    let root = flags::everywhere(root);

    COMMANDS.iter().fold(root, |root, verb| {
        let command = Command::new(verb.name)
            .about(verb.about)
            .aliases(verb.aliases.iter());
        root.subcommand(with_arguments(command, verb))
    })
}

const EXAMPLES: &str = "\
Examples:
  skep serve                                   keep models in dm_models, over HTTPS
  skep put model.onnx                          send a file to the server of this device
  skep put --server 192.168.1.10 model.onnx    send it to another one
  skep get model.onnx -o models/               fetch it into a directory
  skep ls                                      list what the server has
  cat words.txt | skep put - --name words.txt  send what a program prints";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_verbs_is_sound() {
        whole_command().debug_assert();
        for (index, verb) in COMMANDS.iter().enumerate() {
            let names = |verb: &Verb| [&[verb.name], verb.aliases].concat();
            for other in &COMMANDS[..index] {
                assert!(names(verb).iter().all(|name| !names(other).contains(name)));
            }
        }
    }

    #[test]
    fn aliases_lead_to_the_same_verb() {
        for (alias, name) in [
            ("push", "put"),
            ("pull", "get"),
            ("list", "ls"),
            ("remove", "rm"),
        ] {
            let matches = whole_command().try_get_matches_from(["skep", alias, "x"]);
            match matches {
                Ok(matches) => assert_eq!(matches.subcommand_name(), Some(name)),
                Err(_) => assert_eq!(name, "ls"),
            }
        }
    }

    #[test]
    fn a_password_is_not_taken_from_the_command_line() {
        let words = ["skep", "ls", "--password", "secret"];
        let matches = whole_command().try_get_matches_from(words).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        let error = flags::args::client(matches, &Output::default())
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn topics_of_the_manual_are_no_verbs() {
        for topic in crate::manual::TOPICS {
            let is_verb =
                |verb: &Verb| verb.name == topic.name || verb.aliases.contains(&topic.name);
            assert!(!COMMANDS.iter().any(is_verb), "{}", topic.name);
        }
        for section in crate::config::SECTIONS {
            let is_verb = |verb: &Verb| verb.name == section.name;
            assert!(!COMMANDS.iter().any(is_verb), "{}", section.name);
            assert!(crate::manual::find(section.name).is_none());
        }
    }
}
