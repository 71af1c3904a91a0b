// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The paths of a model in API v1.

use crate::model::ModelName;

/// That of its bytes.
pub(crate) fn model_path(name: &ModelName) -> String {
    path_of("models", name)
}

/// That of something else that concerns it.
pub(crate) fn path_of(what: &str, name: &ModelName) -> String {
    format!("/v1/{what}/{}", name.url_path())
}
