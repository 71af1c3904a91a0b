// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS 1.3 and 1.2 by rustls on the server's side: the handshake under a deadline, then a transport.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ServerConfig, ServerConnection, SupportedCipherSuite};
use rustls_pki_types::UnixTime;

use super::certificate::Identity;
use super::listener::Incoming;
use super::mutual::Callers;
use super::socket::{Plain, Timed};
use crate::clock;
use crate::cpu;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Activity, Peer, TimeLimit, TlsIdentity, Transport};
use crate::x509::Facts;

/// Turns accepted connections into encrypted ones.
#[derive(Clone)]
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    /// Whether nobody gets in without a certificate.
    must_be_known: bool,
}

impl Acceptor {
    /// An acceptor that shows this identity and lets in these callers.
    ///
    /// # Errors
    /// `Usage` if the authorities of callers cannot be used.
    pub(crate) fn new(identity: &Identity, callers: &Callers) -> Result<Self> {
        let unusable = |error: rustls::Error| {
            let text = "the certificate and its key cannot be used";
            Error::new(ErrorKind::Usage, format!("{text}: {error}")).because(error)
        };
        let provider = provider();
        let verifier = callers.verifier(&provider)?;
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(Floored))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain(), identity.key())
            .map_err(unusable)?;
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Sessions that can be resumed are kept here, 256 at most, and go when the files change, so
        // that nobody resumes what was revoked.
        Ok(Self {
            config: Arc::new(config),
            must_be_known: callers.must_be_known(),
        })
    }
}

/// Checks that a key can be used and is the one of its certificate.
pub(crate) fn check_pair(identity: &Identity) -> Result<(), rustls::Error> {
    CertifiedKey::from_der(identity.chain(), identity.key(), &provider()).map(drop)
}

/// The time for dates in certificates and tickets, never before the floor.
#[derive(Debug)]
struct Floored;

impl TimeProvider for Floored {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(
            clock::seconds(),
        )))
    }
}

/// The provider, with AES-128 before AES-256 for TLS 1.3: it is as safe with the keys of P-256 that
/// everything else here has, and takes ten rounds in place of fourteen. Without instructions for AES,
/// ChaCha20 goes before both.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    prefer(&mut provider.cipher_suites, cpu::has_aes());
    Arc::new(provider)
}

fn prefer(suites: &mut [SupportedCipherSuite], has_aes: bool) {
    use CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256,
    };
    suites.sort_by_key(|suite| match suite.suite() {
        TLS13_CHACHA20_POLY1305_SHA256
        | TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            if !has_aes =>
        {
            0
        }
        TLS13_AES_128_GCM_SHA256 => 1,
        _ => 2,
    });
}

/// Makes a transport of an accepted connection, with the handshake done by `deadline`.
///
/// # Errors
/// If the caller is too slow, or speaks neither TLS nor anything that is known here. A caller that
/// speaks plain HTTP to a TLS port has then been told so.
pub(crate) fn open(
    incoming: Incoming,
    acceptor: Option<&Acceptor>,
    head_timeout: Duration,
) -> io::Result<Box<dyn Transport>> {
    let (mut timed, peer) = incoming.into_parts();
    let Some(acceptor) = acceptor else {
        return Ok(Box::new(Plain { timed, peer }));
    };
    let deadline = Some(Instant::now() + head_timeout);
    let limit = TimeLimit {
        step: head_timeout,
        deadline,
    };
    timed.set_read_limit(limit);
    timed.set_write_limit(limit);
    timed.before_read()?;
    match timed.socket().peek()? {
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
        // Nobody listens in on a Unix socket, so TLS is for those who want it there.
        Some(byte)
            if byte.is_ascii_uppercase() && peer.unix.is_some() && !acceptor.must_be_known =>
        {
            return Ok(Box::new(Plain { timed, peer }));
        }
        Some(byte) if byte.is_ascii_uppercase() => return Err(answer_in_plain(timed, peer)),
        Some(_) => {}
    }
    let session = ServerConnection::new(Arc::clone(&acceptor.config)).map_err(io::Error::other)?;
    let mut encrypted = Encrypted {
        session,
        timed,
        peer,
    };
    while encrypted.session.is_handshaking() {
        // A failed handshake still has an alert to send, which complete_io does.
        if let Err(error) = encrypted.session.complete_io(&mut encrypted.timed) {
            return Err(explain(encrypted, error));
        }
    }
    let shown = encrypted.session.peer_certificates().and_then(<[_]>::first);
    let certificate = shown.map(|certificate| certificate.to_vec());
    let facts = certificate.as_deref().and_then(Facts::read);
    let name = facts
        .and_then(|facts| facts.common_name())
        .map(str::to_owned);
    encrypted.peer.tls = Some(TlsIdentity { certificate, name });
    Ok(Box::new(encrypted))
}

/// Sees to it that a caller learns why its handshake failed: a socket that is closed with unread bytes
/// would reset the connection, and the alert could be lost.
fn explain(encrypted: Encrypted, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::InvalidData {
        let Encrypted { timed, peer, .. } = encrypted;
        let reason = error.get_ref().and_then(|inner| inner.downcast_ref());
        let is_caller = matches!(
            reason,
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        );
        // Others are scanners, of whom there are too many to tell.
        let level = if is_caller {
            log::Level::Info
        } else {
            log::Level::Debug
        };
        log::log!(level, "{peer} did not get through TLS: {error}");
        let mut plain = Plain { timed, peer };
        plain.finish();
        drain(plain);
    }
    error
}

/// Reads what a caller still sends, for a moment, so that what it was told is not lost to a reset.
fn drain(mut plain: Plain) {
    let deadline = Some(Instant::now() + Duration::from_secs(2));
    plain.set_read_limit(TimeLimit {
        step: Duration::from_secs(2),
        deadline,
    });
    let _ = io::copy(&mut plain.take(64 * 1024), &mut io::sink());
}

/// Tells a caller that came with `http://` to come with `https://`.
fn answer_in_plain(timed: Timed, peer: Peer) -> io::Error {
    let mut plain = Plain { timed, peer };
    let _ = plain.write_all(PLAIN_ANSWER);
    plain.finish();
    drain(plain);
    io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on the TLS port")
}

const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nserver: skep\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 65\r\nconnection: close\r\n\r\n\
    This port speaks HTTPS: use https:// instead of http:// for it.\r\n";

/// A connection with TLS.
struct Encrypted {
    session: ServerConnection,
    timed: Timed,
    peer: Peer,
}

impl Encrypted {
    fn send_records(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.timed)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            if self.session.read_tls(&mut self.timed)? == 0 {
                // The end of the socket without a close_notify; the reader says so next time.
                continue;
            }
            if let Err(error) = self.session.process_new_packets() {
                let _ = self.send_records();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            // Answers to key updates and the like.
            self.send_records()?;
        }
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        self.send_records()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_records()?;
        self.timed.flush()
    }
}

impl Transport for Encrypted {
    /// Reading has to write at times (alerts, key updates), which the limit of the last answer must
    /// not end.
    fn set_read_limit(&mut self, limit: TimeLimit) {
        self.timed.set_read_limit(limit);
        self.timed.set_write_limit(limit);
    }

    fn set_write_limit(&mut self, limit: TimeLimit) {
        self.timed.set_write_limit(limit);
    }

    fn send_file(&mut self, file: &mut File, length: u64) -> io::Result<u64> {
        let mut buffer = vec![0; FILE_BYTES];
        let mut sent = 0;
        while sent < length {
            let most = usize::try_from(length - sent)
                .unwrap_or(FILE_BYTES)
                .min(FILE_BYTES);
            let count = match file.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if count == 0 {
                break;
            }
            self.write_all(&buffer[..count])?;
            sent += count as u64;
        }
        Ok(sent)
    }

    fn set_activity(&mut self, activity: Activity) {
        self.timed.set_activity(activity);
    }

    fn finish(&mut self) {
        self.session.send_close_notify();
        let _ = self.send_records();
        self.timed.socket().shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        self.timed.socket().abort();
    }

    fn wait_for_end(&mut self, wait: Duration) {
        self.timed.socket().wait_for_end(wait);
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        self.timed.interrupter()
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// Four records at a time.
const FILE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_aes_is_spared_it() {
        let order = |has_aes| {
            let mut suites = rustls::crypto::ring::default_provider().cipher_suites;
            prefer(&mut suites, has_aes);
            suites
                .iter()
                .map(|suite| format!("{:?}", suite.suite()))
                .collect::<Vec<_>>()
        };
        let (with, without) = (order(true), order(false));
        assert_eq!(with[0], "TLS13_AES_128_GCM_SHA256");
        assert!(
            without[..3].iter().all(|suite| suite.contains("CHACHA20")),
            "{without:?}"
        );
        assert_eq!(without[3], "TLS13_AES_128_GCM_SHA256");
        assert!(
            with.iter()
                .all(|suite| suite.contains("GCM") || suite.contains("POLY1305"))
        );
    }

    #[test]
    fn the_plain_answer_is_as_long_as_it_says() {
        let text = str::from_utf8(PLAIN_ANSWER).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", content.len())),
            "{content:?}"
        );
    }
}
