// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep serve`: runs a node until a signal ends it.

use clap::{Arg, ArgAction, ArgMatches, Command};
use log::LevelFilter;
use serde_json::json;

use crate::cli::flags::{activation, args};
use crate::cli::terminal::{Output, signals};
use crate::config::{Config, Layer, SETTINGS, Setting};
use crate::error::Result;
use crate::home;
use crate::logging::{Style, logger};
use crate::node::{Node, PasswordOrigin};

pub(crate) fn arguments(command: Command) -> Command {
    let addresses = Arg::new("address")
        .value_name("ADDRESS")
        .num_args(0..)
        .help(ADDRESSES);
    let command = args::passwords(command.before_help(EXAMPLES).arg(addresses));
    SETTINGS
        .iter()
        .fold(command, |command, setting| command.arg(flag(setting)))
}

fn flag(setting: &'static Setting) -> Arg {
    let flag = Arg::new(setting.key)
        .long(setting.key)
        .help_heading("Settings");
    let variable = setting.variable();
    if setting.is_switch() {
        let help = format!("{} [variable: {variable}]", setting.help);
        return flag.action(ArgAction::SetTrue).help(help);
    }
    let help = match setting.default {
        "" => format!("{} [variable: {variable}]", setting.help),
        default => format!(
            "{} [default: {default}, variable: {variable}]",
            setting.help
        ),
    };
    flag.value_name(setting.value).help(help)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let level = if crate::cli::flags::is_set(matches, "quiet")? {
        LevelFilter::Warn
    } else {
        LevelFilter::Info
    };
    logger::start(args::log_level(matches, level)?, Style::Stamped);
    let mut config = read(matches)?;
    activation::take_over(&mut config)?;
    config.check()?;
    logger::configure(&config.log)?;
    let node = Node::open(config, args::given_password(matches)?)?;
    let (reload, matches) = (node.reload(), matches.clone());
    signals::serve(node.shutdown(), move || {
        let applied = read(&matches).and_then(|mut config| {
            activation::leave_out(&mut config);
            config.check()?;
            logger::reopen(&config.log)?;
            reload.apply(config)
        });
        match applied {
            Ok(waiting) if waiting.is_empty() => log::info!("the settings were read again"),
            Ok(waiting) => {
                let waiting = waiting.join(", ");
                log::warn!("the settings were read again; {waiting} will count at the next start");
            }
            Err(error) => log::error!("the settings stay as they were: {error}"),
        }
    })?;
    greet(&node, output)?;
    node.run()
}

/// Reads the settings from all layers.
fn read(matches: &ArgMatches) -> Result<Config> {
    let mut config = settings()?;
    config.take(&flags(matches))?;
    if let Some(addresses) = matches.get_many::<String>("address") {
        config.addresses = addresses.cloned().collect();
    }
    Ok(config)
}

/// The settings of a server of this home, as far as they do not stand on its command line.
///
/// # Errors
/// `Usage` for what cannot be read.
pub(crate) fn settings() -> Result<Config> {
    let mut config = Config::new(home::directory()?);
    config.take(&Layer::from_file(&config.home.join(CONFIG))?)?;
    config.take(&Layer::from_environment()?)?;
    Ok(config)
}

fn flags(matches: &ArgMatches) -> Layer {
    let mut layer = Layer::default();
    for setting in SETTINGS {
        if setting.is_switch() {
            if matches.get_flag(setting.key) {
                layer.set_flag(setting, "true".to_owned());
            }
        } else if let Some(value) = matches.get_one::<String>(setting.key) {
            layer.set_flag(setting, value.clone());
        }
    }
    layer
}

/// Says that the node is ready: one line for scripts on standard output, and what to do next for
/// people on standard error.
fn greet(node: &Node, output: &Output) -> Result<()> {
    let urls = node.urls();
    let url = urls.first().map(String::as_str).unwrap_or_default();
    let pin = node.pin().map(|pin| pin.to_string());
    let directory = node.directory().display().to_string();
    let models = node.store().list()?.len();
    let fp = pin
        .as_ref()
        .map(|pin| format!("fp={pin} "))
        .unwrap_or_default();
    output.line(&format!(
        "skep ready {url} {fp}dir={directory} models={models} mode={MODE}"
    ))?;
    output.json(&json!({
        "schema": 1,
        "ready": true,
        "url": url,
        "urls": urls,
        "fp": pin,
        "dir": directory,
        "models": models,
        "mode": MODE,
    }))?;
    match node.password() {
        PasswordOrigin::Given => {}
        PasswordOrigin::Kept(path) => {
            output.note(&format!("the password is in {}", path.display()));
        }
        PasswordOrigin::Made(path, password) => output.note(&format!(
            "made the password {} and kept it in {}",
            password.text(),
            path.display()
        )),
    }
    let server = if url == args::DEFAULT_SERVER {
        ""
    } else {
        &format!(" --server {url}")
    };
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
        if node.pin().is_some() {
            output.note(&format!(
                "               or without, by invitation: {program} invite"
            ));
        }
    }
    Ok(())
}

/// The network mode of the dearning server in which addresses are used as they are given (seed D50).
const MODE: &str = "internal";

/// The file of settings in the home.
const CONFIG: &str = "config.toml";

const ADDRESSES: &str = "\
Where to listen: 127.0.0.1, 0.0.0.0:8443, [::1]:0, [fe80::1%wlan0], unix:/run/skep/socket, \
unix:auto, unix:@name, fd:3, systemd: (the sockets of its socket unit)";

const EXAMPLES: &str = "\
Examples:
  skep serve                        all addresses, port 8443, HTTPS, models in dm_models
  skep serve 127.0.0.1 --port 0     this device only, a free port (see the ready line)
  skep serve --dir /srv/models 192.168.1.10:443";
