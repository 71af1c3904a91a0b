// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What becomes of a connection for which a server has no place.

/// Whether a client goes on where a server has no place for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionRole {
    First,
    Spare,
}
