// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was written for each setting, and where.

use std::collections::BTreeMap;
use std::fmt;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// A line of a file, as `FILE, line N`.
    Line(String),
    /// A variable of this name.
    Variable(String),
    /// The flag of this setting.
    Flag(&'static str),
    /// An argument of the command line that is no flag, for example ADDRESS.
    Argument(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line(place) => f.write_str(place),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(key) => write!(f, "--{key}"),
            Self::Argument(name) => write!(f, "{name} on the command line"),
        }
    }
}

/// What is in force for one setting: the text as one would write it, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The value as it was written.
    pub text: String,
    /// Where it was written.
    pub origin: Origin,
}

/// The values that were taken from layers, by the key of their setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(BTreeMap<&'static str, Effective>);

impl Written {
    /// Puts a value over the one that was there.
    pub(crate) fn set(&mut self, key: &'static str, text: &str, origin: &Origin) {
        let effective = Effective {
            text: text.to_owned(),
            origin: origin.clone(),
        };
        self.0.insert(key, effective);
    }

    /// What is in force for the setting of this key, whose default this is.
    pub(crate) fn effective(&self, key: &str, default: &str) -> Effective {
        let of_default = || Effective {
            text: default.to_owned(),
            origin: Origin::Default,
        };
        self.0.get(key).cloned().unwrap_or_else(of_default)
    }
}
