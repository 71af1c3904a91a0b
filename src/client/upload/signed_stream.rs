// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending a stream where requests are signed: in pieces, since the digest of each request's content has to
//! be known before it is sent.

use std::io::Read;

use crate::client::Client;
use crate::client::single_pass::Stored;
use crate::client::transfer::{TransferEvent, TransferOptions};
use crate::client::upload::piping::{EmptyInput, Piped};
use crate::error::Result;
use crate::model::ModelName;

impl Client {
    /// Sends all of `source` as a model, as [`Client::put`] does.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub(crate) fn put_signed(
        &mut self,
        name: &ModelName,
        source: &mut dyn Read,
        length: Option<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Stored> {
        let mut source = source.take(length.unwrap_or(u64::MAX));
        let mut agree = || Ok(());
        let input = Piped {
            source: &mut source,
            length,
            digest: None,
            empty: EmptyInput::Allowed,
            complete: &mut agree,
        };

        // Bytes that are sent again are no progress.
        let mut seen = 0;
        self.put_piped(name, input, &TransferOptions::default(), &mut |event| {
            if let TransferEvent::Progress(total) = event {
                progress(total.saturating_sub(seen));
                seen = total.max(seen);
            }
        })
    }
}
