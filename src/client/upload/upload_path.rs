// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where an upload is on its server: a path that can be nothing but an upload, whoever named it.

use std::fmt;

use crate::client::model_path::{located, with_id};

/// The path `/v1/uploads/` and 32 hexadecimal digits. Requests that append, ask and cancel go to such a
/// path only, so that whoever answers cannot have them sent to anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadPath(String);

impl UploadPath {
    /// Reads a `Location` field: a path, or a URL of this very server (RFC 9110 section 10.2.2).
    pub(crate) fn of_field(value: &str, base: &str) -> Option<Self> {
        Self::parse(located(value, base))
    }

    /// Reads a path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        with_id(path, PREFIX).map(Self)
    }
}

impl fmt::Display for UploadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const PREFIX: &str = "/v1/uploads/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_the_same_server_count() {
        let id = "0123456789abcdef0123456789ABCDEF";
        let path = format!("/v1/uploads/{id}");
        let base = "https://pi:8443";
        for good in [
            path.clone(),
            format!("{base}{path}"),
            format!("HTTPS://Pi:8443{path}"),
        ] {
            let read = UploadPath::of_field(&good, base).unwrap();
            assert_eq!(read.to_string(), path, "{good}");
        }
        for bad in [
            "",
            "/v1/models/precious",
            "/v1/uploads/",
            "/v1/uploads/../models/precious",
            "/v1/versions/a",
            &format!("{path}/"),
            &format!("{path}?x"),
            &format!("{path}#x"),
            &format!("{path}0"),
            &path[..path.len() - 1],
            &format!("/v1/uploads/{}", "%2e".repeat(11)),
            &format!("/v1/uploads/..{}", &id[2..]),
            &format!("/{path}"),
            &format!("//evil{path}"),
            &format!(" {path}"),
            &format!("{path}\n"),
            &format!("https://evil:8443{path}"),
            &format!("http://pi:8443{path}"),
            &format!("https://pi:8443@evil{path}"),
            &format!("https://pi:84430{path}"),
            &format!("{base}/x{path}"),
        ] {
            assert_eq!(UploadPath::of_field(bad, base), None, "{bad}");
        }
    }
}
