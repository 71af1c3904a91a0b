// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The list of all models as JSON, written as fast as it is read.

use std::io::{self, Read};

use serde::Serialize;

use crate::error::Result;
use crate::http::{Content, Request, Response, Status};
use crate::routes::api::Api;
use crate::store::{Listing, RemovedModel};
use crate::wire::{KeptWire, ModelWire};

/// `GET /v1/models`: all models as JSON. A long list is sent in chunks, and only the next of them is in
/// memory; a short one has a length.
pub(crate) fn list(api: &Api, _: &mut Request<'_>) -> Result<Response> {
    let mut text = ListText {
        listing: api.store.listing()?,
        piece: HEAD.to_vec(),
        start: 0,
        removed: None,
        is_first: true,
        is_over: false,
    };
    text.write_more();

    let content = if text.is_over {
        Content::Bytes(std::mem::take(&mut text.piece))
    } else {
        Content::Chunked(Box::new(text))
    };

    Ok(Response::new(Status::OK)
        .field("content-type", "application/json")
        .field("cache-control", "no-cache")
        .content(content))
}

/// A list on its way.
struct ListText {
    listing: Listing,
    piece: Vec<u8>,
    /// How much of the piece was read.
    start: usize,
    /// What is kept of removed models, once all others are told.
    removed: Option<Box<dyn Iterator<Item = RemovedModel> + Send>>,
    is_first: bool,
    is_over: bool,
}

impl ListText {
    /// Writes models until the piece is long enough or the list ends.
    fn write_more(&mut self) {
        while self.piece.len() < PIECE_BYTES {
            if let Some(removed) = &mut self.removed {
                let Some(model) = removed.next() else {
                    self.piece.extend_from_slice(TAIL);
                    self.is_over = true;
                    return;
                };
                let begin = std::mem::take(&mut self.is_first);
                self.piece
                    .extend_from_slice(if begin { KEPT } else { b"," });
                self.write(&KeptWire {
                    name: model.name.as_str().to_owned(),
                    versions: model.versions as u64,
                    size: model.size,
                });
                continue;
            }

            let Some(model) = self.listing.next() else {
                self.removed = Some(self.listing.removed());
                self.is_first = true;
                continue;
            };
            if !std::mem::take(&mut self.is_first) {
                self.piece.push(b',');
            }
            self.write(&ModelWire::from(&model));
        }
    }

    fn write(&mut self, wire: &impl Serialize) {
        // Numbers and texts can always be written.
        let _ = serde_json::to_writer(&mut self.piece, wire);
    }
}

impl Read for ListText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.piece.len() && !self.is_over {
            self.piece.clear();
            self.start = 0;
            self.write_more();
        }

        let count = (&self.piece[self.start..]).read(buffer)?;
        self.start += count;
        Ok(count)
    }
}

/// The form is that of `ListWire`, with all models in one list.
const HEAD: &[u8] = b"{\"schema\":1,\"models\":[";
const KEPT: &[u8] = b"],\"kept\":[";
const TAIL: &[u8] = b"]}\n";

/// What each reader of a long list has in memory, and the longest list that has a length.
const PIECE_BYTES: usize = 32 * 1024;
