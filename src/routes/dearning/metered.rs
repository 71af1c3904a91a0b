// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an import may still bring: without blanks, and within its bounds.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::routes::api::Api;

/// Base64 without the line breaks and blanks that Python's decoder takes as well.
pub(crate) struct Compact<R>(pub(crate) R);

impl<R: Read> Read for Compact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.read(buffer)?;
            if !buffer[..count].iter().any(u8::is_ascii_whitespace) {
                return Ok(count);
            }
            let mut kept = 0;
            for index in 0..count {
                if !buffer[index].is_ascii_whitespace() {
                    buffer[kept] = buffer[index];
                    kept += 1;
                }
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

/// How much of a body may still be read.
pub(crate) struct Meter {
    /// Of what is not content.
    pub(crate) left: Cell<u64>,
    pub(crate) left_max: u64,
    /// Of anything, as long as the password is not known.
    pub(crate) before_password: Cell<Option<u64>>,
    /// Why the body cannot be read on.
    pub(crate) fault: Cell<Option<Error>>,
}

impl Meter {
    pub(crate) fn new(api: &Api, limits: &Limits, has_password: bool) -> Self {
        let left_max = limits.json_bytes_max as u64;
        let encoded = api.import_bytes_before_password.saturating_mul(4) / 3;
        let before_password = (!has_password).then_some(encoded.saturating_add(left_max));
        let (left, before_password) = (Cell::new(left_max), Cell::new(before_password));

        Self {
            left,
            left_max,
            before_password,
            fault: Cell::default(),
        }
    }

    /// What is read now is bounded in another way.
    pub(crate) fn is_content(&self) {
        self.left.set(self.left_max);
    }

    pub(crate) fn count(&self, bytes: u64) -> Result<()> {
        let too_large = |text| Error::new(ErrorKind::TooLarge, text);
        if let Some(left) = self.before_password.get() {
            let text = "too much content before the password";
            let left = left.checked_sub(bytes).ok_or_else(|| too_large(text))?;
            self.before_password.set(Some(left));
        }

        let text = "the JSON around the content is larger than this server allows";

        let left = self
            .left
            .get()
            .checked_sub(bytes)
            .ok_or_else(|| too_large(text))?;

        self.left.set(left);

        Ok(())
    }
}

/// A body that is metered.
pub(crate) struct Metered<R> {
    pub(crate) source: R,
    pub(crate) meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            other => other.map_err(Error::from),
        };

        let metered = count.and_then(|count| self.meter.count(count as u64).map(|()| count));

        metered.map_err(|error| {
            // The JSON reader does not hand on what its source says within a string.
            self.meter
                .fault
                .set(Some(Error::new(error.kind(), error.message())));
            error.into()
        })
    }
}
