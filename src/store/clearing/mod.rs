// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Freeing what the store keeps beside models.

mod cleared;
mod freeing;
#[cfg(test)]
mod tests;

#[cfg(test)]
use cleared::Cleared;
pub(crate) use cleared::{ClearMode, ClearRequest, ClearedKind};
