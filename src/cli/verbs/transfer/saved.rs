// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is told of a model that was fetched into a file.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::terminal::Output;
use crate::client::{Fetched, Proof};
use crate::model::ModelName;

/// The member of `files` in JSON.
pub(super) fn value(name: &ModelName, path: &Path, fetched: &Fetched) -> Value {
    json!({
        "name": name.as_str(),
        "path": path.display().to_string(),
        "size": fetched.size,
        "digest": format!("{:?}", fetched.digest),
        "received": fetched.received,
        "resumed_at": fetched.resumed_at,
        "unchanged": fetched.proof == Proof::Unchanged,
    })
}

/// Says that nothing proves the bytes.
pub(super) fn unverified(name: &ModelName, output: &Output) {
    output.incomplete(&format!(
        "the bytes of '{name}' could not be verified: the server has no digest of them (yet)"
    ));
}
