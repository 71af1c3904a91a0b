// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where values come from: the file, the environment, the command line, each over the one before.

use std::ffi::OsString;
use std::fmt;

use super::setting::{SETTINGS, Setting};
use crate::error::{Error, ErrorKind, Result};

/// Values from one source.
#[derive(Default)]
pub struct Layer(Vec<(&'static Setting, String, Origin)>);

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file.
    Line(String),
    /// A variable of this name.
    Variable(String),
    /// The flag of this setting.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(place) => f.write_str(place),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(key) => write!(f, "--{key}"),
        }
    }
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
        for setting in SETTINGS {
            let names = [Some(setting.variable()), setting.legacy.map(str::to_owned)];
            let set = names.into_iter().flatten().find_map(|name| {
                let value = variable(&name).filter(|value| !value.is_empty())?;
                Some((name, value))
            });
            let Some((name, value)) = set else { continue };
            let value = value.into_string().map_err(|_| {
                Error::new(
                    ErrorKind::Usage,
                    format!("the variable {name} is not UTF-8"),
                )
            })?;
            layer.push(setting, value, Origin::Variable(name));
        }
        Ok(layer)
    }

    /// Adds what was said by the flag of a setting.
    pub fn set_flag(&mut self, setting: &'static Setting, value: String) {
        self.push(setting, value, Origin::Flag(setting.key));
    }

    pub(crate) fn push(&mut self, setting: &'static Setting, value: String, origin: Origin) {
        self.0.push((setting, value, origin));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static Setting, &str, &Origin)> {
        self.0
            .iter()
            .map(|(setting, value, origin)| (*setting, value.as_str(), origin))
    }
}
