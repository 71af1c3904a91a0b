// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One setting: its name, its flag and variable, its help, when a change of it counts, and how it is read.

use std::fmt;
use std::path::PathBuf;

use crate::address::Network;
use crate::config::configuration::Config;
use crate::text::{NONE, bytes, is_none, switch};

/// One setting. Its flag is `--KEY`, its variable `SKEP_KEY` in capitals with underscores, and in
/// `config.toml` it is `KEY = VALUE`, at the top or in the table of its section.
#[derive(Debug)]
pub struct Setting {
    /// The name, in lower case with hyphens.
    pub key: &'static str,
    /// What the value is, for help texts; empty for a switch.
    pub value: &'static str,
    /// The default, as a user would write it.
    pub default: &'static str,
    /// A variable of the dearning server that is read where ours is not set.
    pub legacy: Option<&'static str>,
    /// What it does, in one line.
    pub help: &'static str,
    /// What `none` means, which is the same as `0`; where there is nothing here, there is no `none`.
    pub off: Option<&'static str>,
    /// When a value that was changed counts in a server that runs.
    pub effect: Effect,
    pub(crate) apply: Apply,
    /// Why a limit cannot be switched off.
    stays: Option<&'static str>,
}

/// When a setting that was changed counts after the settings were read again (SIGHUP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// For everything that happens from then on.
    AtOnce,
    /// For connections that come from then on; those that are open keep the old value.
    NewConnections,
    /// When the server is started the next time.
    NextStart,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "at once",
            Self::NewConnections => "new connections",
            Self::NextStart => "next start",
        })
    }
}

/// Reads a value and puts it where it belongs; an error says how to write such a value.
pub(crate) type Apply = fn(&mut Config, &str) -> Result<(), String>;

impl Setting {
    /// The name of its variable.
    pub fn variable(&self) -> String {
        format!("SKEP_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether it is on or off, without a value.
    pub fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Whether it is true or false, be that behind its flag or by its presence.
    pub(crate) fn is_boolean(&self) -> bool {
        matches!(self.default, "true" | "false")
    }

    /// What it does and what `none` means, in one line.
    pub fn about(&self) -> String {
        match self.off {
            Some(off) => format!("{}; {NONE}: {off}", self.help),
            None => self.help.to_owned(),
        }
    }

    /// Reads a value and puts it where it belongs; an error says how to write such a value.
    pub(crate) fn take(&self, config: &mut Config, text: &str) -> Result<(), String> {
        if let Some(reason) = self.stays
            && text.trim().eq_ignore_ascii_case(NONE)
        {
            return Err(format!("it cannot be switched off: {reason}"));
        }
        (self.apply)(config, text)
    }

    /// A value that could be read, as it is shown.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> &'a str {
        match switch(text) {
            Ok(true) if self.is_boolean() => "true",
            Ok(false) if self.is_boolean() => "false",
            _ if self.off.is_some() && is_none(text) => NONE,
            _ => text,
        }
    }

    pub(crate) const fn off(mut self, means: &'static str) -> Self {
        self.off = Some(means);
        self
    }

    pub(crate) const fn stays(mut self, reason: &'static str) -> Self {
        self.stays = Some(reason);
        self
    }

    pub(crate) const fn legacy(mut self, variable: &'static str) -> Self {
        self.legacy = Some(variable);
        self
    }
}

pub(crate) const fn row(
    key: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
    effect: Effect,
    apply: Apply,
) -> Setting {
    Setting {
        key,
        value,
        default,
        // Only few settings have one; `Setting::legacy` adds it.
        legacy: None,
        help,
        // Few numbers can be zero, or say why not.
        off: None,
        stays: None,
        effect,
        apply,
    }
}

/// Reads a value and puts it into a field of the configuration.
macro_rules! set {
    ($read:ident, $($place:ident).+) => {
        |config, text| {
            config.$($place).+ = $read(text)?;
            Ok(())
        }
    };
}
pub(crate) use set;

/// A path; an empty one is none.
pub(crate) fn path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    whole_path(text).map(Some)
}

/// A path as it is opened. A folder of the name `~` is not what anybody means.
pub(crate) fn whole_path(text: &str) -> Result<PathBuf, String> {
    if text == "~" || text.starts_with("~/") {
        return Err("only a shell knows what ~ means; write the whole path".to_owned());
    }
    Ok(text.into())
}

/// A size that has to fit into memory.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "it is too large for this device".to_owned())
}

/// A list with commas; blanks around its items and empty items do not count.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all readers of values have one form"
)]
pub(crate) fn list(text: &str) -> Result<Vec<String>, String> {
    let items = text.split(',').map(str::trim);
    let items = items.filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

/// A list of addresses and networks.
pub(crate) fn networks(text: &str) -> Result<Vec<Network>, String> {
    list(text)?.iter().map(|network| network.parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_begins_with_the_shells_word_for_the_home() {
        assert!(path("~/models").is_err() && whole_path("~").is_err());
        assert_eq!(whole_path("~x").unwrap(), PathBuf::from("~x"));
        assert_eq!(path("").unwrap(), None);
    }
}
