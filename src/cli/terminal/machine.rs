// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `--json` prints: one object for each command, with what went wrong in it, also where a signal ends
//! the command.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::text::json_escaped;
use crate::threads::lock;

/// Collects the object of a command, which is printed at its end. Clones share it: a signal comes to another
/// thread than that of the command.
#[derive(Clone, Default)]
pub(crate) struct JsonReport(Arc<Mutex<JsonState>>);

#[derive(Default)]
struct JsonState {
    /// What the command tells.
    value: Option<Value>,
    /// What it has done so far, under the name of the list.
    list: Option<(&'static str, Vec<Value>)>,
    /// The first failure, which decides the exit code.
    error: Option<Value>,
    /// Items that failed, by name.
    failed: Vec<Value>,
    /// What was left out or could not be verified.
    incomplete: Vec<Value>,
    /// Whether standard output has bytes of models, among which no JSON may get.
    is_taken: bool,
    /// Whether the object was printed.
    is_printed: bool,
    /// Whether a signal ends the command, which has told all that there is to tell.
    is_interrupted: bool,
}

impl JsonReport {
    pub(crate) fn tell(&self, value: Value) {
        lock(&self.0).value = Some(value);
    }

    /// The object is a list of what the command does, which begins here.
    pub(crate) fn begin_list(&self, name: &'static str) {
        lock(&self.0).list = Some((name, Vec::new()));
    }

    pub(crate) fn tell_item(&self, item: Value) {
        if let Some((_, list)) = &mut lock(&self.0).list {
            list.push(item);
        }
    }

    pub(crate) fn fail(&self, error: &Error) {
        lock(&self.0).error.get_or_insert_with(|| object(error));
    }

    pub(crate) fn fail_item(&self, name: &str, error: &Error) {
        let item = json!({"name": name, "error": object(error)});
        lock(&self.0).failed.push(item);
    }

    pub(crate) fn leave_out(&self, text: &str) {
        lock(&self.0).incomplete.push(json!(text));
    }

    pub(crate) fn take_output(&self) {
        lock(&self.0).is_taken = true;
    }

    /// The line, if there is something to say.
    pub(crate) fn line(&self) -> Option<String> {
        lock(&self.0).line()
    }

    /// Prints the line, if there is something to say; meanwhile no signal prints another one.
    ///
    /// # Errors
    /// Those of `print`.
    pub(crate) fn print(&self, print: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        let mut state = lock(&self.0);
        if state.is_interrupted {
            return Ok(());
        }
        let Some(line) = state.line() else {
            return Ok(());
        };
        state.is_printed = true;
        print(&line)
    }

    /// Prints the line of a command that a signal ends with this exit code, unless it has printed its own. What
    /// was done until then is in it.
    pub(crate) fn interrupt(&self, error: &Error, exit: i32, print: impl FnOnce(&str)) {
        let mut state = lock(&self.0);
        if state.is_printed {
            return;
        }
        state.is_interrupted = true;

        // The signal decides the exit code, whatever failed before.
        let mut told = object(error);
        told["exit"] = json!(exit);
        state.error = Some(told);

        if let Some(line) = state.line() {
            print(&line);
        }
    }
}

impl JsonState {
    fn line(&mut self) -> Option<String> {
        if self.is_taken {
            return None;
        }

        let error = self.error.take();
        let list = self.list.take();
        let value = self.value.take();
        let value = value.or_else(|| list.map(|(name, list)| json!({"schema": 1, name: list})));
        let mut value = match (value, &error) {
            (None, None) => return None,
            (value, _) => value.unwrap_or_else(|| json!({"schema": 1})),
        };

        // Members that a command without failures has no use for are left out.
        for (name, list) in [
            ("failed", std::mem::take(&mut self.failed)),
            ("incomplete", std::mem::take(&mut self.incomplete)),
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
