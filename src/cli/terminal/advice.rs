// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a command knows of the errors that it may meet: what they mean here, and what helps.

use std::cell::RefCell;

use crate::error::{Error, ErrorKind};

/// Hints that take the place of those that an error brings along.
#[derive(Default)]
pub(crate) struct Advice(RefCell<Vec<(ErrorKind, Option<String>, String)>>);

impl Advice {
    /// Says what errors of this kind mean, where that is known better, and what helps.
    pub(crate) fn give(&self, kind: ErrorKind, meaning: Option<String>, hint: String) {
        self.0.borrow_mut().push((kind, meaning, hint));
    }

    /// An error with the advice that there is.
    pub(crate) fn on(&self, error: &Error) -> Option<Error> {
        let advice = self.0.borrow();
        let (kind, meaning, hint) = advice.iter().find(|(kind, ..)| *kind == error.kind())?;
        // What is known of the very case, such as of a certificate, says more.
        let is_general = error.hint_text().is_none_or(|hint| hint.contains("SKEP_"));
        if meaning.is_some() && !is_general {
            return None;
        }
        let message = meaning.as_deref().unwrap_or(error.message());
        Some(Error::new(*kind, message).hint(hint))
    }
}
