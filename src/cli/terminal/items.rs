// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What commands do something for, one after the other.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::cli::terminal::output::Output;
use crate::client::HubRepository;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};

impl Output {
    /// Does some work for each item. A failure is printed, and the next item is tried unless it
    /// would fail in the same way.
    pub(crate) fn each<T: ShownItem>(
        &self,
        items: impl IntoIterator<Item = T>,
        mut work: impl FnMut(T) -> Result<()>,
    ) {
        for item in items {
            let name = item.shown();
            if let Err(error) = work(item)
                && self.failed_at(&name, &error).is_break()
            {
                return;
            }
        }
    }

    /// Tells of the failure of an item; whether to go on with others.
    pub(crate) fn failed_at(&self, name: &str, error: &Error) -> ControlFlow<()> {
        // A reader that has enough (`skep ls | head`) is no failure.
        if self.is_closed() {
            return ControlFlow::Break(());
        }
        self.report.fail_item(name, error);
        self.failed(error);

        if ends_all(error) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Whether a failure depends on the server and not on the item. Going on would show it a wrong password again
/// and again, until it locks this address out.
pub(crate) fn ends_all(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unreachable | ErrorKind::Untrusted | ErrorKind::Unauthenticated
    )
}

/// What a command does something for.
pub(crate) trait ShownItem {
    /// Its name, as it was given.
    fn shown(&self) -> String;
}

impl ShownItem for ModelName {
    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl ShownItem for PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl ShownItem for HubRepository {
    fn shown(&self) -> String {
        self.name.as_str().to_owned()
    }
}

impl ShownItem for String {
    fn shown(&self) -> String {
        self.clone()
    }
}

/// A model by the path at which it is saved.
impl ShownItem for (String, Model) {
    fn shown(&self) -> String {
        self.1.name.to_string()
    }
}

impl<T: ShownItem> ShownItem for &T {
    fn shown(&self) -> String {
        T::shown(self)
    }
}
