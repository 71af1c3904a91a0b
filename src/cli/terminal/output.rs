// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a verb prints: results to standard output, all else to standard error, one line each, and
//! nothing that could steer the terminal.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;

use clap::ArgMatches;
use serde::Serialize;
use serde_json::Value;

use crate::access::Password;
use crate::cli::terminal::advice::Advice;
use crate::cli::terminal::ask;
use crate::cli::terminal::machine::JsonReport;
use crate::cli::terminal::standard::{Stdout, is_closed};
use crate::error::{Error, ErrorKind, Result};
use crate::text::escaped;

/// Where a verb prints to, and how.
#[derive(Default)]
pub(crate) struct Output {
    format: OutputFormat,
    notes: Notes,
    progress: Notes,
    /// The exit code of the first failure.
    failure: Cell<u8>,
    /// Whether something was left out or could not be verified.
    is_incomplete: Cell<bool>,
    /// Whether the command goes on although nobody reads standard output.
    needs_no_reader: Cell<bool>,
    /// Whether the reader of standard output is gone.
    closed: Cell<bool>,
    pub(super) report: JsonReport,
    /// The password that was asked for at the terminal.
    typed: Option<Password>,
    /// The server that was called without a password, if there was none.
    bare: RefCell<Option<String>>,
    /// Whether a server wanted a password, or another one.
    is_unauthenticated: Cell<bool>,
    /// What is known of errors in this command.
    pub(crate) advice: Advice,
}

/// The form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// Lines and tables for people.
    #[default]
    Text,
    /// One JSON value.
    Json,
}

/// Whether something that is not a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Notes {
    #[default]
    Shown,
    Hidden,
}

impl Output {
    /// # Errors
    /// `Usage` if an environment variable cannot be understood.
    pub(crate) fn new(matches: &ArgMatches) -> Result<Self> {
        // Global flags are known at the innermost level.
        let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
        let hidden = |is_hidden| {
            if is_hidden {
                Notes::Hidden
            } else {
                Notes::Shown
            }
        };

        let is_quiet = crate::cli::flags::is_set(matches, "quiet")?;

        Ok(Self {
            format: if crate::cli::flags::is_set(matches, "json")? {
                OutputFormat::Json
            } else {
                OutputFormat::Text
            },
            notes: hidden(is_quiet),
            progress: hidden(is_quiet || crate::cli::flags::is_set(matches, "no-progress")?),
            ..Self::default()
        })
    }

    /// The same with a password that was asked for.
    pub(crate) fn with_password(self, password: Password) -> Self {
        Self {
            typed: Some(password),
            ..self
        }
    }

    /// The password that was asked for.
    pub(crate) fn typed_password(&self) -> Option<&Password> {
        self.typed.as_ref()
    }

    /// A server is called without a password, since there is none.
    pub(crate) fn calls_bare(&self, server: String) {
        *self.bare.borrow_mut() = Some(server);
    }

    /// The server that wanted a password where there was none.
    pub(crate) fn unanswered(&self) -> Option<String> {
        let is_wanted = self.is_unauthenticated.get() && self.typed.is_none();
        self.bare.borrow().clone().filter(|_| is_wanted)
    }

    /// Whether progress may be shown.
    pub(crate) fn progress(&self) -> Notes {
        self.progress
    }

    /// Prints one line of a result in text form; in JSON form the result comes as a whole.
    ///
    /// # Errors
    /// Those of standard output.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        match self.format {
            OutputFormat::Text => self.print(&escaped(text)),
            OutputFormat::Json => Ok(()),
        }
    }

    /// Prints one line of what was done, unless it is to be quiet.
    ///
    /// # Errors
    /// Those of standard output.
    pub(crate) fn done(&self, text: &str) -> Result<()> {
        match self.notes {
            Notes::Shown => self.line(text),
            Notes::Hidden => Ok(()),
        }
    }

    /// Keeps the result in JSON form, which is printed at the end of the command.
    ///
    /// # Errors
    /// `Internal` if it cannot be written.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        if self.format == OutputFormat::Text {
            return Ok(());
        }

        self.report.tell(to_value(value)?);

        Ok(())
    }

    /// In JSON form, the result is a list of what is done for each item, which is told by
    /// [`Output::json_item`]. It is printed at the end of the command, also where a signal ends it.
    pub(crate) fn json_list(&self, name: &'static str) {
        self.report.begin_list(name);
    }

    /// Adds to the list.
    ///
    /// # Errors
    /// As [`Output::json`].
    pub(crate) fn json_item(&self, item: &impl Serialize) -> Result<()> {
        if self.format == OutputFormat::Json {
            self.report.tell_item(to_value(item)?);
        }
        Ok(())
    }

    /// What a signal has to print before it ends the command.
    pub(crate) fn interrupted_report(&self) -> Option<JsonReport> {
        (self.format == OutputFormat::Json).then(|| self.report.clone())
    }

    /// Prints a result in JSON form before the end of the command, if that is wanted.
    ///
    /// # Errors
    /// As [`Output::json`], and those of standard output.
    pub(crate) fn json_now(&self, value: &impl Serialize) -> Result<()> {
        self.json(value)?;
        self.finish_json()
    }

    /// Prints what was kept in JSON form.
    ///
    /// # Errors
    /// Those of standard output.
    pub(crate) fn finish_json(&self) -> Result<()> {
        match self.format {
            OutputFormat::Text => Ok(()),
            OutputFormat::Json => self.report.print(|line| self.print(line)),
        }
    }

    /// Standard output is for the bytes of models from here on, so that no JSON gets among them.
    ///
    /// # Errors
    /// `Unwritten` if there is no standard output.
    pub(crate) fn for_bytes(&self) -> Result<()> {
        self.report.take_output();
        if is_closed(rustix::stdio::stdout())? {
            return Err(
                Error::new(ErrorKind::Unwritten, "standard output is closed")
                    .hint("send it to a file or to a pipe"),
            );
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Result<()> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Writes bytes to standard output.
    ///
    /// # Errors
    /// Those of standard output.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        self.write_with(|stdout| stdout.write_all(bytes).map_err(Error::from))
    }

    /// Has bytes written to standard output, without a buffer in between.
    ///
    /// # Errors
    /// Those of `write`; a reader that has gone away is remembered.
    pub(crate) fn write_with<T>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        let explained = |error| Error::io("standard output", error);
        let owned = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(explained)?;

        write(&mut Stdout::new(File::from(owned), &self.closed))
    }

    /// Whether the reader of standard output is gone, so that there is no point in going on.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether notes are read by a person, and are kept nowhere.
    pub(crate) fn has_reader(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Prints something worth knowing, unless it is to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if self.notes == Notes::Shown {
            complain(&format!("skep: {text}"));
        }
    }

    /// Prints something that must not be overlooked.
    pub(crate) fn warn(&self, text: &str) {
        complain(&format!("skep: warning: {text}"));
    }

    /// Prints an error: what happened, and what can be done about it.
    pub(crate) fn error(&self, error: &Error) {
        // A hint that is a command is marked as one, so that it does not read like the end of the
        // sentence.
        let hint = match error.hint_text() {
            Some(command) if command.starts_with("skep ") => format!("; try: {command}"),
            Some(hint) => format!("; {hint}"),
            None => String::new(),
        };

        complain(&format!("skep: error: {}{hint}", error.message()));
        let mut cause = std::error::Error::source(error);

        // Causes may name paths and system calls, so they are only logged.
        while let Some(error) = cause {
            log::debug!("because: {error}");
            cause = error.source();
        }
    }

    /// Prints an error and remembers the exit code if it is the first one.
    pub(crate) fn failed(&self, error: &Error) {
        let advised = self.advice.on(error);
        let error = advised.as_ref().unwrap_or(error);
        self.remember(error);
        // Whoever is asked for the password next has made no mistake yet.
        if self.unanswered().is_none() || !ask::has_somebody() {
            self.error(error);
        }
    }

    /// Remembers the exit code of an error if it is the first one.
    pub(crate) fn remember(&self, error: &Error) {
        self.report.fail(error);
        if error.kind() == ErrorKind::Unauthenticated {
            self.is_unauthenticated.set(true);
        }
        if self.failure.get() == 0 {
            self.failure.set(error.kind().exit_code());
        }
    }

    /// Remembers that there was nothing to do, for those who asked for it.
    pub(crate) fn nothing_to_do(&self) {
        if self.failure.get() == 0 {
            self.failure.set(NOTHING_TO_DO);
        }
    }

    /// Tells of something that was left out or could not be verified, and does not let the command
    /// succeed.
    pub(crate) fn incomplete(&self, text: &str) {
        complain(&format!("skep: incomplete: {text}"));
        self.report.leave_out(text);
        self.is_incomplete.set(true);
    }

    /// Goes on without a reader of standard output, whose end is no failure from now on.
    pub(crate) fn go_on_unread(&self) {
        self.needs_no_reader.set(true);
    }

    /// The exit code: what tells that nobody reads the output any more, that of the first failure, what
    /// tells that something is missing, or 0.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.is_closed() && !self.needs_no_reader.get() {
            return NO_READER;
        }
        match self.failure.get() {
            0 | NOTHING_TO_DO if self.is_incomplete.get() => INCOMPLETE,
            code => code,
        }
    }
}

/// The exit code where nothing had to be done.
const NOTHING_TO_DO: u8 = 9;

/// The exit code where the reader of standard output went away, as shells show the end by SIGPIPE.
const NO_READER: u8 = 141;

/// The exit code where something was left out or could not be verified.
const INCOMPLETE: u8 = 10;

fn to_value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "the result cannot be written").because(error)
    })
}

/// Prints a line to standard error; there is nowhere to complain if that fails.
fn complain(text: &str) {
    let _ = io::stderr().write_all(format!("{}\n", escaped(text)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_decides_and_only_lasting_ones_end_the_work() {
        let output = Output::default();
        let mut tried = Vec::new();
        let kinds = [
            ErrorKind::NotFound,
            ErrorKind::TooLarge,
            ErrorKind::Unreachable,
        ];
        let items = ["0", "1", "2", "0"].map(str::to_owned);
        output.each(items, |item: String| {
            let index: usize = item.parse().unwrap();
            tried.push(index);
            Err(Error::new(kinds[index], "a test"))
        });
        assert_eq!((tried, output.exit_code()), (vec![0, 1, 2], 4));
    }
}
