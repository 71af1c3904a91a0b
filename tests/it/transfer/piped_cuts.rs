// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Cuts of the wire while standard input is sent, which nobody can read again.

use std::fs;
use std::io::Read as _;
use std::sync::Mutex;

use skep::client::{Client, ClientOptions, EmptyInput, Piped, TransferEvent, TransferOptions};
use skep::{Content, Digest, ErrorKind, Request, Response, Server, Status, TempServer};

use crate::support::process::run_with;
use crate::support::relay::Relay;
use crate::support::served::Served;
use crate::transfer::resume::mebibytes;

#[test]
fn cuts_of_the_wire_cost_a_pipe_only_what_was_under_way() {
    for flags in [&[][..], &["--plain"]] {
        let server = Served::start(flags);
        let relay = Relay::to(&server.url);
        let bytes = mebibytes(24);
        let (before, _) = relay.passed();
        relay.cut_each(4 << 20, 4);
        let words = ["put", "-", "--name", "m", "--limit-rate", "12MiB"];
        let mut command = server.command(&words);
        run_with(command.env("SKEP_SERVER", &relay.url), &bytes)
            .exits(0)
            .says("trying again");

        assert_eq!((relay.cuts_left(), server.parts()), (0, 0));
        assert!(fs::read(server.dir.join("m")).unwrap() == bytes);
        // No cut costs more than the piece that is held for that.
        let passed = relay.passed().0 - before;
        assert!(passed <= (24 + 4 * 9) << 20, "{flags:?}: {passed} bytes");
    }
}

/// A server of uploads in parts whose answer to the last part gets lost, and which then has the model or
/// not.
fn forgetful(has_model: bool) -> TempServer {
    let state = Mutex::new((Vec::new(), false));
    let handler = move |request: &mut Request<'_>| {
        let mut state = state.lock().unwrap();
        let (bytes, is_over) = &mut *state;
        let is_upload = request.path().starts_with("/v1/uploads/");
        match (request.method().as_str(), is_upload) {
            ("OPTIONS", _) => Response::new(Status::NO_CONTENT).field("upload-limit", "max-age=9"),
            ("PUT", false) => Response::new(Status::CREATED)
                .field("location", format!("/v1/uploads/{:032x}", 1))
                .field("upload-offset", "0"),
            ("PATCH", true) => {
                request.body().read_to_end(bytes).unwrap();
                *is_over = request.fields().value("upload-complete") == Some("?1");
                if *is_over {
                    return Response::text(Status::SERVICE_UNAVAILABLE, "")
                        .field("retry-after", "0");
                }
                Response::new(Status::NO_CONTENT)
            }
            ("GET", false) if *is_over && has_model => Response::new(Status::OK)
                .field("etag", Digest::of(bytes).etag())
                .field("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                .content(Content::Bytes(bytes.clone())),
            ("GET", true) if !*is_over => Response::new(Status::NO_CONTENT)
                .field("upload-complete", "?0")
                .field("upload-offset", bytes.len().to_string()),
            _ => Response::text(Status::NOT_FOUND, "none"),
        }
    };
    TempServer::start(Server::bind("127.0.0.1:0", handler).unwrap()).unwrap()
}

#[test]
fn an_upload_whose_last_answer_is_lost_is_done_only_if_the_model_is_there() {
    let bytes = mebibytes(9);
    for has_model in [true, false] {
        let server = forgetful(has_model);
        let mut client = Client::new(ClientOptions::new(server.url().parse().unwrap())).unwrap();
        let input = Piped {
            source: &mut &bytes[..],
            length: None,
            digest: None,
            empty: EmptyInput::Refused,
            complete: &mut || Ok(()),
        };
        let (name, options) = ("x".parse().unwrap(), TransferOptions::default());
        let mut retries = 0;
        let result = client.put_piped(&name, input, &options, &mut |event| {
            retries += u32::from(matches!(event, TransferEvent::Retrying { .. }));
        });
        match result {
            Ok(stored) => assert!(has_model && stored.digest == Digest::of(&bytes)),
            Err(error) => assert!(
                !has_model && error.kind() == ErrorKind::Interrupted,
                "{error:?}"
            ),
        }
        assert_eq!(retries, 1);
    }
}
