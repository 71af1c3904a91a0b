// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where values come from: the file, the environment, the command line, each over the one before.

use std::ffi::OsString;

use crate::config::configuration::Config;
use crate::config::settings::{Effect, Section, Setting, settings};
use crate::config::table::Table;
use crate::config::written::{Effective, Origin};
use crate::error::{Error, ErrorKind, Result};

/// Values from one source.
#[derive(Debug, Default)]
pub struct Layer {
    values: Vec<(&'static Setting, String, Origin)>,
    tables: Vec<Table>,
}

impl Layer {
    /// What the environment says: `SKEP_...`, or a variable of the dearning server where ours is not
    /// set. An empty variable counts as not set.
    ///
    /// # Errors
    /// `Usage` for a value that is not UTF-8.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The same for any source of variables.
    ///
    /// # Errors
    /// `Usage` for a value that is not UTF-8.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut layer = Self::default();

        for (_, setting) in settings() {
            // The variable of this program comes first; that of the dearning server only fills a
            // gap.
            let names = [Some(setting.variable()), setting.legacy.map(str::to_owned)];
            let set = names.into_iter().flatten().find_map(|name| {
                let value = variable(&name).filter(|value| !value.is_empty())?;
                Some((name, value))
            });
            let Some((name, value)) = set else { continue };

            let value = value.into_string().map_err(|_| {
                let text = format!("the value of the variable {name} is not UTF-8");
                Error::new(ErrorKind::Usage, text)
            })?;
            layer.push(setting, value, Origin::Variable(name));
        }

        Ok(layer)
    }

    /// Adds what was said by the flag of a setting.
    pub fn set_flag(&mut self, setting: &'static Setting, value: String) {
        self.push(setting, value, Origin::Flag(setting.key));
    }

    /// Adds what was said by an argument of the command line that is no flag.
    pub(crate) fn set_argument(
        &mut self,
        name: &'static str,
        setting: &'static Setting,
        value: String,
    ) {
        self.push(setting, value, Origin::Argument(name));
    }

    pub(crate) fn push(&mut self, setting: &'static Setting, value: String, origin: Origin) {
        self.values.push((setting, value, origin));
    }

    /// Where this source has said something of a setting, if it has.
    pub(crate) fn origin(&self, key: &str) -> Option<&Origin> {
        let (_, _, origin) = self
            .values
            .iter()
            .find(|(setting, _, _)| setting.key == key)?;
        Some(origin)
    }

    pub(crate) fn push_table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Whether this source says nothing.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.tables.is_empty()
    }
}

impl Config {
    /// Takes the values of a layer; what it does not mention stays.
    ///
    /// # Errors
    /// `Usage` for a value that cannot be read, with its origin and how to write it.
    pub fn take(&mut self, layer: &Layer) -> Result<()> {
        self.take_all(layer).into_iter().next().map_or(Ok(()), Err)
    }

    /// The same, with an error for each value that cannot be read.
    pub(crate) fn take_all(&mut self, layer: &Layer) -> Vec<Error> {
        let mut wrong = Vec::new();

        for (setting, value, origin) in &layer.values {
            if let Err(reason) = setting.take(self, value) {
                let text = format!(
                    "{origin}: '{value}' is not a valid value for {}: {reason}",
                    setting.key
                );
                wrong.push(Error::new(ErrorKind::Usage, text));
                continue;
            }
            // The text stays beside the value: `skep config` shows it, and a reload compares it.
            self.written.set(setting.key, setting.shown(value), origin);
        }

        self.tables.extend(layer.tables.iter().cloned());

        wrong
    }

    /// What is in force for every setting, with its section: what was taken from layers, else the
    /// default. Fields that a program has set itself do not show here.
    pub fn effective(&self) -> Vec<(&'static Section, &'static Setting, Effective)> {
        settings()
            .map(|(section, setting)| {
                let effective = self.written.effective(setting.key, setting.default);
                (section, setting, effective)
            })
            .collect()
    }

    /// The settings that a newer configuration writes differently and whose change has this effect.
    pub(crate) fn changed(&self, newer: &Self, effect: Effect) -> Vec<&'static str> {
        let text = |config: &Self, setting: &Setting| {
            config.written.effective(setting.key, setting.default).text
        };
        settings()
            .map(|(_, setting)| setting)
            .filter(|setting| setting.effect == effect)
            .filter(|setting| text(self, setting) != text(newer, setting))
            .map(|setting| setting.key)
            .collect()
    }
}
