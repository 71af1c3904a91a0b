// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much room old versions have, as a value.

/// What versions may take beside models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionRoom {
    pub(crate) bytes: u64,
    /// The names that have versions and are no models any more.
    pub(crate) removed: u64,
}

impl VersionRoom {
    /// Room for as many as there may be.
    pub(crate) const UNBOUNDED: Self = Self {
        bytes: u64::MAX,
        removed: u64::MAX,
    };
}
