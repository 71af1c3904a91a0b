// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The settings of a server on the command line, and all layers that they come from.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::switch::has_strict_modes;
use crate::config::{Config, Layer, Setting, settings};
use crate::error::Result;
use crate::home;

/// Adds a flag for each setting.
pub(crate) fn arguments(command: Command) -> Command {
    settings().fold(command, |command, (_, setting)| command.arg(flag(setting)))
}

fn flag(setting: &'static Setting) -> Arg {
    // clap gets neither the variable nor the default: layers remember where a value was written.
    let flag = Arg::new(setting.key)
        .long(setting.key)
        .help_heading("Settings");

    let variable = setting.variable();

    if setting.is_switch() {
        let help = format!("{} [variable: {variable}]", setting.help);
        return flag.action(ArgAction::SetTrue).help(help);
    }

    let about = setting.about();
    let help = match setting.default {
        "" => format!("{about} [variable: {variable}]"),
        default => format!("{about} [default: {default}, variable: {variable}]"),
    };

    // A number below zero is told to be one, instead of being taken for a flag.
    flag.value_name(setting.value)
        .allow_negative_numbers(true)
        .help(help)
}

/// Reads the settings from all layers: the file of the home, the environment, the command line.
///
/// # Errors
/// `Usage` for what cannot be read.
pub(crate) fn read(matches: &ArgMatches) -> Result<Config> {
    let mut config = of_home()?;
    config.take(&flags(matches))?;
    Ok(config)
}

/// The settings of a server of this home, as far as they do not stand on its command line.
///
/// # Errors
/// `Usage` for what cannot be read.
pub(crate) fn of_home() -> Result<Config> {
    let mut config = Config::new(home::directory()?);
    config.strict_modes = has_strict_modes()?;
    config.take(&Layer::from_file(&home::CONFIG.path(&config.home))?)?;
    config.take(&Layer::from_environment()?)?;
    Ok(config)
}

fn flags(matches: &ArgMatches) -> Layer {
    let mut layer = Layer::default();

    for (_, setting) in settings() {
        if setting.is_switch() {
            // A switch that is absent says nothing, because a lower layer may have it on.
            if matches.get_flag(setting.key) {
                layer.set_flag(setting, "true".to_owned());
            }
        } else if let Some(value) = matches.get_one::<String>(setting.key) {
            layer.set_flag(setting, value.clone());
        }

        // Arguments without a flag are addresses, too; only `skep serve` takes them.
        if setting.key == "listen"
            && let Ok(Some(addresses)) = matches.try_get_many::<String>("address")
        {
            let addresses: Vec<_> = addresses.cloned().collect();
            layer.set_argument("ADDRESS", setting, addresses.join(","));
        }
    }

    layer
}
