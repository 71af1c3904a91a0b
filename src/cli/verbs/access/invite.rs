// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep invite`: prints an invitation for another device, as text and as a QR code.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use qrcodegen::{QrCode, QrCodeEcc};
use rustix::termios::tcgetwinsize;
use serde_json::json;

use crate::access::secrets::invitations;
use crate::access::{ADDRESSES_MAX, Invitation};
use crate::address::ServerUrl;
use crate::cli::flags::{args, node_settings};
use crate::cli::terminal::{Output, has_blocks};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::home::RunningServer;
use crate::{clock, home};

pub(crate) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name);
    command
        .before_help(EXAMPLES)
        .arg(
            Arg::new("address")
                .value_name("ADDRESS")
                .num_args(0..)
                .help(
                    "Where others reach the server [default: where the one of this home listens]",
                ),
        )
        .arg(
            flag("role")
                .value_name("ROLE")
                .value_parser(["read", "write", "admin"])
                .default_value("write")
                .help("What the device may do"),
        )
        .arg(
            flag("expires")
                .value_name("TIME")
                .allow_negative_numbers(true)
                .help("How long the invitation is valid [default: 10m]"),
        )
        .arg(
            flag("qr")
                .action(ArgAction::SetTrue)
                .help("Print a QR code even if the output is not a terminal"),
        )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    // Less than a second is rounded up: the file keeps whole seconds.
    let seconds = args::time(matches, "expires")?.map_or(EXPIRES, |time| time.as_secs().max(1));

    let config = node_settings::of_home()?;
    home::learn_time(&config.home);

    // The other device recognises the server by its key, which is never shown without TLS.
    let pin = config
        .kept_pin()?
        .filter(|_| !config.plain)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "there is no server with an identity in this home yet",
            )
            .hint("start 'skep serve' (without --plain) first")
        })?;

    let given: Vec<String> = matches
        .get_many("address")
        .into_iter()
        .flatten()
        .cloned()
        .collect();

    // What is given replaces what is remembered: it is meant for another way to the server.
    let kept = if given.is_empty() {
        running_addresses(&config)?
    } else {
        given
    };

    let mut addresses = Vec::new();

    // The scheme is left out: each address becomes HOST:PORT, as the text of an invitation has it.
    for address in kept.iter().take(ADDRESSES_MAX) {
        addresses.push(address.parse::<ServerUrl>()?.authority());
    }

    if addresses.is_empty() {
        let text = "the address of the server is not known";
        return Err(Error::new(ErrorKind::Usage, text).hint("skep invite HOST:PORT"));
    }

    // With a loopback address, the other device would look for the server on itself.
    if kept.iter().all(|address| {
        address
            .parse()
            .is_ok_and(|url: ServerUrl| url.is_loopback())
    }) {
        output.note(
            "only this device can reach the server; run 'skep serve' without an address to open it to others",
        );
    }

    let role = matches
        .get_one::<String>("role")
        .map(String::as_str)
        .unwrap_or_default();

    let secret = invitations::open(&config.home, role, seconds)?;

    let invitation = Invitation {
        addresses,
        pin,
        secret,
    }
    .to_string();

    // In a pipe, the picture would only be in the way of the text.
    if matches.get_flag("qr") || output.is_terminal() {
        draw(&invitation, output)?;
    }

    output.line(&invitation)?;
    let minutes = seconds.div_ceil(60);
    output.note(&format!(
        "on the other device, within {minutes} min: skep pair '...'"
    ));

    output.note("it works for one device only; whoever sees it can use it");

    output.json(&json!({
        "schema": 1,
        "invitation": invitation,
        "role": role,
        "expires": crate::wire::rfc3339(clock::moment(clock::seconds().saturating_add(seconds))),
    }))
}

/// Where the server of this home is reached that runs: nobody is invited to one that does not answer, or to
/// another one than is meant.
fn running_addresses(config: &Config) -> Result<Vec<String>> {
    let mut noted = home::noted_servers(&config.home)?;
    let last = noted.last().cloned();
    noted.retain(RunningServer::is_running);

    // Of several, it is the one of the model directory that the settings name.
    if noted.len() > 1 {
        let own = std::fs::canonicalize(&config.directory).unwrap_or_default();
        if let Some(server) = noted.iter().find(|one| Path::new(&one.directory) == own) {
            return Ok(server.addresses.clone());
        }
        let shown: Vec<_> = noted
            .iter()
            .map(|one| format!("{} of {}", one.addresses.join(" "), one.directory))
            .collect();
        let text = format!("{} servers of this home run", noted.len());
        return Err(Error::new(ErrorKind::Usage, text)
            .hint(format!("name one of them: {}", shown.join("; "))));
    }

    if let Some(server) = noted.pop() {
        return Ok(server.addresses);
    }

    let text = "no server of this home runs, so nobody can be invited to it";
    let last = last.map_or_else(String::new, |one| {
        format!(" (the last one was at {})", one.addresses.join(" "))
    });
    Err(Error::new(ErrorKind::Unreachable, text).hint(format!(
        "start 'skep serve', or name where it will be: skep invite HOST:PORT{last}"
    )))
}

/// Prints a QR code, unless the terminal is too narrow for it.
fn draw(text: &str, output: &Output) -> Result<()> {
    let lines = picture(text, has_blocks())?;

    let columns = tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    let width = lines.first().map_or(0, |line| line.chars().count());
    if columns > 0 && columns < width {
        output.note(&format!(
            "the QR code is left out: it needs {width} columns"
        ));
        return Ok(());
    }

    lines.iter().try_for_each(|line| output.line(line))
}

/// A QR code with the quiet zone that readers need, in half blocks, two rows in a line, or else in ASCII,
/// a module in two characters. Light modules are drawn, so that it can be read on a dark terminal.
fn picture(text: &str, in_blocks: bool) -> Result<Vec<String>> {
    // A screen is read without damage, so the least error correction suffices; it gives the
    // smallest picture.
    let code = QrCode::encode_text(text, QrCodeEcc::Low).map_err(|_| {
        Error::new(
            ErrorKind::TooLarge,
            "the invitation is too long for a QR code",
        )
        .hint("name fewer addresses")
    })?;

    // Beyond an odd number of rows, the lower half of the last line is light, as part of the margin.
    let last = code.size() + QUIET;
    let is_light = |x: i32, y: i32| y >= last || !code.get_module(x, y);

    // A character is about twice as high as wide, so it shows two modules or half of one.
    let rows = (-QUIET..last).step_by(if in_blocks { 2 } else { 1 });
    let module = |x: i32, y: i32| match (in_blocks, is_light(x, y), is_light(x, y + 1)) {
        (true, true, true) => "\u{2588}",
        (true, true, false) => "\u{2580}",
        (true, false, true) => "\u{2584}",
        (true, false, false) => " ",
        (false, true, _) => "##",
        (false, false, _) => "  ",
    };

    let row = |y: i32| (-QUIET..last).map(|x| module(x, y)).collect();
    Ok(rows.map(row).collect())
}

/// Four modules are in the standard; two do for telephones and fit more terminals.
const QUIET: i32 = 2;

/// Ten minutes.
const EXPIRES: u64 = 600;

const EXAMPLES: &str = "\
Examples:
  skep invite                     for a device that may store models, for 10 minutes
  skep invite --role read --expires 1h
  skep invite 192.168.1.10:8443   where the server is reached by another address";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_as_wide_as_high() {
        let lines = picture("skep://192.168.1.10:8443#x", true).unwrap();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        // The quiet zone is light all around.
        assert!(lines[0].chars().all(|module| module == '\u{2588}'));
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("\u{2588}\u{2588}"))
        );
        assert!(picture(&"x".repeat(5000), true).is_err());

        // The same modules, drawn in ASCII.
        let plain = picture("skep://192.168.1.10:8443#x", false).unwrap();
        assert_eq!(plain.len(), width);
        for (y, line) in plain.iter().enumerate() {
            assert!(line.len() == 2 * width && line.is_ascii(), "{line}");
            for (x, block) in lines[y / 2].chars().enumerate() {
                let light = ["\u{2588}\u{2580}", "\u{2588}\u{2584}"][y % 2].contains(block);
                assert_eq!(&line[2 * x..2 * x + 2], if light { "##" } else { "  " });
            }
        }
    }
}
