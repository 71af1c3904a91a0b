// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Servers that are older than the client, or take what it asks for otherwise.

use skep::client::{Client, ClientOptions};
use skep::{
    Digest, Error, ErrorKind, Request, Response, Server, Status, TempServer, VersionChoice,
};

/// A model as servers describe it.
fn described(name: &str, bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({
        "name": name, "size": bytes.len(), "modified": "2026-01-01T00:00:00Z",
        "digest": format!("{:?}", Digest::of(bytes)),
    })
}

/// What `ask` gets from a server that answers in this way.
fn asked<T>(
    answer: impl Fn(&Request<'_>) -> serde_json::Value + Send + Sync + 'static,
    ask: impl FnOnce(&mut Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let handler = move |request: &mut Request<'_>| Response::json(Status::OK, &answer(request));
    let server = TempServer::start(Server::bind("127.0.0.1:0", handler).unwrap()).unwrap();
    let mut client = Client::new(ClientOptions::new(server.url().parse().unwrap())).unwrap();
    ask(&mut client)
}

#[test]
fn a_rollback_to_other_bytes_than_were_meant_is_told() {
    let back = |choice| {
        let ask = |client: &mut Client| client.rollback_to(&"m".parse().unwrap(), choice);
        asked(|_| described("m", b"newest"), ask)
    };
    let [meant, other] =
        [&b"newest"[..], b"meant"].map(|bytes| VersionChoice::Digest(Digest::of(bytes)));
    for choice in [VersionChoice::Newest, VersionChoice::Number(7), meant] {
        assert_eq!(back(choice).unwrap().digest, Some(Digest::of(b"newest")));
    }
    assert_eq!(back(other).unwrap_err().kind(), ErrorKind::Integrity);
}

#[test]
fn a_list_is_read_page_by_page_and_each_page_leads_on() {
    let listed = |second: &'static str| {
        let answer = move |request: &Request<'_>| {
            let after = request.query().unwrap_or_default().split("after=").nth(1);
            let (name, next) = match after.map(|after| after.split('&').next().unwrap()) {
                None => ("a", Some("b")),
                Some("b") => ("c", Some(second)),
                Some(_) => ("e", None),
            };
            let models = [described(name, b"x")];
            serde_json::json!({"schema": 1, "models": models, "next": next})
        };
        let names = asked(answer, Client::list)?.into_iter();
        Ok::<_, Error>(
            names
                .map(|model| model.name.to_string())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(listed("d").unwrap(), ["a", "c", "e"]);
    for next in ["b", "a", ""] {
        assert_eq!(listed(next).unwrap_err().kind(), ErrorKind::NotImplemented);
    }
}
