// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the settings say about the log: its form, and where it goes.

use std::path::PathBuf;

use crate::logging::format::AuditOptions;

/// What is logged, and where: a file, syslog, or else standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) audit: AuditOptions,
    pub(crate) file: Option<PathBuf>,
    /// Bytes of the file before it is set aside.
    pub(crate) bytes_max: u64,
    /// How many of those that were set aside are kept.
    pub(crate) keep: u32,
    pub(crate) syslog: Option<PathBuf>,
}

impl Default for LogOptions {
    fn default() -> Self {
        let audit = AuditOptions::default();
        Self {
            audit,
            file: None,
            bytes_max: 1 << 20,
            keep: 3,
            syslog: None,
        }
    }
}
