// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The flags that verbs have in common, their environment variables, and the client made of them.
//!
//! A flag counts before its variable: `--connect-timeout` before `SKEP_CONNECT_TIMEOUT`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use log::LevelFilter;

use crate::address::{Scheme, ServerUrl};
use crate::cli::flags::given_password::{given_password, own_password};
use crate::cli::flags::paired_server::{check_meaning, paired, token_of};
use crate::cli::flags::switch::{is_set, variable, variable_name};
use crate::cli::terminal::{Output, ask, signals};
use crate::client::{
    Changes, Client, ClientCertificate, ClientOptions, FirstUse, PasswordOver, TransferOptions,
    Trust,
};
use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::text::{DURATION_MAX, bytes_or_none, count, count_or_none, duration, duration_or_none};

/// Adds the flags of every verb.
pub(crate) fn everywhere(command: Command) -> Command {
    // Global flags may stand before and behind the verb.
    let switch = |name: &'static str| {
        Arg::new(name)
            .long(name)
            .global(true)
            .action(ArgAction::SetTrue)
            .help_heading("Output")
    };

    command
        .arg(switch("json").help("Print one JSON object instead of text"))
        .arg(
            switch("quiet")
                .short('q')
                .help("Print only errors, what is incomplete, and what was asked for"),
        )
        .arg(switch("no-progress").help("Print no progress"))
        .arg(
            switch("verbose")
                .short('v')
                .action(ArgAction::Count)
                .help("Log more (-vv: even more)"),
        )
        .arg(
            Arg::new("log-level")
                .long("log-level")
                .global(true)
                .value_name("LEVEL")
                .help("Log up to error, warn, info, debug or trace")
                .help_heading("Output"),
        )
}

/// Adds the flags of verbs that talk to a server.
pub(crate) fn server(command: Command) -> Command {
    // Variables are read by `text` and `is_set` and not by clap, so that an empty one counts as not
    // set.
    let flag = |name: &'static str| Arg::new(name).long(name).help_heading("Server");
    let switch = |name| flag(name).action(ArgAction::SetTrue);

    passwords(command)
        .arg(flag("server").value_name("URL").help("The server: its address, or the name it was paired under [default: the one that was paired first, or https://127.0.0.1:8443]"))
        .arg(flag("pin").value_name("SHA256:HEX").help("Trust only the server with this key"))
        .arg(switch("accept-new").help("Trust a server that is not known yet, and remember it"))
        .arg(
            flag("ca")
                .value_name("FILE")
                .help("Trust only a server with a certificate from an authority in this PEM file"),
        )
        .arg(
            flag("client-cert").value_name("FILE").help(
                "Show this certificate to a server that asks for one [variable: SKEP_CLIENT_CERT]",
            ),
        )
        .arg(
            flag("client-key")
                .value_name("FILE")
                .help("The key of that certificate [variable: SKEP_CLIENT_KEY]"),
        )
        .arg(switch("insecure").help("Trust any server (dangerous)"))
        .arg(switch("send-password").help("Send the password even unencrypted (dangerous)"))
        .arg(
            flag("timeout")
                .value_name("TIME")
.allow_negative_numbers(true)
                .help("Give up after this time without progress; none: never [default: 60s]"),
        )
        .arg(
            flag("connect-timeout")
                .value_name("TIME")
.allow_negative_numbers(true)
                .help("Give up connecting after this time; none: never [default: 30s]"),
        )
}

/// Adds the flag that leaves something of the line to others.
pub(crate) fn limit_rate(command: Command) -> Command {
    command.arg(
        Arg::new("limit-rate")
            .long("limit-rate")
            .value_name("SIZE")
            .allow_negative_numbers(true)
            .help("Transfer at most this many bytes per second, for example 2MiB; none: any number")
            .help_heading("Transfer"),
    )
}

/// Adds the flags of verbs that transfer files and can go on after a cut.
pub(crate) fn transfers(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).help_heading("Transfer");
    let switch = |name| flag(name).action(ArgAction::SetTrue);

    limit_rate(command)
        .arg(
            flag("retries")
                .value_name("N")
                .allow_negative_numbers(true)
                .help("How often to try again without any progress; none: not at all [default: 5]"),
        )
        .arg(
            flag("parallel")
                .short('j')
                .value_name("N")
                .allow_negative_numbers(true)
                .help(
                    "Of folders, transfer N files at a time, each over a connection [default: 4]",
                ),
        )
        .arg(switch("if-changed").help("Transfer nothing if the same bytes are there already"))
        .arg(switch("exit-unchanged").help("Exit with 9 if nothing had to be transferred"))
}

/// What those flags say.
///
/// # Errors
/// `Usage` for what cannot be understood.
pub(crate) fn transfer(matches: &ArgMatches) -> Result<TransferOptions> {
    let mut options = TransferOptions::default();
    if let Some(retries) = read(matches, "retries", count_or_none)? {
        options.retries = retries;
    }

    if is_set(matches, "if-changed")? {
        options.changes = Changes::Required;
    }

    Ok(options)
}

/// How many files of a folder are transferred at a time.
///
/// # Errors
/// `Usage` for what is no number of connections.
pub(crate) fn parallel(matches: &ArgMatches) -> Result<usize> {
    let parallel = read(matches, "parallel", |text| match count(text) {
        Ok(0) => Err("0 connections transfer nothing; 1 is one file after the other".to_owned()),
        Ok(PARALLEL_MORE..) => Err(format!("at most {} connections", PARALLEL_MORE - 1)),
        read => read,
    });
    Ok(parallel?.unwrap_or(PARALLEL))
}

/// Adds the flags that give a password.
pub(crate) fn passwords(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name);
    command
        .arg(
            flag("password-file")
                .value_name("FILE")
                .help("Read the password from a file"),
        )
        .arg(
            flag("password-stdin")
                .action(ArgAction::SetTrue)
                .help("Read the password from standard input"),
        )
        .arg(flag("password").hide(true).num_args(0..=1))
}

/// The client that the flags and the environment describe. From here on, Ctrl-C cleans up.
///
/// # Errors
/// `Usage` for what cannot be understood, and those of reading the password.
pub(crate) fn client(matches: &ArgMatches, output: &Output) -> Result<Client> {
    let named = text(matches, "server");

    let saved = paired(named.as_deref(), output)?;

    let server: ServerUrl = match (&saved, &named) {
        (Some(saved), _) => saved.url.clone(),
        (None, Some(url)) => url.parse()?,
        (None, None) => DEFAULT_SERVER.parse()?,
    };

    let mut options = ClientOptions::new(server);
    options.trust = trust(matches, output)?;
    let by_known = matches!(options.trust, Trust::Known(_));

    // The pin of the pairing counts there, which is not what the other ways of trust ask for.
    if by_known {
        options.elsewhere = saved.as_ref().and_then(|saved| saved.elsewhere.clone());
    }

    // The pins of known servers are in the home, so only HTTPS to such a server needs one.
    options.home = match home::directory() {
        Ok(home) => Some(home),
        Err(error) if by_known && options.server.scheme() == Scheme::Https => return Err(error),
        Err(_) => None,
    };

    // Certificates are checked by the clock, which may be far behind on a device without a battery.
    if let Some(home) = &options.home {
        home::learn_time(home);
    }

    options.public_roots = public_roots();
    options.certificate = certificate(matches)?;

    // What is given now counts before the token of the pairing, and that before the password of a
    // server on this device.
    options.password = match (given_password(matches)?, saved) {
        (Some(password), None) => Some(password),
        (Some(password), Some(saved)) => {
            check_meaning(&saved, named.as_deref())?;
            Some(password)
        }
        (None, saved) => saved.map(|saved| token_of(saved, output)),
    };

    if options.password.is_none() {
        options.password = own_password(&options.server, options.home.as_deref())?;
    }

    // What was typed is the answer to a server that wanted a password.
    if let Some(typed) = output.typed_password() {
        options.password = Some(typed.clone());
    }

    if options.password.is_none() {
        output.calls_bare(options.server.to_string());
    }

    if is_set(matches, "send-password")? {
        options.password_over = PasswordOver::Anything;
    }

    if let Some(timeout) = time_limit(matches, "timeout")? {
        options.timeout = timeout;
    }

    if let Some(timeout) = time_limit(matches, "connect-timeout")? {
        options.connect_timeout = timeout;
    }

    // Signals are watched last: before, there are no unfinished files to remove.
    options.rate = rate(matches)?;
    signals::watch(output.interrupted_report())?;

    Client::new(options)
}

fn trust(matches: &ArgMatches, output: &Output) -> Result<Trust> {
    // The strictest counts first, so that a variable SKEP_INSECURE never weakens --pin or --ca.
    if let Some(pin) = text(matches, "pin") {
        return Ok(Trust::Pinned(pin.parse()?));
    }

    if let Some(file) = text(matches, "ca") {
        return Ok(Trust::Authority(file.into()));
    }

    // The warning cannot be silenced, since nothing else shows that the line is open to others.
    if is_set(matches, "insecure")? {
        output.warn(
            "--insecure: any server is trusted, and whoever answers can read and change everything",
        );
        return Ok(Trust::Anything);
    }

    Ok(Trust::Known(if is_set(matches, "accept-new")? {
        FirstUse::Accept
    } else {
        ask::first_use()
    }))
}

/// What is shown to a server that wants to see a certificate. The variables have names of their own:
/// those of the flags are the ones of `skep serve`.
fn certificate(matches: &ArgMatches) -> Result<Option<ClientCertificate>> {
    // The paths are only named here; the client reads the files when it is built.
    let path = |flag: &str, name| {
        let given = matches.get_one::<String>(flag).cloned();
        given.or_else(|| variable(name)).map(PathBuf::from)
    };

    let missing = |what: &str, there: &str| {
        let text = format!("{there} is given, but {what} is missing");
        Err(Error::new(ErrorKind::Usage, text).hint("give both, or neither of them"))
    };

    match (
        path("client-cert", "SKEP_CLIENT_CERT"),
        path("client-key", "SKEP_CLIENT_KEY"),
    ) {
        (Some(cert_file), Some(key_file)) => Ok(Some(ClientCertificate {
            cert_file,
            key_file,
        })),
        (Some(_), None) => missing("--client-key", "--client-cert"),
        (None, Some(_)) => missing("--client-cert", "--client-key"),
        (None, None) => Ok(None),
    }
}

/// Where systems keep the public authorities; Termux has them under its prefix.
fn public_roots() -> Vec<PathBuf> {
    let named = variable("SSL_CERT_FILE").map(PathBuf::from);
    let termux = variable("PREFIX").map(|prefix| Path::new(&prefix).join("etc/tls/cert.pem"));
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"].map(PathBuf::from);
    named.into_iter().chain(termux).chain(usual).collect()
}

/// The value of a flag, or of its environment variable.
pub(crate) fn text(matches: &ArgMatches, flag: &str) -> Option<String> {
    let given = matches.try_get_one::<String>(flag).ok().flatten().cloned();
    given.or_else(|| variable(&variable_name(flag)))
}

pub(crate) fn time(matches: &ArgMatches, flag: &str) -> Result<Option<Duration>> {
    read(matches, flag, duration)
}

/// A limit of time, as [`time`]; without a limit, it is the longest time that there is.
pub(crate) fn time_limit(matches: &ArgMatches, flag: &str) -> Result<Option<Duration>> {
    let time = read(matches, flag, duration_or_none)?;
    Ok(time.map(|time| if time.is_zero() { DURATION_MAX } else { time }))
}

fn rate(matches: &ArgMatches) -> Result<Option<u64>> {
    // Only some verbs have this flag, and its variable is only for them.
    if matches.try_contains_id("limit-rate").is_err() {
        return Ok(None);
    }
    Ok(read(matches, "limit-rate", bytes_or_none)?.filter(|rate| *rate > 0))
}

/// Reads the value of a flag or of its variable; an error names the one that it came from.
pub(crate) fn read<T>(
    matches: &ArgMatches,
    flag: &str,
    reader: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>> {
    let value = text(matches, flag).map(|text| reader(&text)).transpose();
    value.map_err(|reason| {
        let text = match matches.try_get_one::<String>(flag) {
            Ok(None) => format!("the variable {}: {reason}", variable_name(flag)),
            _ => format!("--{flag}: {reason}"),
        };
        Error::new(ErrorKind::Usage, text)
    })
}

/// What servers with few places have room for, and enough to fill most lines with small files.
const PARALLEL: usize = 4;

/// More than a server gives to one caller.
const PARALLEL_MORE: usize = 65;

pub(crate) const DEFAULT_SERVER: &str = "https://127.0.0.1:8443";

/// The level of the log: `--log-level` counts before `-v`, and that before `default`.
///
/// # Errors
/// `Usage` if there is no such level.
pub(crate) fn log_level(matches: &ArgMatches, default: LevelFilter) -> Result<LevelFilter> {
    match text(matches, "log-level") {
        Some(name) => name.parse().map_err(|_| {
            Error::new(ErrorKind::Usage, format!("there is no log level '{name}'"))
                .hint("use error, warn, info, debug, trace or off")
        }),
        None => Ok((0..matches.get_count("verbose")).fold(default, |level, _| more(level))),
    }
}

fn more(level: LevelFilter) -> LevelFilter {
    match level {
        LevelFilter::Off => LevelFilter::Error,
        LevelFilter::Error => LevelFilter::Warn,
        LevelFilter::Warn => LevelFilter::Info,
        LevelFilter::Info => LevelFilter::Debug,
        LevelFilter::Debug | LevelFilter::Trace => LevelFilter::Trace,
    }
}
