// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Saying something of the models that are sent.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::client::model_description::ModelDescription;
use crate::error::{Error, ErrorKind, Result};
use crate::text::quotable;

impl Client {
    /// Says of all models that are sent from now on under which licence they are, where they come from, and
    /// what else is to be known of them, by keys. The server has the last word on what can be a key.
    ///
    /// # Errors
    /// `Usage` for texts with control characters, and for keys that are no words; what was said before then
    /// stays.
    pub fn describe(
        &mut self,
        license: Option<&str>,
        source: Option<&str>,
        meta: &BTreeMap<String, String>,
    ) -> Result<()> {
        let refused = |text: String| Err(Error::new(ErrorKind::Usage, text));

        for said in license.into_iter().chain(source) {
            if said.contains(char::is_control) {
                return refused(
                    "the licence or the source has a control character in it".to_owned(),
                );
            }
        }
        for (key, value) in meta {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if key.is_empty() || !key.bytes().all(is_word) {
                return refused(format!("'{}' cannot be a key", quotable(key)));
            }
            if value.contains(char::is_control) {
                return refused(format!(
                    "the value of '{key}' has a control character in it"
                ));
            }
        }

        self.about = ModelDescription {
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
            meta: meta.clone(),
        };
        Ok(())
    }
}
