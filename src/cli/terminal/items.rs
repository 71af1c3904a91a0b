// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What commands do something for, one after the other.

use std::path::PathBuf;

use crate::model::{Model, ModelName};

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
