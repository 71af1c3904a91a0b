// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Paths of API v1: those of a model, and those that a server names.

use crate::model::ModelName;

/// That of its bytes.
pub(crate) fn model_path(name: &ModelName) -> String {
    path_of("models", name)
}

/// That of something else that concerns it.
pub(crate) fn path_of(what: &str, name: &ModelName) -> String {
    format!("/v1/{what}/{}", name.url_path())
}

/// The path in a `Location` field, which is a path or a URL of this very server (RFC 9110 section 10.2.2).
pub(crate) fn located<'a>(value: &'a str, base: &str) -> &'a str {
    match value.split_at_checked(base.len()) {
        // Host and scheme are the same in capital letters (RFC 3986 section 6.2.2.1).
        Some((origin, path)) if origin.eq_ignore_ascii_case(base) => path,
        _ => value,
    }
}

/// A path that is this prefix and 32 hexadecimal digits, and so can be nothing but one thing of its kind,
/// whoever named it.
pub(crate) fn with_id(path: &str, prefix: &str) -> Option<String> {
    let id = path.strip_prefix(prefix)?;
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| path.to_owned())
}

const ID_DIGITS: usize = 32;
