// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep ca`: a private authority that issues certificates to devices, and revokes them.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::cli::terminal::Output;
use crate::error::{Error, ErrorKind, Result};
use crate::tls::{Authority, Papers};
use crate::{clock, disk, home};

pub(crate) fn arguments(command: Command) -> Command {
    // clap takes arguments by value, and two commands have this one.
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("The name of a device")
    };

    let issue = Command::new("issue")
        .about("Issue a certificate to a device, into a directory to be copied there")
        .arg(name())
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("HOST")
                .action(ArgAction::Append)
                .help("A host name or address under which the device serves"),
        )
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("N")
                .allow_negative_numbers(true)
                .value_parser(clap::value_parser!(u64).range(1..))
                .help("How many days it is valid [default: 3650]"),
        )
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("DIR")
                .help("The directory [default: one with the name of the device]"),
        );

    command
        .before_help(EXAMPLES)
        .subcommand_required(true)
        .subcommand(Command::new("init").about("Make the authority, in the home"))
        .subcommand(issue)
        .subcommand(
            Command::new("revoke")
                .about("Revoke the certificates of a device")
                .arg(name()),
        )
        .subcommand(Command::new("ls").about("List the certificates that were issued"))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let home = home::directory()?;
    home::learn_time(&home);
    let authority = Authority::new(&home::AUTHORITY.path(&home));
    match matches.subcommand() {
        Some(("init", _)) => init(&authority, output),
        Some(("issue", matches)) => issue(&authority, matches, output),
        Some(("revoke", matches)) => revoke(&authority, &name(matches), output),
        _ => list(&authority, output),
    }
}

fn init(authority: &Authority, output: &Output) -> Result<()> {
    authority.make()?;
    let file = authority.certificate().display().to_string();
    output.line(&file)?;
    output.note(&format!(
        "to let in only its devices: skep serve --client-ca {file}"
    ));
    output.note("issue certificates to devices: skep ca issue NAME");
    output.json(&json!({"schema": 1, "ca": file}))
}

fn issue(authority: &Authority, matches: &ArgMatches, output: &Output) -> Result<()> {
    let name = name(matches);
    crate::tls::check_name(&name)?;
    let folder = matches
        .get_one::<String>("output")
        .cloned()
        .unwrap_or_else(|| name.clone());

    let folder = Path::new(&folder);

    // Without its key, the certificate that was issued before would be worthless.
    if folder.join(format!("{name}.key")).exists() {
        let text = format!("{} has a key of {name} already", folder.display());
        return Err(Error::new(ErrorKind::Conflict, text).hint("name another directory with -o"));
    }

    // Before the certificate is issued, since the authority keeps a record of each one.
    let was_there = folder.exists();
    if let Some(owner) = home::stranger(folder) {
        let text = format!(
            "the directory {} belongs to another user (uid {owner}), who could replace what is in it",
            folder.display()
        );
        return Err(Error::new(ErrorKind::Usage, text).hint("name another directory with -o"));
    }
    disk::led_to(folder)
        .and_then(|folder| disk::create_directory(&folder))
        .map_err(|error| Error::local(format!("making {}", folder.display()), error))?;

    let hosts: Vec<String> = matches
        .get_many("for")
        .into_iter()
        .flatten()
        .cloned()
        .collect();

    // A device gets its certificate by hand, so the default spares it for ten years.
    let days = matches.get_one("days").copied().unwrap_or(DAYS);

    let Papers {
        certificate,
        key,
        authority,
    } = authority.issue(&name, &hosts, days).inspect_err(|_| {
        if !was_there {
            disk::remove_empty_directory(folder);
        }
    })?;

    let mut files = Vec::new();

    // The certificate of the authority goes along: with it, the device recognises servers of the
    // same authority.
    for (file, text, mode) in [
        (format!("{name}.key"), key, 0o600),
        (format!("{name}.crt"), certificate, 0o644),
        ("ca.crt".to_owned(), authority, 0o644),
    ] {
        let path = folder.join(file);
        let shown = path.display().to_string();
        disk::write(&path, text.as_bytes(), mode)
            .map_err(|error| Error::local(format!("writing {shown}"), error))?;
        output.line(&shown)?;
        files.push(shown);
    }

    output.note(&format!(
        "copy {} to that device; there: skep ls --client-cert {name}.crt --client-key {name}.key",
        folder.display()
    ));

    output.json(&json!({"schema": 1, "name": name, "files": files.iter().map(|file| json!({"path": file})).collect::<Vec<_>>()}))
}

fn revoke(authority: &Authority, name: &str, output: &Output) -> Result<()> {
    let count = authority.revoke(name)?;
    output.line(&format!("revoked {name}"))?;
    output.note(
        "servers on this device refuse it within 2 s, others need a copy of crl.pem (--client-crl)",
    );
    output.json(&json!({"schema": 1, "revoked": [name], "certificates": count}))
}

/// When a certificate ends, as all times are told.
fn expires(seconds: u64) -> String {
    crate::wire::rfc3339(clock::moment(seconds))
}

fn list(authority: &Authority, output: &Output) -> Result<()> {
    let issued = authority.list()?;
    let now = clock::seconds();

    let rows = issued.iter().map(|one| {
        // What was revoked stays so after its end.
        let state = match one.revoked {
            Some(_) => "revoked",
            None if one.end <= now => "expired",
            None => "good",
        };
        (one, state)
    });

    let rows: Vec<_> = rows.collect();

    for (one, state) in &rows {
        // The day alone: the first ten characters of RFC 3339.
        let end = crate::wire::rfc3339(clock::moment(one.end));
        output.line(&format!(
            "{}  {state}  until {}  {}",
            one.name,
            &end[..10],
            one.serial
        ))?;
    }

    let all = rows.iter().map(|(one, state)| {
        json!({"name": one.name, "serial": one.serial, "state": state, "expires": expires(one.end)})
    });

    output.json(&json!({"schema": 1, "issued": all.collect::<Vec<_>>()}))
}

fn name(matches: &ArgMatches) -> String {
    matches
        .get_one::<String>("name")
        .cloned()
        .unwrap_or_default()
}

const DAYS: u64 = 3650;

const EXAMPLES: &str = "\
Examples:
  skep ca init
  skep ca issue phone         files for a device, in phone/
  skep ca issue pi -o /media  the same elsewhere ('skep ca issue -h' has more)
  skep ca revoke phone";
