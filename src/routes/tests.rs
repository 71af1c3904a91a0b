// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The door in front of the routes, for callers that no test on one device can be.

use std::io;
use std::sync::Arc;

use super::*;
use crate::access::{
    AccessOptions, DerivedKey, Guard, Password, SignedRequest, sign, wished_nonce,
};
use crate::http::{Body, Content, Head, Session};
use crate::limits::{Limits, LiveLimits};
use crate::routes::api::RouteTable;
use crate::routes::origin::cross_origin;
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
        let rate = options.request_rate_max;
        let limits = Arc::new(LiveLimits::new(Limits::default()));
        let store = Store::open(&folder.path().join("models"), StoreOptions::default()).unwrap();
        let api = Api {
            routes: routes(true),
            store,
            guard: Guard::new(folder.path(), &secret, options).unwrap(),
            host_names: HostNames::new([]),
            events: ApiEvents::default(),
            ids: Ids::new(),
            quota: Arc::new(DayQuota::new(Arc::clone(&limits))),
            limits,
            rate: RequestRate::new(rate),
            mirror: None,
            import_bytes_before_password: 1 << 20,
            pairing: Pairing {
                home: folder.path().to_owned(),
                issue: |_, _, _, _| Password::generate().map(Some),
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
fn an_invitation_is_not_redeemed_over_a_line_that_can_be_read() {
    let house = House::new(|_| ());
    let pair = "POST /v1/pair HTTP/1.1\r\nHost: 192.0.2.9\r\nContent-Type: application/json";
    let body = "{\"schema\": 1, \"secret\": \"wrong\", \"name\": \"x\"}";
    // Over plain HTTP the secret is not even read.
    for address in [
        "192.0.2.1:5",
        "[2001:db8::1]:5",
        "10.0.0.1:5",
        "[fe80::1]:5",
    ] {
        assert_eq!(
            house.ask(&peer(address, None), pair, body),
            (403, 0),
            "{address}"
        );
    }
    let encrypted = peer("192.0.2.1:5", Some(TlsIdentity::default()));
    for near in [encrypted, peer("127.0.0.1:5", None), Peer::default()] {
        assert_eq!(house.ask(&near, pair, body).1, body.len(), "{near}");
    }
}

#[test]
fn a_lock_is_for_wrong_secrets_only() {
    let house = House::new(|options| {
        options.lockout.failures_max = 2;
        options.plain_passwords = true;
        options.plain_dearning = true;
    });
    let (one, neighbour) = (peer("[2001:db8::1]:5", None), peer("[2001:db8::2]:5", None));
    let far = peer("[2001:db8:0:1::1]:5", None);
    let wrong = "PUT /v1/models/m HTTP/1.1\r\nHost: [2001:db8::9]\r\nAuthorization: Bearer x";
    assert_eq!(house.ask(&one, wrong, "body"), (401, 0));
    assert_eq!(house.ask(&neighbour, wrong, "body"), (401, 0));

    // Both are of one network of 64 bits.
    let guess = ASK.replace("SECRET", "x");
    assert_eq!(house.ask(&one, wrong, "body"), (429, 0));
    assert_eq!(house.ask(&neighbour, LOAD, &guess).0, 429);
    assert_eq!(house.ask(&far, wrong, "body"), (401, 0));

    // What cannot be guessed passes, in a field and in a body.
    let right = wrong.replace("Bearer x", "Bearer SECRET");
    assert_eq!(house.ask(&one, &right, "body"), (201, 4));
    assert_eq!(house.ask(&one, LOAD, ASK).0, 404);
}

/// Requests as a browser sends them for a page of another site, with what it knows of this server.
const CROSS_SITE: [&str; 4] = [
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
    "Origin: https://evil.example",
    "Origin: null",
];

/// A path that fits a route.
fn path_of(route: &Route) -> String {
    route.shown().replace("KIND", "models")
}

#[test]
fn a_page_of_another_site_gets_nothing_and_counts_for_nothing() {
    let house = House::new(|options| options.lockout.failures_max = 2);
    let tls = || TlsIdentity {
        certificate: Some(b"verified".to_vec()),
        name: Some("pi".to_owned()),
    };
    let (browser, with_certificate) = (
        peer("192.0.2.1:5", Some(TlsIdentity::default())),
        peer("192.0.2.1:5", Some(tls())),
    );
    let head = |line: &str, more: &str| {
        format!("{line} HTTP/1.1\r\nHost: 192.0.2.9\r\nAuthorization: Bearer {more}")
    };

    // Each route that is not for everybody or that changes something, so that one that is added later is asked
    // as well.
    let is_guarded =
        |route: &&Route| route.access != Access::Open || !cross_origin::is_safe(route.method);
    let guarded = routes(true).iter().filter(is_guarded);
    let mut lines: Vec<_> = guarded
        .map(|route| format!("{} {}", route.method.as_str(), path_of(route)))
        .collect();
    lines.extend(["HEAD /v1/models/NAME", "POST /"].map(str::to_owned));
    for known in ["POST /v1/move/NAME", "POST /v1/pair", "POST /load_model"] {
        assert!(lines.iter().any(|line| line == known), "{lines:?}");
    }

    for field in CROSS_SITE {
        for line in &lines {
            for secret in ["SECRET", "wrong"] {
                let head = head(line, &format!("{secret}\r\n{field}"));
                assert_eq!(house.ask(&browser, &head, "{}"), (403, 0), "{head}");
                let head = head.replace("Authorization", "X-Nothing");
                assert_eq!(
                    house.ask(&with_certificate, &head, "{}"),
                    (403, 0),
                    "{head}"
                );
            }
        }
        // What shows nothing to anybody stays open.
        let open = format!("GET /healthz HTTP/1.1\r\nHost: 192.0.2.9\r\n{field}");
        assert_eq!(house.ask(&browser, &open, "").0, 200);
    }

    // Nothing was counted, and the page of this server itself may do what it likes.
    let own = "SECRET\r\nOrigin: https://192.0.2.9\r\nSec-Fetch-Site: same-origin";
    let put = head("PUT /v1/models/m", own);
    assert_eq!(house.ask(&browser, &put, "body"), (201, 4));
    let wrong = house.ask(&browser, &head("GET /v1/models", "wrong"), "");
    assert_eq!(wrong.0, 401);
}

#[test]
fn a_change_that_is_asked_for_with_unknown_words_is_refused() {
    let house = House::new(|_| {});
    let one = peer("192.0.2.1:5", Some(TlsIdentity::default()));
    let head =
        |line: &str| format!("{line} HTTP/1.1\r\nHost: 192.0.2.9\r\nAuthorization: Bearer SECRET");
    let put = head("PUT /v1/models/NAME");
    assert_eq!(house.ask(&one, &put, "body").0, 201);

    let changing = routes(true)
        .iter()
        .filter(|route| !cross_origin::is_safe(route.method));
    let mut count = 0;
    for route in changing.filter(|route| matches!(route.access, Access::Needs(_))) {
        for query in ["nonsense=1", "revision", "x=y&to=z"] {
            let line = format!("{} {}?{query}", route.method.as_str(), path_of(route));
            assert_eq!(house.ask(&one, &head(&line), "").0, 400, "{line}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
    assert_eq!(house.ask(&one, &head("GET /v1/models/NAME?x=y"), "").0, 200);
}

#[test]
fn behind_a_proxy_the_caller_counts() {
    let house = House::new(|options| {
        options.lockout.failures_max = 2;
        options.trusted_proxies = "10.0.0.1".parse().unwrap();
    });
    let proxy = peer("10.0.0.1:5", None);
    let get = |address: &str, more: &str| {
        let line = "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nX-Forwarded-Proto: https";
        format!("{line}\r\nX-Forwarded-For: 127.0.0.1, {address}\r\nAuthorization: Bearer {more}")
    };
    let ask = |address: &str, more: &str| house.ask(&proxy, &get(address, more), "").0;

    assert_eq!(ask("192.0.2.1", "x"), 401);
    assert_eq!(ask("192.0.2.1", "x"), 401);
    assert_eq!(ask("192.0.2.1", "x"), 429);
    assert_eq!(ask("192.0.2.2", "x"), 401);

    // The origin is what the browser sees.
    let own = "SECRET\r\nX-Forwarded-Host: models.example\r\nOrigin: https://models.example";
    assert_eq!(ask("192.0.2.1", own), 200);
    let other = own.replace("Host: models", "Host: other");
    assert_eq!(ask("192.0.2.1", &other), 403);

    // Who is no such proxy is not believed.
    let stranger = peer("10.0.0.2:5", None);
    assert_eq!(house.ask(&stranger, &get("192.0.2.9", own), "").0, 403);

    // A password may come over a line that was encrypted up to the proxy, and over no other.
    let load = |proto: &str| {
        let head = format!("{LOAD}\r\nX-Forwarded-For: 192.0.2.3\r\nX-Forwarded-Proto: {proto}");
        house.ask(&proxy, &head, ASK).0
    };
    assert_eq!((load("https"), load("http")), (404, 403));
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

#[test]
fn strangers_have_little_read_and_nothing_written() {
    let house = House::new(|options| options.lockout.failures_max = 2);
    let peer = |number: u8| peer(&format!("127.0.0.{number}:5"), None);
    let parts = || {
        let parts = std::fs::read_dir(house.folder.path().join("models/.skep/parts"));
        parts.map_or(0, Iterator::count)
    };

    // More than a stranger may have read is refused at once, and what is read is no tree of values.
    let large = format!(
        "{{\"a\": [{}0], \"password\": \"SECRET\"}}",
        "0,".repeat(60_000)
    );
    assert_eq!(house.ask(&peer(1), LOAD, &large), (413, 0));
    let known = format!("{LOAD}\r\nAuthorization: Bearer SECRET");
    assert_eq!(house.ask(&peer(1), &known, &large).0, 400);
    let names = format!("[{}\"x\"]", "\"x\",".repeat(1000));
    let many = format!("{{\"password\": \"SECRET\", \"filenames\": {names}}}");
    assert_eq!(house.ask(&peer(1), LOAD, &many).0, 413);

    // A content before its password is kept in memory as long as it is small.
    let import = "POST /import_model HTTP/1.1\r\nHost: 127.0.0.1";
    let content = "eHh4".repeat(10_000);
    let before = format!("{{\"filename\": \"m\", \"content_b64\": \"{content}\"");
    assert_eq!(house.ask(&peer(2), import, &format!("{before}}}")).0, 403);
    assert_eq!(parts(), 0);
    let body = format!("{before}, \"password\": \"SECRET\"}}");
    assert_eq!(house.ask(&peer(2), import, &body).0, 200);
    let stored = std::fs::read(house.folder.path().join("models/m")).unwrap();
    assert_eq!(stored.len(), 30_000);

    // Who sends on and on without one counts as who sends wrong ones.
    let flood = format!("{{\"content_b64\": \"{}", "eHh4".repeat(1_000_000));
    assert_eq!(house.ask(&peer(3), import, &flood).0, 413);
    assert_eq!(house.ask(&peer(3), import, &flood).0, 413);
    let guess = ASK.replace("SECRET", "x");
    assert_eq!(house.ask(&peer(3), LOAD, &guess).0, 429);
}

#[test]
fn a_pairing_request_says_how_long_it_is() {
    let house = House::new(|_| ());
    let peer = peer("127.0.0.1:5", None);
    let pair = "POST /v1/pair HTTP/1.1\r\nHost: 127.0.0.1";
    let large = format!("{{\"secret\": \"x\", \"name\": \"{}\"}}", "x".repeat(5000));
    assert_eq!(house.ask(&peer, pair, &large), (413, 0));

    let head = format!("{pair}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = Head::parse(head.as_bytes()).unwrap();
    let (mut session, mut source) = (Session::default(), io::Cursor::new("{}"));
    let body = Body::new(&mut source, None);
    let mut request = Request::new(&head, &peer, &mut session, body);
    assert_eq!(house.api.handle(&mut request).status().0, 411);
    assert_eq!(source.position(), 0);
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
fn a_slash_at_the_end_says_nothing() {
    let house = House::new(|_| ());
    let ask = |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer SECRET");
        house.ask(&peer("127.0.0.1:5", None), &head, "").0
    };
    for (line, status) in [
        ("GET /v1/models/", 200),
        ("GET /v1/models", 200),
        ("PUT /v1/models/", 405),
        ("GET /healthz/", 200),
        ("GET /v1/", 404),
    ] {
        assert_eq!(ask(line), status, "{line}");
    }
}

#[test]
fn a_long_list_is_never_whole_in_memory() {
    let house = House::new(|_| ());
    for number in 0..1000 {
        let path = house.folder.path().join(format!("models/{number:0>100}"));
        std::fs::write(path, "x").unwrap();
    }

    let head = "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer SECRET";
    let peer = peer("127.0.0.1:5", None);
    let answer = house.answer(&peer, head, 0, &mut io::empty());
    let Content::Chunked(mut list) = answer.content else {
        panic!("a list of 1000 models was written before the first byte of it was sent");
    };

    let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let count = io::Read::read(&mut list, &mut buffer).unwrap();
        if count == 0 {
            break;
        }
        // A piece, and the model that made it long enough.
        assert!(count < 33 << 10, "{count}");
        text.extend_from_slice(&buffer[..count]);
    }
    let list: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(list["models"].as_array().unwrap().len(), 1000);
}

#[test]
fn no_path_of_this_device_leaves_it() {
    let house = House::new(|_| ());
    // Something that is no file of invitations is in its place.
    std::fs::create_dir(house.folder.path().join("invitations")).unwrap();

    let body = "{\"schema\": 1, \"secret\": \"x\", \"name\": \"x\"}";
    let head = "POST /v1/pair HTTP/1.1\r\nHost: 127.0.0.1";
    let peer = peer("127.0.0.1:5", None);
    let answer = house.answer(&peer, head, body.len(), &mut body.as_bytes());
    assert_eq!(answer.status().0, 500);
    let Content::Bytes(text) = answer.content else {
        panic!("an error is a text");
    };
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("in its log"), "{text}");
    assert!(!text.contains("invitations"), "{text}");
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

#[test]
fn the_content_of_a_signed_request_is_what_was_signed() {
    let house = House::new(|_| {});
    let key = DerivedKey::of(house.secret.text().as_bytes()).unwrap();
    let wish = house.api.guard.signature_wish().unwrap();
    let digest = crate::digest::Digest::of(b"signed").field();
    let fields = vec![("host", "pi"), ("content-digest", digest.as_str())];
    let signed = SignedRequest {
        method: "POST",
        is_encrypted: false,
        host: "pi",
        target: "/v1/verify/m",
        fields,
        has_content: true,
    };
    let nonce = wished_nonce(&wish);
    let (input, signature) = sign(&key, &signed, nonce.as_deref(), None).unwrap();
    let head = format!(
        "POST /v1/verify/m HTTP/1.1\r\nHost: pi\r\nContent-Digest: {digest}\r\n\
         Signature-Input: {input}\r\nSignature: {signature}\r\nContent-Length: 6\r\n\r\n"
    );
    let head = Head::parse(head.as_bytes()).unwrap();
    let peer = peer("192.0.2.1:5", None);

    // The route does not know of any digest.
    let mut session = Session::default();
    let mut other = &b"Signed"[..];
    let mut request = Request::new(&head, &peer, &mut session, Body::new(&mut other, Some(6)));
    let caller = house.api.caller(&mut request).unwrap();
    assert_eq!(caller.unwrap().name, "owner");
    let error = request.body().read_all(100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let house = House::new(|options| {
        options.anonymous_read = true;
        options.request_rate_max = 2;
    });
    let ask = |from: &str, path: &str, secret: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1{secret}");
        house.ask(&peer(from, None), &head, "").0
    };
    let one = "127.0.0.1:5";
    let secret = "\r\nAuthorization: Bearer SECRET";

    // What watches the server does not count.
    for _ in 0..3 {
        assert_eq!(ask(one, "/healthz", ""), 200);
    }
    for status in [200, 200, 429] {
        assert_eq!(ask(one, "/v1/models", ""), status);
    }

    // A stranger at the same address uses up nothing of the owner.
    assert_eq!(ask(one, "/healthz", ""), 200);
    for status in [200, 200, 429] {
        assert_eq!(ask(one, "/v1/models", secret), status);
    }
    assert_eq!(ask(one, "/", ""), 429);
}

#[test]
fn refusals_count_for_the_address_that_asks_for_them() {
    let house = House::new(|options| options.request_rate_max = 2);
    std::fs::write(house.folder.path().join("models/m"), "x").unwrap();
    let ask = |from: &str, path: &str, secret: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1{secret}");
        house.ask(&peer(from, None), &head, "").0
    };

    for (from, path) in [
        ("127.0.0.1:5", "/v1/models"),
        ("192.0.2.2:5", "/v1/models/m"),
        ("192.0.2.3:5", "/v1/uploads/x"),
    ] {
        for status in [401, 401, 429, 429] {
            assert_eq!(ask(from, path, ""), status, "{path}");
        }
        assert_eq!(ask(from, "/healthz", ""), 200);
    }
    for status in [404, 404, 429] {
        assert_eq!(ask("192.0.2.9:5", "/nowhere", ""), status);
    }

    // Whoever shows who it is has a count of its own.
    let secret = "\r\nAuthorization: Bearer SECRET";
    assert_eq!(ask("127.0.0.1:5", "/v1/models", secret), 200);
}

#[test]
fn a_server_without_the_dearning_api_has_no_such_paths() {
    let has = |routes: RouteTable, path: &str| routes.iter().any(|route| route.path == [path]);
    for path in ["import_model", "load_model"] {
        assert!(
            has(routes(true), path) && !has(routes(false), path),
            "{path}"
        );
    }
    let count = |has_dearning| routes(has_dearning).iter().count();
    assert_eq!(count(false) + 2, count(true));
}
