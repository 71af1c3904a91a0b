// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The list of all models as JSON, written as fast as it is read.

use std::io::{self, Read};

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Content, Request, Response, Status};
use crate::model::{ListRequest, Model, Revision};
use crate::routes::api::Api;
use crate::routes::models::info::search_for;
use crate::store::{BlobSearch, Listing, RemovedModel, Store};
use crate::wire::{FolderWire, KeptWire, ListWire, ModelWire, list_path, list_request};

/// `GET /v1/models`: models as JSON, all or a page of them. A long list is sent in chunks, and only the next
/// of them is in memory; a short one has a length.
pub(crate) fn list(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let wanted = list_request(request.query())?;
    if let Some(revision) = wanted.revision {
        return list_at(api, request, &wanted, revision);
    }

    // Each piece of it is of one moment, as far as skep makes the changes.
    let held = api.store.hold(&wanted.filter)?;
    let listing = api.store.listing(wanted.clone())?;

    // RFC 8288 section 3.
    let link = listing.next_after().map(|after| {
        let next = ListRequest {
            after: after.to_owned(),
            ..wanted
        };
        format!("<{}>; rel=\"next\"", list_path(&next))
    });

    let mut piece = Vec::with_capacity(PIECE_BYTES + MEMBER_BYTES);
    piece.extend_from_slice(HEAD);
    let mut text = ListText {
        store: api.store.clone(),
        listing,
        search: search_for(request),
        part: ListPart::Models,
        piece,
        start: 0,
        is_first: true,
    };
    text.write_more();
    drop(held);

    let content = if text.is_over() {
        Content::Bytes(std::mem::take(&mut text.piece))
    } else {
        Content::Chunked(Box::new(text))
    };

    let response = Response::new(Status::OK)
        .field("content-type", "application/json")
        .field("cache-control", "no-cache")
        .content(content);
    Ok(match link {
        Some(link) => response.field("link", link),
        None => response,
    })
}

/// What a folder had in a revision, page by page.
fn list_at(
    api: &Api,
    request: &mut Request<'_>,
    wanted: &ListRequest,
    revision: Revision,
) -> Result<Response> {
    let root = wanted.filter.prefix.strip_suffix('/').ok_or_else(|| {
        let text = "a revision is that of a folder";
        Error::new(ErrorKind::BadRequest, text).hint("name it: prefix=FOLDER/")
    })?;
    let search = search_for(request);
    let manifest = api.store.manifest_at(&root.parse()?, revision, search)?;

    let members = manifest.members.iter();
    let mut members = members.filter(|member| {
        let name = member.name.as_str();
        name > wanted.after.as_str() && wanted.filter.is_matched(name)
    });
    let limit = wanted.limit.unwrap_or(PAGE_MODELS).min(PAGE_MODELS);
    let page = members.by_ref().take(limit);
    let models: Vec<_> = page
        .map(|member| {
            ModelWire::from(&Model {
                name: member.name.clone(),
                size: member.size,
                modified: member.modified,
                digest: Some(member.digest),
            })
        })
        .collect();

    let last = models.last().filter(|_| members.next().is_some());
    let list = ListWire {
        schema: 1,
        next: last.map(|last| last.name.clone()),
        models,
        folders: None,
        kept: Vec::new(),
    };
    Ok(Response::json(Status::OK, &list).field("cache-control", "no-cache"))
}

/// Models of an old revision in one answer.
const PAGE_MODELS: usize = 8192;

/// A list on its way.
struct ListText {
    store: Store,
    listing: Listing,
    /// Whether what is kept of removed models is told.
    search: BlobSearch,
    part: ListPart,
    piece: Vec<u8>,
    /// How much of the piece was read.
    start: usize,
    is_first: bool,
}

/// What is told next.
enum ListPart {
    Models,
    Folders,
    /// What is kept of removed models.
    Kept(Box<dyn Iterator<Item = RemovedModel> + Send>),
    Over,
}

impl ListText {
    fn is_over(&self) -> bool {
        matches!(self.part, ListPart::Over)
    }

    /// Writes models until the piece is long enough or the list ends.
    fn write_more(&mut self) {
        while self.piece.len() < PIECE_BYTES {
            match &mut self.part {
                ListPart::Models => match self.listing.next() {
                    Some(model) => self.write(b"", &ModelWire::from(&model)),
                    None => {
                        self.piece.push(b']');
                        self.begin(ListPart::Folders);
                        if self.listing.has_folders() {
                            self.piece.extend_from_slice(FOLDERS);
                        }
                    }
                },
                ListPart::Folders => match self.listing.next_folder() {
                    Some((name, models)) => self.write(b"", &FolderWire { name, models }),
                    None => {
                        if self.listing.has_folders() {
                            self.piece.push(b']');
                        }
                        let removed = match self.search {
                            BlobSearch::Versions => self.listing.removed(),
                            BlobSearch::Models => Box::new(std::iter::empty()),
                        };
                        self.begin(ListPart::Kept(removed));
                    }
                },
                ListPart::Kept(removed) => match removed.next() {
                    Some(model) => self.write(
                        KEPT,
                        &KeptWire {
                            name: model.name.as_str().to_owned(),
                            versions: model.versions as u64,
                            size: model.size,
                        },
                    ),
                    None => return self.end(),
                },
                ListPart::Over => return,
            }
        }
    }

    fn begin(&mut self, part: ListPart) {
        self.part = part;
        self.is_first = true;
    }

    /// Writes a member of a list, before the first of which something else may stand.
    fn write(&mut self, before: &[u8], wire: &impl Serialize) {
        let is_first = std::mem::take(&mut self.is_first);
        self.piece
            .extend_from_slice(if is_first { before } else { b"," });
        write(&mut self.piece, wire);
    }

    fn end(&mut self) {
        // A list of nothing is left out.
        if !self.is_first {
            self.piece.push(b']');
        }
        if let Some(next) = self.listing.next_after() {
            self.piece.extend_from_slice(NEXT);
            write(&mut self.piece, &next);
        }
        self.piece.extend_from_slice(TAIL);
        self.part = ListPart::Over;
    }
}

fn write(piece: &mut Vec<u8>, wire: &impl Serialize) {
    // Numbers and texts can always be written.
    let _ = serde_json::to_writer(piece, wire);
}

impl Read for ListText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.piece.len() && !self.is_over() {
            // An answer that breaks off says that it is none; half of a commit would not.
            let store = self.store.clone();
            let held = store.go_on(&mut self.listing);
            let held = held.map_err(|error| io::Error::other(error.to_string()))?;

            self.piece.reserve_exact(PIECE_BYTES + MEMBER_BYTES);
            self.write_more();
            drop(held);
        }

        let count = (&self.piece[self.start..]).read(buffer)?;
        self.start += count;
        if self.start == self.piece.len() {
            // What was read waits for the socket elsewhere, perhaps for long.
            self.piece = Vec::new();
            self.start = 0;
        }
        Ok(count)
    }
}

/// The form is that of `ListWire`, with all models in one list.
const HEAD: &[u8] = b"{\"schema\":1,\"models\":[";
const FOLDERS: &[u8] = b",\"folders\":[";
const KEPT: &[u8] = b",\"kept\":[";
const NEXT: &[u8] = b",\"next\":";
const TAIL: &[u8] = b"}\n";

/// What each reader of a long list has in memory, and the longest list that has a length.
const PIECE_BYTES: usize = 32 * 1024;

/// Room for the last member of a piece; a longer one, with what is said of a model, takes more.
const MEMBER_BYTES: usize = 2 * 1024;
