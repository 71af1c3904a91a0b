// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Records that are nothing but padding (RFC 8446 section 5.4) cost a server much and a caller little:
//! others have their turn between them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::process::Signal;
use rustls::crypto::ring as provider;
use rustls::{ClientConnection, ConnectionTrafficSecrets, HandshakeKind};

use crate::http::rude::trusting;
use crate::support::process::Place;
use crate::support::raw::{PATIENCE, get};
use crate::support::served::Served;

/// Nearly all that a record may have.
const PADDING: usize = 16_000;

/// A caller that makes its records itself.
struct Sealer {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
}

impl Sealer {
    /// Shakes hands, and takes over what rustls has agreed upon.
    fn connect(address: &str) -> (TcpStream, Self) {
        let mut crypto = provider::default_provider();
        crypto.cipher_suites = vec![provider::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let mut config = trusting(crypto);
        config.enable_secret_extraction = true;
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();

        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        while client.is_handshaking() || client.wants_write() {
            client.complete_io(&mut stream).unwrap();
        }
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));

        let (number, secrets) = client.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            panic!("another cipher");
        };
        let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap();
        let sealer = Self {
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().unwrap(),
            number,
        };
        (stream, sealer)
    }

    /// A record with this content and much padding.
    fn record(&mut self, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, mask) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= mask;
        }
        self.number += 1;

        // The type of the content comes behind it, and zeros behind that.
        let mut sealed = [content, &[0x17]].concat();
        sealed.resize(content.len() + 1 + PADDING, 0);
        let length = u16::try_from(sealed.len() + AES_128_GCM.tag_len()).unwrap();
        let header = [&[0x17, 3, 3], length.to_be_bytes().as_slice()].concat();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&header),
                &mut sealed,
            )
            .unwrap();
        [header, sealed].concat()
    }
}

/// Has a server find these records and, behind them, a short request of somebody else; asserts that it
/// answers the latter first.
fn others_come_first(records: impl FnOnce(&mut Sealer) -> Vec<u8>) {
    let place = Place::new();
    let path = place.path("socket");
    let plain = format!("http://unix:{}", path.display());
    let server = Served::start_in(&place, &[&plain, "--log-polls"]);
    let address = server.url.trim_start_matches("https://");

    let (mut padded, mut sealer) = Sealer::connect(address);
    let bytes = records(&mut sealer);
    let mut other = UnixStream::connect(&path).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |stream: &mut UnixStream| {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).unwrap();
        assert!(piece[..count].starts_with(b"HTTP/1.1 200 "));
    };
    other.write_all(get("/healthz").as_bytes()).unwrap();
    ask(&mut other);

    // The server finds all that the kernel takes of both.
    server.process.interrupt();
    padded.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < bytes.len() {
        match padded.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    other.write_all(get("/healthz?second").as_bytes()).unwrap();
    server.process.signal(Signal::CONT);
    ask(&mut other);
    padded.set_nonblocking(false).unwrap();
    padded.write_all(&bytes[sent..]).unwrap();
    server.process.await_stderr("/padded");

    // Both are answered by the thread that waits for everybody, which logs them in its order.
    let log = server.stop().exits(0).stderr;
    let position = |what: &str| {
        let lines = log.lines();
        let found = lines.enumerate().filter(|(_, line)| line.contains(what));
        found.last().unwrap_or_else(|| panic!("no {what}: {log}")).0
    };
    assert!(
        position("GET /healthz 200") < position("GET /padded"),
        "{log}"
    );
}

#[test]
fn a_head_whose_every_byte_is_padded_does_not_hold_up_others() {
    others_come_first(|sealer| {
        let head = get(&format!("/padded{}", "x".repeat(100)));
        head.as_bytes()
            .iter()
            .flat_map(|byte| sealer.record(&[*byte]))
            .collect()
    });
}

#[test]
fn records_without_content_do_not_hold_up_others() {
    others_come_first(|sealer| {
        // More than 32 of them in a row would end the connection.
        let nothing = (0..30).flat_map(|_| sealer.record(b"")).collect::<Vec<_>>();
        [nothing, sealer.record(get("/padded").as_bytes())].concat()
    });
}
