// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the reader of an answer and its connection tell each other: that the answer came before the whole
//! request was sent, and that the wait for more of it begins anew.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the server has answered before the body was sent, and whether the answer has progressed.
#[derive(Debug, Default)]
pub(crate) struct Early {
    is_early: AtomicBool,
    has_progressed: AtomicBool,
}

impl Early {
    pub(crate) fn set(&self, early: bool) {
        self.is_early.store(early, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_early.load(Ordering::Relaxed)
    }

    /// Has the time without progress begin anew: the reader of the answer has all that came of it, and wants
    /// more. The connection itself cannot tell content from what is around it.
    pub(crate) fn progress(&self) {
        self.has_progressed.store(true, Ordering::Relaxed);
    }

    /// Whether there was progress since this was asked last.
    pub(crate) fn take_progress(&self) -> bool {
        self.has_progressed.swap(false, Ordering::Relaxed)
    }
}

/// Whether input holds (the beginning of) an answer that is not an interim one such as 100.
pub(crate) fn is_final(mut input: &[u8]) -> bool {
    loop {
        match input.get(STATUS_CLASS) {
            None => return false,
            Some(b'1') => {}
            Some(_) => return true,
        }
        match input.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => input = &input[end + 4..],
            None => return false,
        }
    }
}

/// Where the first digit of the status stands in `HTTP/1.1 200`.
const STATUS_CLASS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_are_told_from_final_ones() {
        assert!(!is_final(b""));
        assert!(!is_final(b"HTTP/1.1 "));
        assert!(is_final(b"HTTP/1.1 4"));
        assert!(!is_final(b"HTTP/1.1 100 Continue\r\n\r"));
        assert!(!is_final(b"HTTP/1.1 100 Continue\r\n\r\n"));
        assert!(!is_final(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n"
        ));
        assert!(is_final(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 507 Insufficient"
        ));
    }
}
