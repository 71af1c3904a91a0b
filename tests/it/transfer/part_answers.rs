// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server may answer to a part of an upload, and what the client makes of it.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use skep::client::{
    Client, ClientOptions, EmptyInput, Outcome, Piped, Replaces, Stored, TransferEvent,
    TransferOptions,
};
use skep::{Content, Digest, Error, ErrorKind, Request, Response, Server, Status, TempServer};

use crate::transfer::resume::mebibytes;

/// What a server has, and from where on it got each part.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    offsets: Vec<u64>,
    is_stored: bool,
}

/// How a server treats the first request that brings bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// It keeps half of them, and says that they begin at the wrong place.
    Half,
    /// It keeps none, and says so each time.
    None,
    /// It keeps none, says that it is busy, and that it has more than there is.
    Beyond,
    /// It makes them a model, and the answer gets lost.
    All,
    /// The same, and it says that the upload is gone.
    AllGone,
}

fn server(first: First, kept: Arc<Mutex<Kept>>) -> TempServer {
    let busy = || Response::text(Status::SERVICE_UNAVAILABLE, "").field("retry-after", "0");
    let handler = move |request: &mut Request<'_>| {
        let mut kept = kept.lock().unwrap();
        let field = |name| request.fields().value(name).map(str::to_owned);
        let offset = field("upload-offset").map(|text| text.parse().unwrap());
        let begins = field("upload-complete").as_deref() == Some("?0");
        let is_upload = request.path().starts_with("/v1/uploads/");
        match (request.method().as_str(), is_upload) {
            ("OPTIONS", _) => Response::new(Status::NO_CONTENT).field("upload-limit", "max-age=9"),
            ("PUT", false) if begins => Response::new(Status::CREATED)
                .field("location", format!("/v1/uploads/{:032x}", 1))
                .field("upload-offset", "0"),
            ("PUT", false) if !kept.offsets.is_empty() || first == First::None => {
                kept.offsets.push(0);
                Response::text(Status(412), "")
            }
            ("PUT" | "PATCH", _) => {
                let mut bytes = Vec::new();
                request.body().read_to_end(&mut bytes).unwrap();
                kept.offsets.push(offset.unwrap_or_default());
                match (first, kept.offsets.len()) {
                    (First::Half, 1) => {
                        kept.bytes = bytes[..bytes.len() / 2].to_vec();
                        Response::text(Status(409), "")
                    }
                    (First::None, _) => Response::text(Status(409), ""),
                    (First::Beyond, 1) => busy(),
                    (First::All | First::AllGone, 1) => {
                        kept.bytes = bytes;
                        kept.is_stored = true;
                        busy()
                    }
                    _ => {
                        kept.bytes.extend(bytes);
                        let stored = serde_json::json!({
                            "name": "x", "size": kept.bytes.len(),
                            "modified": "2026-01-01T00:00:00Z",
                            "digest": format!("{:?}", Digest::of(&kept.bytes)),
                        });
                        Response::json(Status::CREATED, &stored)
                    }
                }
            }
            ("GET", true) if first == First::AllGone && kept.is_stored => {
                Response::text(Status::NOT_FOUND, "")
            }
            ("GET", true) => {
                let more = if first == First::Beyond { 1 << 40 } else { 0 };
                let complete = if kept.is_stored { "?1" } else { "?0" };
                Response::new(Status::NO_CONTENT)
                    .field("upload-complete", complete)
                    .field("upload-offset", (kept.bytes.len() + more).to_string())
            }
            ("GET", false) if kept.is_stored => Response::new(Status::OK)
                .field("etag", Digest::of(&kept.bytes).etag())
                .field("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                .content(Content::Bytes(kept.bytes.clone())),
            _ => Response::text(Status::NOT_FOUND, ""),
        }
    };
    TempServer::start(Server::bind("127.0.0.1:0", handler).unwrap()).unwrap()
}

/// What becomes of an upload, the offsets of its parts, and how often it was tried again.
type Ended = (Result<Stored, Error>, Vec<u64>, u32);

fn ended(
    first: First,
    send: impl FnOnce(&mut Client, &mut dyn FnMut(TransferEvent<'_>)) -> Result<Stored, Error>,
) -> Ended {
    let kept = Arc::default();
    let server = server(first, Arc::clone(&kept));
    let mut client = Client::new(ClientOptions::new(server.url().parse().unwrap())).unwrap();
    let mut retries = 0;
    let result = send(&mut client, &mut |event| {
        retries += u32::from(matches!(event, TransferEvent::Retrying { .. }));
    });
    let offsets = kept.lock().unwrap().offsets.clone();
    (result, offsets, retries)
}

#[test]
fn a_file_goes_on_where_the_server_is_and_nowhere_else() {
    let bytes = mebibytes(3);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let put = |first| {
        ended(first, |client, events| {
            let options = TransferOptions::default();
            client.put_file(&"x".parse().unwrap(), &file, &options, events)
        })
    };

    let (stored, offsets, retries) = put(First::Half);
    assert_eq!(stored.unwrap().digest, Digest::of(&bytes));
    assert_eq!((offsets, retries), (vec![0, 3 << 19], 1));

    // It is where it was thought to be, so that its refusal means something else.
    let (refused, offsets, retries) = put(First::None);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!((offsets.len(), retries), (1, 0));

    let (refused, offsets, _) = put(First::Beyond);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotImplemented);
    assert_eq!(offsets.len(), 1);

    // Complete or gone: it is a model.
    for first in [First::All, First::AllGone] {
        let (stored, offsets, retries) = put(first);
        assert_eq!(stored.unwrap().digest, Digest::of(&bytes), "{first:?}");
        assert_eq!((offsets.len(), retries), (1, 1), "{first:?}");
    }
}

#[test]
fn a_name_that_is_taken_is_ours_only_after_bytes_of_ours_went_there() {
    let bytes = mebibytes(1);
    let put = |first| {
        ended(first, |client, events| {
            let mut options = TransferOptions::default();
            options.replaces = Replaces::Nothing;
            let input = Piped {
                source: &mut &bytes[..],
                length: None,
                digest: None,
                empty: EmptyInput::Refused,
                complete: &mut || Ok(()),
            };
            client.put_piped(&"x".parse().unwrap(), input, &options, events)
        })
    };

    let (stored, offsets, retries) = put(First::All);
    let stored = stored.unwrap();
    assert_eq!(stored.outcome, Outcome::Created);
    assert_eq!(stored.digest, Digest::of(&bytes));
    assert_eq!((offsets.len(), retries), (2, 1));

    let (refused, offsets, retries) = put(First::None);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    assert_eq!((offsets.len(), retries), (1, 0));
}
