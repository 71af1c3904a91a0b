// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The record layer against a client of rustls with buffers, over a socket whose bytes come in pieces.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::server::UnbufferedServerConnection;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use rustls_pki_types::PrivateKeyDer;

use super::encrypted::Encrypted;
use super::incoming::Incoming;
use super::records::Records;
use super::spare_buffers::SpareBuffers;
use crate::edge::socket::{Socket, Timed};
use crate::tls::Following;
use crate::transport::{Peer, TimeLimit, Transport as _};

/// A sequence that is the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let start = self.roll(251);
        (start..start + length)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect()
    }
}

/// Both sides' configurations, for one version.
struct Sides {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Sides {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();

        let server = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let mut client = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = rustls::client::Resumption::disabled();
        client.enable_secret_extraction = true;
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    fn both() -> [Self; 2] {
        [
            Self::new(&rustls::version::TLS12),
            Self::new(&rustls::version::TLS13),
        ]
    }
}

/// A connection of both.
struct Pair {
    client: ClientConnection,
    far: UnixStream,
    records: Records,
    timed: Timed,
    spare: Arc<SpareBuffers>,
}

impl Pair {
    fn new(sides: &Sides) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let mut timed = Timed::new(Arc::new(Socket::Unix(near)));
        timed.set_read_limit(TimeLimit::AT_ONCE);
        timed.set_write_limit(TimeLimit::AT_ONCE);
        let spare = Arc::new(SpareBuffers::default());
        let session = UnbufferedServerConnection::new(Arc::clone(&sides.server)).unwrap();
        let name = "pi.local".try_into().unwrap();
        Self {
            client: ClientConnection::new(Arc::clone(&sides.client), name).unwrap(),
            far,
            records: Records::new(session, Incoming::default(), Arc::clone(&spare)),
            timed,
            spare,
        }
    }

    /// What the client wants to send.
    fn flight(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Has the client read at most so many bytes of what the server has sent.
    fn hear(&mut self, most: usize, heard: &mut Vec<u8>) {
        let mut bytes = vec![0; most];
        let Ok(count) = self.far.read(&mut bytes) else {
            return;
        };
        let mut bytes = &bytes[..count];
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
            let _ = self.client.reader().read_to_end(heard);
        }
    }

    /// Shakes hands; `cut` says how many of the bytes that are left go at once.
    fn shake_hands(&mut self, mut cut: impl FnMut(usize) -> usize) {
        loop {
            let bytes = self.flight();
            let mut left = &bytes[..];
            while !left.is_empty() {
                let count = cut(left.len()).clamp(1, left.len());
                self.far.write_all(&left[..count]).unwrap();
                left = &left[count..];
                match self.records.shake_hands(&mut self.timed) {
                    Ok(()) => assert!(left.is_empty()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                }
            }
            self.hear(1 << 20, &mut Vec::new());
            if !self.client.is_handshaking() && !self.client.wants_write() {
                break;
            }
        }
        assert!(!self.records.rustls().is_handshaking());
    }

    fn has_more(&self) -> bool {
        self.records.has_more() || !self.timed.is_drained()
    }

    fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; most];
        let had_more = self.has_more();
        let result = self.records.read(&mut self.timed, &mut buffer);
        let count = result?;
        assert!(had_more || count == 0, "{count} bytes that nothing told of");
        buffer.truncate(count);
        Ok(buffer)
    }

    /// Reads all that is there.
    fn read_all(&mut self, most: usize) -> Vec<u8> {
        let mut whole = Vec::new();
        // The test has written something, which an event would tell.
        self.timed.expect_more();
        loop {
            match self.read(most) {
                Ok(bytes) if bytes.is_empty() => return whole,
                Ok(bytes) => whole.extend(bytes),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    // Others have their turn before a record that comes in many pieces.
                    if !self.has_more() {
                        assert_eq!(self.records.held_bytes().1, 0);
                        return whole;
                    }
                }
            }
        }
    }

    fn say(&mut self, content: &[u8]) -> Vec<u8> {
        self.client.writer().write_all(content).unwrap();
        self.flight()
    }

    /// Makes the client's side a bare encrypter, which can send what no client would.
    fn forger(self) -> (Forger, UnixStream, Records, Timed) {
        let secrets = self.client.dangerous_extract_secrets().unwrap();
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            panic!("another cipher");
        };
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let forger = Forger {
            encrypter: suite.aead_alg.encrypter(key, iv),
            sequence,
        };
        (forger, self.far, self.records, self.timed)
    }
}

struct Forger {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Forger {
    fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(payload),
        };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        record.encode()
    }

    /// Content and then zeros (RFC 8446 section 5.4).
    fn padded(&mut self, content: &[u8], zeros: usize) -> Vec<u8> {
        let mut payload = content.to_vec();
        payload.push(23);
        payload.resize(payload.len() + zeros - 1, 0);
        self.record(ContentType::Unknown(0), &payload)
    }
}

#[test]
fn a_hello_may_be_cut_anywhere() {
    for sides in Sides::both() {
        let length = Pair::new(&sides).flight().len();
        for at in (1..length).step_by(3) {
            let mut is_first = true;
            let mut pair = Pair::new(&sides);
            pair.shake_hands(|left| {
                if std::mem::take(&mut is_first) {
                    at
                } else {
                    left
                }
            });
        }
        Pair::new(&sides).shake_hands(|_| 1);
    }
}

#[test]
fn records_may_be_cut_anywhere() {
    let mut dice = Dice(7);
    for sides in Sides::both() {
        let mut pair = Pair::new(&sides);
        pair.shake_hands(|left| left);
        for at in 0.. {
            let (first, second) = (dice.bytes(90), dice.bytes(300));
            let bytes = [pair.say(&first), pair.say(&second)].concat();
            if at > bytes.len() {
                break;
            }
            let whole = [first, second].concat();
            pair.far.write_all(&bytes[..at]).unwrap();
            let mut got = pair.read_all(1 + at % 400);
            assert!(whole.starts_with(&got));
            pair.far.write_all(&bytes[at..]).unwrap();
            got.extend(pair.read_all(1 + at % 400));
            assert_eq!(got, whole, "cut at {at}");
            let (incoming, decrypted, _) = pair.records.held_bytes();
            assert_eq!((incoming, decrypted), (0, 0), "idle");
        }
    }
}

#[test]
fn content_arrives_as_it_was_sent_however_it_is_cut() {
    for sides in Sides::both() {
        for run in 1..=12 {
            let mut dice = Dice(run * 0x9e37_79b9);
            let mut pair = Pair::new(&sides);
            pair.shake_hands(|left| dice.roll(left) + 1);
            let (mut said, mut got): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
            let (mut answered, mut heard): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());

            for _ in 0..40 {
                // Records of any size, sent in pieces of any size, read in any portions.
                let length = [3, 500, 9000, 60_000][dice.roll(4)];
                let content = dice.bytes(length);
                if dice.roll(8) == 0 {
                    // TLS 1.2 has no such thing.
                    let _ = pair.client.refresh_traffic_keys();
                }
                let bytes = pair.say(&content);
                said.extend(&content);
                let mut left = &bytes[..];
                let most = [1, 100, 5000, 100_000][dice.roll(4)];
                while !left.is_empty() {
                    let count = (dice.roll(30_000) + 1).min(left.len());
                    pair.far.write_all(&left[..count]).unwrap();
                    left = &left[count..];
                    // A slow reader leaves records where they are.
                    if dice.roll(3) > 0 || !left.is_empty() {
                        got.extend(pair.read_all(most));
                        let (incoming, decrypted, _) = pair.records.held_bytes();
                        assert!(incoming <= 18_437 && decrypted == 0);
                    }
                }

                // The kernel takes what it takes, and the client reads what it wants.
                let length = [1, 4000, 70_000, 300_000][dice.roll(4)];
                let content = dice.bytes(length);
                let mut left = &content[..];
                while !left.is_empty() || pair.records.has_unsent() {
                    match pair.records.write(&mut pair.timed, left) {
                        Ok(0) => {}
                        Ok(count) => left = &left[count..],
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                    if left.is_empty() {
                        let _ = pair.records.send(&mut pair.timed);
                    }
                    assert!(pair.records.held_bytes().2 <= 70_000);
                    pair.hear(dice.roll(100_000) + 1, &mut heard);
                }
                answered.extend(&content);
            }

            got.extend(pair.read_all(100_000));
            assert!(got == said, "run {run}");
            while answered.len() > heard.len() {
                pair.hear(1 << 20, &mut heard);
            }
            assert!(heard == answered, "run {run}");
            assert_eq!(pair.records.held_bytes(), (0, 0, 0));

            pair.client.send_close_notify();
            let goodbye = pair.flight();
            pair.far.write_all(&goodbye).unwrap();
            pair.timed.expect_more();
            assert_eq!(pair.read(10).unwrap(), b"");
            assert_eq!(pair.read(10).unwrap(), b"");
            pair.records.say_goodbye(&mut pair.timed);
            pair.hear(1000, &mut heard);
            assert_eq!(pair.client.reader().read(&mut [0; 9]).unwrap(), 0);
            assert!(pair.records.write(&mut pair.timed, b"more").is_err());
        }
    }
}

#[test]
fn tickets_are_sent_before_anything_else() {
    let mut pair = Pair::new(&Sides::new(&rustls::version::TLS13));
    pair.shake_hands(|left| left);
    assert!(pair.client.tls13_tickets_received() > 0);
    assert_eq!(pair.records.held_bytes(), (0, 0, 0));
}

#[test]
fn what_ends_without_a_goodbye_may_be_cut() {
    for sides in Sides::both() {
        let mut pair = Pair::new(&sides);
        pair.shake_hands(|left| left);
        let bytes = pair.say(b"whole");
        pair.far.write_all(&bytes).unwrap();
        let bytes = pair.say(b"half");
        pair.far.write_all(&bytes[..bytes.len() - 1]).unwrap();
        pair.far.shutdown(std::net::Shutdown::Write).unwrap();
        pair.timed.expect_more();
        assert_eq!(pair.read(100).unwrap(), b"whole");
        for _ in 0..2 {
            assert_eq!(pair.read(100).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }
}

#[test]
fn a_client_is_told_what_was_wrong_once() {
    for sides in Sides::both() {
        let mut pair = Pair::new(&sides);
        pair.shake_hands(|left| left);
        let mut bytes = pair.say(b"content");
        *bytes.last_mut().unwrap() ^= 1;
        pair.far.write_all(&bytes).unwrap();
        pair.timed.expect_more();
        for _ in 0..2 {
            assert_eq!(pair.read(100).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        assert!(pair.records.write(&mut pair.timed, b"more").is_err());
        pair.records.say_goodbye(&mut pair.timed);

        let mut bytes = [0; 4096];
        let count = pair.far.read(&mut bytes).unwrap();
        pair.client.read_tls(&mut &bytes[..count]).unwrap();
        let error = pair.client.process_new_packets().unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
        let more = pair.far.read(&mut [0; 99]);
        assert_eq!(more.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_part_of_a_message_is_no_reason_to_go_on_and_none_to_fail() {
    let mut pair = Pair::new(&Sides::new(&rustls::version::TLS13));
    pair.shake_hands(|left| left);
    let (mut forger, mut far, mut records, mut timed) = pair.forger();
    // The first bytes of a key update: rustls keeps them where they are.
    far.write_all(&forger.record(ContentType::Handshake, &[24, 0, 0]))
        .unwrap();
    let mut buffer = [0; 100];
    let error = records.read(&mut timed, &mut buffer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(!records.has_more() && timed.is_drained());
    assert_eq!(records.write(&mut timed, b"answer").unwrap(), 6);
    assert!(!records.has_more());

    // A message that never ends is not kept without end.
    let mut kept = 0;
    let error = loop {
        let _ = far.write_all(&forger.record(ContentType::Handshake, &[0; 1000]));
        match records.read(&mut timed, &mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => break result.unwrap_err(),
        }
        kept = records.held_bytes().0;
        assert!(kept <= 18_437, "{kept}");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidData, "after {kept}");
}

#[test]
fn padding_without_content_does_not_hold_the_reader() {
    let mut pair = Pair::new(&Sides::new(&rustls::version::TLS13));
    pair.shake_hands(|left| left);
    let (mut forger, mut far, mut records, mut timed) = pair.forger();
    let padding: Vec<u8> = (0..8).flat_map(|_| forger.padded(b"", 16_000)).collect();
    far.write_all(&padding).unwrap();
    far.write_all(&forger.padded(b"x", 16_000)).unwrap();

    let (mut turns, mut buffer) = (0, [0; 100]);
    loop {
        turns += 1;
        match records.read(&mut timed, &mut buffer) {
            Ok(count) => break assert_eq!(&buffer[..count], b"x"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(
            !timed.is_drained(),
            "there is more, and no event tells of it"
        );
    }
    assert!(turns > 1, "all in one turn");
}

#[test]
fn waiting_connections_share_their_buffers() {
    let sides = Sides::new(&rustls::version::TLS13);
    let mut pair = Pair::new(&sides);
    pair.shake_hands(|left| left);
    let bytes = pair.say(&[7; 40_000]);
    pair.far.write_all(&bytes[..20_000]).unwrap();
    // A reader with much room has a large buffer only while it reads.
    pair.timed.expect_more();
    assert_eq!(pair.read(65_536).unwrap().len(), 16_384);
    assert_eq!(pair.read(65_536).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(pair.records.held_bytes().0 < 4096);
    let taken = pair.spare.take();
    pair.spare.give_back(vec![0; 3]);
    assert_eq!(taken.len(), super::spare_buffers::SPARE_BYTES);
}

#[test]
fn tiny_records_carry_all_of_the_content() {
    let sides = Sides::new(&rustls::version::TLS13);
    let mut server = (*sides.server).clone();
    server.max_fragment_size = Some(32);
    let mut pair = Pair::new(&Sides {
        server: Arc::new(server),
        ..sides
    });
    pair.shake_hands(|left| left);

    let content = Dice(3).bytes(200_000);
    let (mut left, mut heard) = (&content[..], Vec::new());
    while !left.is_empty() || pair.records.has_unsent() {
        let result = pair.records.write(&mut pair.timed, left);
        match result {
            Ok(count) => left = &left[count..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        if left.is_empty() {
            let _ = pair.records.send(&mut pair.timed);
        }
        pair.hear(1 << 20, &mut heard);
    }
    while heard.len() < content.len() {
        pair.hear(1 << 20, &mut heard);
    }
    assert!(heard == content);
}

#[test]
fn an_encrypted_connection_keeps_its_own_limits_and_says_what_it_still_has() {
    let sides = Sides::new(&rustls::version::TLS13);
    let mut pair = Pair::new(&sides);
    pair.shake_hands(|left| left);
    let basis = (Arc::new(Following::ready(Arc::clone(&sides.server))), None);
    let mut encrypted = Encrypted::new(
        pair.records,
        &pair.spare,
        pair.timed,
        Peer::default(),
        basis,
    );
    let moment = TimeLimit {
        step: Duration::from_millis(1),
        deadline: None,
    };
    let kind = |error: io::Error| error.kind();

    // What was not announced is looked for once an event tells of it.
    encrypted.set_read_limit(moment);
    let late = encrypted.read(&mut [0; 9]).map_err(kind);
    assert_eq!(late, Err(ErrorKind::TimedOut));
    encrypted.set_read_limit(TimeLimit::AT_ONCE);
    let nothing = encrypted.read(&mut [0; 9]).map_err(kind);
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    assert!(!encrypted.has_more() && !encrypted.is_left());
    encrypted.expect_more();
    assert!(encrypted.has_more());

    // Reading has set the limit of writing as well, until that has its own.
    let held = encrypted.taken();
    while !encrypted.has_unsent() {
        encrypted.write_all(&[b'x'; 16_384]).unwrap();
    }
    assert!(encrypted.taken() > held + 16_384 && encrypted.held_when_full() > 1);
    let full = encrypted.flush().map_err(kind);
    assert_eq!(full, Err(ErrorKind::WouldBlock));
    encrypted.set_write_limit(moment);
    let late = encrypted.flush().map_err(kind);
    assert_eq!(late, Err(ErrorKind::TimedOut));

    drop(pair.far);
    assert!(encrypted.is_left());
}
