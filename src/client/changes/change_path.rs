// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a change set is on its server: a path that can be nothing else, whoever named it.

use std::fmt;

use crate::client::model_path::{located, with_id};
use crate::model::ModelName;

/// The path `/v1/changes/` and 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangePath(String);

impl ChangePath {
    /// Reads a `Location` field: a path, or a URL of this very server (RFC 9110 section 10.2.2).
    pub(crate) fn of_field(value: &str, base: &str) -> Option<Self> {
        Self::parse(located(value, base))
    }

    /// Reads a path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        with_id(path, PREFIX).map(Self)
    }

    /// That of a name in it.
    pub(crate) fn of(&self, name: &ModelName) -> String {
        format!("{self}/{}", name.url_path())
    }
}

impl fmt::Display for ChangePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const PREFIX: &str = "/v1/changes/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_change_sets_of_the_same_server_count() {
        let path = format!("/v1/changes/{}", "0a".repeat(16));
        let base = "https://pi:8443";
        for good in [path.clone(), format!("{base}{path}")] {
            assert_eq!(ChangePath::of_field(&good, base).unwrap().to_string(), path);
        }
        for bad in [
            "",
            "/v1/models/precious",
            "/v1/changes/",
            &format!("{path}/x"),
            &format!("{path}?x"),
            &path[1..],
            &format!("https://evil{path}"),
        ] {
            assert_eq!(ChangePath::of_field(bad, base), None, "{bad}");
        }
    }
}
