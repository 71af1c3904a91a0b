// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers that come before the whole request was sent: how they are recognised and passed on.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the server has answered before the body was sent.
#[derive(Debug, Default)]
pub(crate) struct Early(AtomicBool);

impl Early {
    pub(crate) fn set(&self, early: bool) {
        self.0.store(early, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
