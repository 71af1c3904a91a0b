// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep token`: makes, lists and removes the tokens of the server on this device. A running server
//! notices at once.

use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use time::{Date, Month};

use crate::access::{NewToken, Role, TokenForm, Tokens};
use crate::cli::terminal::Output;
use crate::error::{Error, ErrorKind, Result};
use crate::text::{duration, is_never};
use crate::wire::rfc3339;
use crate::{clock, home};

pub(crate) fn arguments(command: Command) -> Command {
    // clap takes arguments by value, and two commands have this one.
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("Who the token is for")
    };

    let role = Arg::new("role")
        .long("role")
        .value_name("ROLE")
        .default_value("write")
        .help("What it may do: read, write or admin");

    let expires = Arg::new("expires")
        .long("expires")
        .value_name("TIME")
        .allow_negative_numbers(true)
        .help("When it ends: 90d, 12h, a day such as 2027-01-31 (UTC), or none [default: none]");

    let hf = Arg::new("hf").long("hf").action(ArgAction::SetTrue).help(
        "In the form of Hugging Face, hf_..., without which some clients show none (topic hub)",
    );

    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("new")
                .about("Make a token and print it, once")
                .before_help(EXAMPLES)
                .args([name(), role, expires, hf]),
        )
        .subcommand(Command::new("ls").alias("list").about("List the tokens"))
        .subcommand(
            Command::new("rm")
                .alias("remove")
                .about("Remove a token")
                .arg(name()),
        )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    match matches.subcommand() {
        Some(("new", matches)) => make(matches, output),
        Some(("ls", _)) => list(output),
        Some(("rm", matches)) => {
            let name = name(matches);
            Tokens::remove(&home::directory()?, &name)?;
            output.line(&format!("removed {name}"))?;
            output.json(&json!({ "schema": 1, "removed": [name] }))
        }
        _ => Err(Error::new(ErrorKind::Usage, "no command was given").hint("skep token --help")),
    }
}

fn make(matches: &ArgMatches, output: &Output) -> Result<()> {
    let given = |name: &str| matches.get_one::<String>(name);
    let role: Role = given("role").map_or(Ok(Role::Write), |role| role.parse())?;

    // The end is counted from now; a clock that was never set would put it into the past.
    home::learn_time(&home::directory()?);
    let end = match given("expires") {
        Some(text) => end(text, clock::now())?,
        None => None,
    };

    let name = name(matches);

    let new = NewToken {
        name: name.clone(),
        role,
        end,
    };

    let form = if matches.get_flag("hf") {
        TokenForm::Hub
    } else {
        TokenForm::Own
    };
    let token = Tokens::add_as(&home::directory()?, new, form)?;

    // Printed before anything else can fail, because the home keeps its public key only. Nobody needs one
    // that nobody has seen.
    let made = json!({
        "schema": 1,
        "name": name,
        "role": role.as_str(),
        "token": token.text(),
        "expires": end.map(rfc3339),
    });
    let printed = output.line(token.text());
    printed
        .and_then(|()| output.json_now(&made))
        .map_err(|error| withdrawn(&name, error))?;

    output.note("this token is shown only now; clients use it in place of a password");

    Ok(())
}

/// Removes a token that cannot be shown.
fn withdrawn(name: &str, error: Error) -> Error {
    let removed = home::directory().and_then(|home| Tokens::remove(&home, name));
    match removed {
        Ok(()) => error.hint("no token was made, for it could not be shown"),
        Err(_) => error.hint(format!(
            "'skep token rm {name}' removes the token that was made"
        )),
    }
}

fn list(output: &Output) -> Result<()> {
    let tokens = Tokens::open(&home::directory()?)?;
    home::learn_time(&home::directory()?);
    let now = clock::now();

    // Names are ASCII, so bytes are columns.
    let width = tokens
        .iter()
        .map(|token| token.name.len())
        .max()
        .unwrap_or_default();

    let mut rows = Vec::new();

    for token in tokens.iter() {
        // Tokens that have ended stay in the list until they are removed.
        let is_over = tokens.is_over(token, now);
        let until = match token.end {
            None => "for ever".to_owned(),
            Some(end) if is_over => format!("ended {}", rfc3339(end)),
            Some(end) => format!("until {}", rfc3339(end)),
        };
        output.line(&format!(
            "{:<width$}  {:<5}  {until}",
            token.name,
            token.role.as_str()
        ))?;
        rows.push(json!({
            "name": token.name,
            "role": token.role.as_str(),
            "made": rfc3339(token.made),
            "expires": token.end.map(rfc3339),
            "expired": is_over,
        }));
    }

    output.json(&json!({ "schema": 1, "tokens": rows }))
}

fn name(matches: &ArgMatches) -> String {
    matches
        .get_one::<String>("name")
        .cloned()
        .unwrap_or_default()
}

/// Reads when a token ends: after a length of time, at the beginning of a day, or never.
fn end(text: &str, now: SystemTime) -> Result<Option<SystemTime>> {
    let bad = |reason: &str| {
        let text = format!("--expires: '{}' {reason}", text.escape_debug());
        Error::new(ErrorKind::Usage, text).hint("write it as 90d, 12h, 2027-01-31 or none")
    };

    // Not `0`, which could be meant for a token that is over.
    if is_never(text) {
        return Ok(None);
    }

    // The forms do not overlap: only a day has hyphens in it.
    let end = match date(text) {
        Some(date) => Some(date),
        None => match duration(text) {
            Ok(length) => now.checked_add(length),
            // The forms of a time are not all that there are here.
            Err(reason) if reason.starts_with("write ") => {
                return Err(bad("is neither a time nor a day"));
            }
            Err(reason) => return Err(bad(&format!("cannot be the end: {reason}"))),
        },
    };

    end.filter(|end| *end > now)
        .map(Some)
        .ok_or_else(|| bad("is not in the future"))
}

fn date(text: &str) -> Option<SystemTime> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    parts
        .next()
        .is_none()
        .then(|| date.midnight().assume_utc().into())
}

const EXAMPLES: &str = "\
Examples:
  skep token new pi-2                           may store, fetch and remove models
  skep token new phone --role read              may fetch and list them
  skep token new build --expires 90d            ends by itself
  skep token new laptop --hf                    for HF_TOKEN";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ends_are_lengths_or_days() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let after = |text: &str| {
            let end = end(text, now).unwrap().unwrap();
            end.duration_since(now).unwrap().as_secs()
        };
        assert_eq!(
            (after("2d"), after("12h"), after("90s")),
            (172_800, 43_200, 90)
        );
        assert_eq!(after("36525d"), after("876600h"));
        // 2027-01-15T08:00:00Z is now.
        assert_eq!(after("2027-01-16"), 16 * 3600);
        for never in ["none", "None", "never"] {
            assert_eq!(end(never, now).unwrap(), None);
        }
        for bad in [
            "",
            "0",
            "tomorrow",
            "x",
            "0d",
            "-1d",
            "99999d",
            "99999999h",
            "18446744073709551615d",
            "2027-01-15",
            "2027-13-01",
            "2027-1-1-1",
            "1y",
        ] {
            assert!(end(bad, now).is_err(), "{bad}");
        }
    }
}
