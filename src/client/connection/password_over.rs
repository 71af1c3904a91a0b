// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Over which connections a password may go.

/// Over which connections a password may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordOver {
    /// TLS, and plain HTTP to this very device; over any other it is proved without being sent.
    Protected,
    /// Any, so that everybody on the way can read it.
    Anything,
}
