// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the settings say of the mirror.

use std::path::PathBuf;
use std::time::Duration;

/// What the settings say of the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MirrorOptions {
    /// Where the other hub is; empty for none.
    pub(crate) upstream: String,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) authority: Option<PathBuf>,
    /// Patterns of repositories; none for every one.
    pub(crate) repositories: Vec<String>,
    /// After which time without a caller something goes.
    pub(crate) keep: Duration,
    /// For how long a branch is what it was.
    pub(crate) fresh: Duration,
    /// Bytes of all files.
    pub(crate) bytes_max: u64,
    pub(crate) file_bytes_max: u64,
    /// How many files are fetched at a time.
    pub(crate) fetches_max: usize,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            upstream: String::new(),
            token_file: None,
            authority: None,
            repositories: Vec::new(),
            keep: Duration::from_secs(30 * 24 * 60 * 60),
            fresh: Duration::from_secs(5 * 60),
            bytes_max: 64 << 30,
            file_bytes_max: 64 << 30,
            fetches_max: 4,
        }
    }
}

/// Where systems keep the public authorities, Termux among them.
pub(crate) const PUBLIC_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/data/data/com.termux/files/usr/etc/tls/cert.pem",
];
