// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Large buffers that the connections of a server share: whoever works takes one, whoever waits has none.

use std::sync::Mutex;

use crate::threads::lock;

/// Buffers of [`SPARE_BYTES`] that nobody uses at the moment.
#[derive(Default)]
pub(crate) struct SpareBuffers(Mutex<Vec<Vec<u8>>>);

impl SpareBuffers {
    /// A buffer of [`SPARE_BYTES`], which may hold bytes of other connections: only what was written to
    /// it since may leave it.
    pub(crate) fn take(&self) -> Vec<u8> {
        let spare = lock(&self.0).pop();
        spare.unwrap_or_else(|| vec![0; SPARE_BYTES])
    }

    /// Takes a buffer back; one of another size is freed.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.len() != SPARE_BYTES {
            return;
        }

        let mut spare = lock(&self.0);
        if spare.len() < SPARES_MAX {
            spare.push(buffer);
        }
    }
}

/// Four records with what encrypts them, and the few bytes that may go before them.
pub(crate) const SPARE_BYTES: usize = 68 * 1024;

/// How many unused buffers are kept; more threads than processors gain nothing from more.
const SPARES_MAX: usize = 4;
