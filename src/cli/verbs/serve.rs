// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep serve`: runs a node until a signal ends it.

use clap::{Arg, ArgMatches, Command};
use log::LevelFilter;
use serde_json::json;

use crate::cli::flags::{activation, args, given_password, node_settings};
use crate::cli::terminal::Output;
use crate::cli::terminal::signals::ServerSignals;
use crate::error::Result;
use crate::home;
use crate::logging::{self, Style, logger};
use crate::node::{Confined, Node, PasswordOrigin};

pub(crate) fn arguments(command: Command) -> Command {
    let addresses = Arg::new("address")
        .value_name("ADDRESS")
        .num_args(0..)
        .help(ADDRESSES);
    let command = args::passwords(command.before_help(EXAMPLES).arg(addresses));
    node_settings::arguments(command)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let level = if crate::cli::flags::is_set(matches, "quiet")? {
        LevelFilter::Warn
    } else {
        LevelFilter::Info
    };

    // First of all, so that reading the settings can log.
    logger::start(args::log_level(matches, level)?, Style::Stamped);
    let signals = ServerSignals::catch()?;
    let mut config = node_settings::read(matches)?;
    activation::take_over(&mut config)?;
    config.check()?;

    // A password may come from any file, and threads that run already would not be confined.
    let password = given_password(matches)?;
    let confined = Confined::begin(&config)?;

    // Only now it is known where the log goes; until here it went to standard error.
    logger::configure(&config.log)?;
    let is_self_signed = config.cert_file.is_none();
    let mut node = Node::open(config, password)?;
    confined.tell();

    // A reload reads all layers again, so it needs the command line, too.
    let (reload, matches) = (node.reload(), matches.clone());

    signals.serve(node.shutdown(), move || {
        let applied = node_settings::read(&matches).and_then(|mut config| {
            // The sockets of systemd are in use and cannot be taken a second time.
            activation::leave_out(&mut config);
            config.check()?;
            confined.check(&config)?;
            logger::reopen(&config.log)?;
            reload.apply(config)
        });
        match applied {
            Ok(waiting) if waiting.is_empty() => log::info!("the settings were read again"),
            Ok(waiting) => {
                let waiting = waiting.join(", ");
                log::warn!(
                    "the settings were read again; {waiting} will take effect at the next start"
                );
            }
            Err(error) => log::error!("the settings stay as they were: {error}"),
        }
    })?;

    // After the signals: a script may send one as soon as it has read the ready line. Whoever connects is
    // answered before that is put together.
    node.begin()?;
    match greet(&node, is_self_signed, output) {
        // Nobody reads that it is ready, but there may be callers all the same.
        Err(_) if output.is_closed() => {
            log::warn!("nobody reads the standard output");
            output.go_on_unread();
        }
        greeted => greeted?,
    }

    node.run()
}

/// Says that the node is ready: one line for scripts on standard output, and what to do next for
/// people on standard error.
fn greet(node: &Node, is_self_signed: bool, output: &Output) -> Result<()> {
    let urls = node.urls();
    let url = urls.first().map(String::as_str).unwrap_or_default();
    let pin = node.pin().map(|pin| pin.to_string());
    let directory = node.directory().display().to_string();
    let models = node.store().totals()?.models;

    // What the log says of the start comes before what is said here.
    logging::flush();

    let fp = pin
        .as_ref()
        .map(|pin| format!("fp={pin} "))
        .unwrap_or_default();

    // Scripts wait for this line and read it, so its form is part of the interface.
    output.line(&format!(
        "skep ready {url} {fp}dir={directory} models={models} mode={MODE}"
    ))?;

    output.json_now(&json!({
        "schema": 1,
        "ready": true,
        "url": url,
        "urls": urls,
        "digest": pin.map(|pin| pin.to_string().to_lowercase()),
        "dir": directory,
        "models": models,
        "mode": MODE,
    }))?;

    match node.password() {
        PasswordOrigin::Given => {}
        PasswordOrigin::Kept(path) => {
            output.note(&format!("the password is in {}", path.display()));
        }

        // Printed once, when it is made, and to a person only: a journal would keep it for others to read.
        PasswordOrigin::Made(path, _) if !output.has_reader() => {
            output.note(&format!(
                "made a password and kept it in {}",
                path.display()
            ));
        }
        PasswordOrigin::Made(path, password) => output.note(&format!(
            "made the password {} and kept it in {}",
            password.text(),
            path.display()
        )),
    }

    if is_self_signed && node.pin().is_some() {
        output.note(BROWSERS);
    }

    // Without an address, the first paired server would be meant.
    let has_paired = home::SERVERS
        .read(&home::directory()?)
        .is_ok_and(|text| text.lines().any(|line| !line.trim().is_empty()));
    let server = if url == args::DEFAULT_SERVER && !has_paired {
        ""
    } else {
        &format!(" --server {url}")
    };

    // As it was called, so that the commands work where skep is not in the PATH.
    let program = std::env::args().next().unwrap_or_else(|| "skep".to_owned());
    output.note(&format!(
        "try next, in another terminal: {program} put FILE{server}"
    ));

    output.note(&format!(
        "                         then: {program} get NAME{server}"
    ));

    if let Some(outside) = node.outside_url() {
        output.note(&format!(
            "from another device, with that password: --server {outside}"
        ));

        // An invitation has the pin in it, so there is none without TLS.
        if node.pin().is_some() {
            output.note(&format!(
                "               or without, by invitation: {program} invite"
            ));
        }
    }

    Ok(())
}

/// The network mode of the dearning server in which addresses are used as they are given.
const MODE: &str = "internal";

const BROWSERS: &str = "\
browsers warn of this certificate, which no authority signed: compare its key with fp= above; on a network that you trust, \
--plain needs none ('skep help security')";

const ADDRESSES: &str = "\
Where to listen: 127.0.0.1, *:8443 (all addresses), 0.0.0.0:8443 (those of IPv4), [::1]:0, [fe80::1%wlan0], unix:/run/skep/socket, \
unix:auto, unix:@name, fd:3, systemd: (the sockets of its socket unit); http:// or https:// in front \
says what is spoken there, whatever the others speak";

const EXAMPLES: &str = "\
Examples:
  skep serve                        all addresses, port 8443, HTTPS, models in dm_models
  skep serve 127.0.0.1 --port 0     this device only, a free port (see the ready line)
  skep serve --dir /srv/models 192.168.1.10:443";
