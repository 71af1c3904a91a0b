// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The door in front of the routes, for callers that no test on one device can be.

use std::io;
use std::sync::Arc;

use super::*;
use crate::access::{AccessOptions, Guard, Password};
use crate::http::{Body, Head, Session};
use crate::limits::{Limits, LiveLimits};
use crate::store::{Store, StoreOptions};
use crate::transport::{Peer, TlsIdentity};

struct House {
    api: Api,
    secret: Password,
    folder: tempfile::TempDir,
}

impl House {
    fn new(set: impl FnOnce(&mut AccessOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = Password::generate().unwrap();
        let mut options = AccessOptions::default();
        set(&mut options);
        let store = Store::open(&folder.path().join("models"), StoreOptions::default()).unwrap();
        let api = Api {
            routes: ROUTES,
            store,
            guard: Guard::new(folder.path(), &secret, options).unwrap(),
            host_names: HostNames::new([]),
            events: ApiEvents::default(),
            ids: Ids::new(),
            limits: Arc::new(LiveLimits::new(Limits::default())),
            import_bytes_before_password: 1 << 20,
            pairing: Pairing {
                home: folder.path().to_owned(),
                issue: |_, _, _| Password::generate(),
            },
        };
        Self {
            api,
            secret,
            folder,
        }
    }

    /// The status, and how much of the body was read.
    fn ask(&self, peer: &Peer, head: &str, body: &str) -> (u16, usize) {
        let mut source = io::Cursor::new(body.replace("SECRET", self.secret.text()));
        let answer = self.answer(peer, head, body.len(), &mut source);
        let read = usize::try_from(source.position()).unwrap();
        (answer.status().0, read)
    }

    /// The answer to a request whose body has this length and comes from `source`.
    fn answer(
        &self,
        peer: &Peer,
        head: &str,
        length: usize,
        source: &mut dyn io::Read,
    ) -> Response {
        let head = head.replace("SECRET", self.secret.text());
        let head = format!("{head}\r\nContent-Length: {length}\r\n\r\n");
        let head = Head::parse(head.as_bytes()).unwrap();
        let mut session = Session::default();
        let body = Body::new(source, Some(length as u64));
        self.api
            .handle(&mut Request::new(&head, peer, &mut session, body))
    }
}

fn peer(address: &str, tls: Option<TlsIdentity>) -> Peer {
    Peer {
        address: Some(address.parse().unwrap()),
        tls,
        ..Peer::default()
    }
}

const LOAD: &str = "POST /load_model HTTP/1.1\r\nHost: 192.0.2.9";
const ASK: &str = "{\"password\": \"SECRET\", \"filename\": \"none\"}";

#[test]
fn the_dearning_api_takes_no_password_from_a_line_that_can_be_read() {
    let encrypted = || peer("192.0.2.1:5", Some(TlsIdentity::default()));
    let house = House::new(|_| ());
    assert_eq!(house.ask(&peer("192.0.2.1:5", None), LOAD, ASK), (403, 0));
    assert_eq!(house.ask(&encrypted(), LOAD, ASK).0, 404);
    assert_eq!(house.ask(&peer("127.0.0.1:5", None), LOAD, ASK).0, 404);
    assert_eq!(house.ask(&Peer::default(), LOAD, ASK).0, 404);
    let house = House::new(|options| options.plain_dearning = true);
    assert_eq!(house.ask(&peer("192.0.2.1:5", None), LOAD, ASK).0, 404);
}

#[test]
fn whoever_is_locked_out_has_no_body_read() {
    let house = House::new(|options| {
        options.lockout.failures_max = 2;
        options.plain_dearning = true;
    });
    let (one, neighbour) = (peer("[2001:db8::1]:5", None), peer("[2001:db8::2]:5", None));
    let far = peer("[2001:db8:0:1::1]:5", None);
    let wrong = "PUT /v1/models/m HTTP/1.1\r\nHost: [2001:db8::9]\r\nAuthorization: Bearer x";
    assert_eq!(house.ask(&one, wrong, "body"), (401, 0));
    assert_eq!(house.ask(&neighbour, wrong, "body"), (401, 0));
    // Both are of one network of 64 bits.
    let right = wrong.replace("Bearer x", "Bearer SECRET");
    assert_eq!(house.ask(&one, &right, "body"), (429, 0));
    assert_eq!(house.ask(&one, LOAD, ASK), (429, 0));
    assert_eq!(house.ask(&far, &right, "body"), (201, 4));
}

#[test]
fn a_certificate_has_a_role_and_is_no_proof_against_web_pages() {
    let certificate = |name: &str| {
        let tls = TlsIdentity {
            certificate: Some(b"verified".to_vec()),
            name: Some(name.to_owned()),
        };
        peer("192.0.2.1:5", Some(tls))
    };
    let house = House::new(|options| options.certificate_roles = "pi=write".parse().unwrap());
    let list = "GET /v1/models HTTP/1.1\r\nHost: 192.0.2.9";
    let put = "PUT /v1/models/m HTTP/1.1\r\nHost: 192.0.2.9";
    assert_eq!(house.ask(&certificate("pi"), put, "body"), (201, 4));
    assert_eq!(house.ask(&certificate("other"), put, "body"), (403, 0));
    assert_eq!(house.ask(&certificate("other"), list, "").0, 200);
    let evil = list.replace("192.0.2.9", "evil.example");
    assert_eq!(house.ask(&certificate("pi"), &evil, "").0, 421);
    // A password counts more than a certificate.
    let both = format!("{put}\r\nAuthorization: Bearer SECRET");
    assert_eq!(house.ask(&certificate("other"), &both, "body").0, 200);
    let import = "POST /import_model HTTP/1.1\r\nHost: 192.0.2.9";
    let body = "{\"password\": \"SECRET\", \"filename\": \"a\", \"content_b64\": \"eA==\"}";
    assert_eq!(house.ask(&certificate("other"), import, body).0, 200);
    let body = "{\"filename\": \"a\", \"content_b64\": \"eA==\"}";
    assert_eq!(house.ask(&certificate("other"), import, body).0, 403);
    assert_eq!(house.ask(&certificate("pi"), import, body).0, 200);
}

/// A body that comes while somebody changes a model by hand.
struct Meddling<'a>(&'a std::path::Path, &'a [u8]);

impl io::Read for Meddling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::fs::write(self.0, "other bytes")?;
        self.1.read(buffer)
    }
}

#[test]
fn a_model_that_changes_while_its_successor_comes_is_not_replaced() {
    let house = House::new(|_| ());
    let path = house.folder.path().join("models/m");
    // A file that was just copied in: its digest is not known yet.
    std::fs::write(&path, "bytes").unwrap();

    let put = "PUT /v1/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer SECRET";
    let head = format!("{put}\r\nIf-Unmodified-Since: Thu, 01 Jan 2099 00:00:00 GMT");
    let peer = peer("127.0.0.1:5", None);
    let answer = house.answer(&peer, &head, 3, &mut Meddling(&path, b"new"));
    assert_eq!(answer.status().0, 412);
    assert_eq!(std::fs::read(&path).unwrap(), b"other bytes");

    assert_eq!(house.ask(&peer, &head, "new"), (200, 3));
}

#[test]
fn the_whole_server_tells_its_methods() {
    let house = House::new(|_| ());
    let ask = |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1");
        house.answer(&peer("127.0.0.1:5", None), &head, 0, &mut io::empty())
    };

    // RFC 9110 section 9.3.7.
    let answer = ask("OPTIONS *");
    assert_eq!(answer.status(), Status::NO_CONTENT);
    assert_eq!(
        answer.value("allow"),
        Some("GET, PUT, POST, DELETE, PATCH, HEAD, OPTIONS")
    );
    for other in ["GET *", "OPTIONS /*", "OPTIONS /none"] {
        assert_eq!(ask(other).status().0, 404, "{other}");
    }
}

#[test]
fn only_get_knows_ranges() {
    let house = House::new(|_| ());
    let peer = peer("127.0.0.1:5", None);
    let ask = |line: &str, more: &str, body: &str| {
        let head = format!("{line} /v1/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}");
        let head = format!("{head}\r\nAuthorization: Bearer SECRET");
        house.ask(&peer, &head, body).0
    };

    assert_eq!(ask("PUT", "X-Y: z", "bytes"), 201);

    for (range, got) in [("bytes=1-2", 206), ("bytes=9-", 416)] {
        let field = format!("Range: {range}");
        assert_eq!(ask("GET", &field, ""), got, "{range}");
        assert_eq!(ask("HEAD", &field, ""), 200, "{range}");
    }
}

#[test]
fn codings_have_no_case() {
    let house = House::new(|_| ());
    let put = |coding: &str| {
        let head = "PUT /v1/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer SECRET";
        let head = format!("{head}\r\nContent-Encoding: {coding}");
        house.ask(&peer("127.0.0.1:5", None), &head, "bytes").0
    };

    // RFC 9110 section 8.4.1.
    assert_eq!(put("Identity"), 201);
    assert_eq!(put("gzip"), 415);
}
