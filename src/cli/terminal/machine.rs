// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `--json` prints: one object for each command, with what went wrong in it.

use std::cell::{Cell, RefCell};

use serde_json::{Value, json};

use crate::error::Error;
use crate::text::json_escaped;

/// Collects the object of a command, which is printed at its end.
#[derive(Default)]
pub(crate) struct JsonReport {
    /// What the command tells.
    value: RefCell<Option<Value>>,
    /// The first failure, which decides the exit code.
    error: RefCell<Option<Value>>,
    /// Items that failed, by name.
    failed: RefCell<Vec<Value>>,
    /// What was left out or could not be verified.
    incomplete: RefCell<Vec<Value>>,
    /// Whether standard output has bytes of models, among which no JSON may get.
    is_taken: Cell<bool>,
}

impl JsonReport {
    pub(crate) fn tell(&self, value: Value) {
        *self.value.borrow_mut() = Some(value);
    }

    pub(crate) fn fail(&self, error: &Error) {
        self.error.borrow_mut().get_or_insert_with(|| object(error));
    }

    pub(crate) fn fail_item(&self, name: &str, error: &Error) {
        let item = json!({"name": name, "error": object(error)});
        self.failed.borrow_mut().push(item);
    }

    pub(crate) fn leave_out(&self, text: &str) {
        self.incomplete.borrow_mut().push(json!(text));
    }

    pub(crate) fn take_output(&self) {
        self.is_taken.set(true);
    }

    /// The line, if there is something to say.
    pub(crate) fn line(&self) -> Option<String> {
        if self.is_taken.get() {
            return None;
        }

        let error = self.error.take();
        let value = self.value.take();
        let mut value = match (value, &error) {
            (None, None) => return None,
            (value, _) => value.unwrap_or_else(|| json!({"schema": 1})),
        };

        // Members that a command without failures has no use for are left out.
        for (name, list) in [
            ("failed", self.failed.take()),
            ("incomplete", self.incomplete.take()),
        ] {
            if !list.is_empty() {
                value[name] = Value::Array(list);
            }
        }
        if let Some(error) = error {
            value["error"] = error;
        }

        Some(json_escaped(&value.to_string()).into_owned())
    }
}

/// An error as `--json` shows it.
fn object(error: &Error) -> Value {
    let kind = error.kind();
    let mut title = kind.code().replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }

    json!({
        "kind": kind.code(),
        "title": title,
        "detail": error.message(),
        "hint": error.hint_text(),
        "status": kind.status(),
        "exit": kind.exit_code(),
    })
}
