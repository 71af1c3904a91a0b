// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Over which connections a password may go.

/// Over which connections a password may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordOver {
    /// TLS; over any other, requests are signed instead, and nothing of it is sent.
    Protected,
    /// Any, so that everybody on the way can read it.
    Anything,
}
