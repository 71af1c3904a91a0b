// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is said of the models that are sent: licence, source, and keys with values.

use std::collections::BTreeMap;

use crate::text::{field_value, list_value};

/// What is said of all models that a client sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelDescription {
    pub(crate) license: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) meta: BTreeMap<String, String>,
}

impl ModelDescription {
    /// The fields that say it.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        for (field, said) in [
            ("skep-license", &self.license),
            ("skep-source", &self.source),
        ] {
            if let Some(said) = said {
                fields.push((field, field_value(said).into_owned()));
            }
        }

        let pairs = self.meta.iter();
        let pairs: Vec<_> = pairs
            .map(|(key, value)| format!("{key}={}", list_value(value)))
            .collect();
        if !pairs.is_empty() {
            fields.push(("skep-meta", pairs.join(", ")));
        }
        fields
    }
}
