// SPDX-License-Identifier: Apache-2.0 OR MIT
//! For whom requests and bytes are counted.

use crate::access::{Caller, How, Principal};
use crate::transport::Peer;

/// What is counted together: whatever one principal asks for, or one address of callers who are not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CountedCaller {
    /// As the log calls it.
    Principal(String),
    Address(Caller),
}

impl CountedCaller {
    /// For whom a request of this sender is counted.
    pub(crate) fn of(peer: &Peer, principal: Option<&Principal>) -> Self {
        // Strangers must not use up what is there for who shows a secret from the same address.
        match principal.filter(|principal| principal.how != How::Anonymous) {
            Some(principal) => Self::Principal(principal.shown()),
            None => Self::Address(Caller::of(peer)),
        }
    }
}
