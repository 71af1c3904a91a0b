// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending a stream in one request, to servers that keep no uploads in parts.

use std::io::{self, Read};
use std::sync::Arc;

use crate::client::Client;
use crate::client::single_pass::{Stored, verified};
use crate::client::transfer::{TransferEvent, TransferEvents};
use crate::client::upload::outgoing::Outgoing;
use crate::client::upload::pieces::intent_fields;
use crate::client::upload::piping::Piping;
use crate::error::Result;

impl Client {
    /// Sends a stream in one request, for servers that keep no uploads in parts. Its body ends well only
    /// after the decision; otherwise the connection is cut, and the server keeps nothing.
    pub(super) fn put_chunks(
        &mut self,
        piping: &mut Piping<'_, '_>,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        let options = piping.options;
        let fields = intent_fields(options.replaces, options.signature.as_ref());
        let early = Arc::clone(&self.shared.early);
        let (name, mut done) = (piping.name, 0);
        let mut progress = |count| {
            done += count;
            events(TransferEvent::Progress(done));
        };

        let mut source = WholeStream {
            piping,
            client: self,
            at: 0,
        };
        let mut body = Outgoing::new(&mut source, None, &early, &mut progress).unhashed();
        let (model, outcome) = self.put_body(name, &mut body, None, &fields)?;

        piping.sent = done;
        let digest = piping.digest();
        verified(name, &model, digest)?;
        Ok(piping.stored(model, digest, Some(outcome)))
    }
}

/// The piece in memory and all after it, whose end comes only after the decision to complete.
struct WholeStream<'a, 'n, 'p> {
    piping: &'a mut Piping<'n, 'p>,
    client: &'a Client,
    /// How much of the piece was read.
    at: usize,
}

impl Read for WholeStream<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piping = &mut *self.piping;
        let room = piping.pace.piece(buffer.len());
        let buffer = &mut buffer[..room];

        let held = (&piping.piece[self.at..]).read(buffer)?;
        let count = if held > 0 {
            self.at += held;
            held
        } else {
            if !piping.piece.is_empty() {
                piping.next();
                self.at = 0;
            }
            let count = piping.read_source(buffer)?;
            piping.start += count as u64;
            count
        };

        if count == 0 && !buffer.is_empty() {
            self.client.agree(piping)?;
        }
        piping.pace.spend(count)?;

        Ok(count)
    }
}
