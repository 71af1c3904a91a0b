// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection with TLS 1.3 or 1.2 on the server's side: the handshake under a deadline, then a transport.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use super::listener::Incoming;
use super::socket::{Plain, Timed};
use crate::tls::{self, Acceptor};
use crate::transport::{Activity, Peer, TimeLimit, TlsIdentity, Transport, Wake};

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
            if byte.is_ascii_uppercase() && peer.unix.is_some() && !acceptor.must_be_known() =>
        {
            return Ok(Box::new(Plain { timed, peer }));
        }
        Some(byte) if byte.is_ascii_uppercase() => return Err(answer_in_plain(timed, peer)),
        Some(_) => {}
    }

    let session = acceptor.session().map_err(io::Error::other)?;

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
    let tls = TlsIdentity {
        certificate: shown.map(|certificate| certificate.to_vec()),
        name: shown.and_then(tls::caller_name),
    };

    encrypted.peer.tls = Some(tls);

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

    fn wait(&self, source: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> io::Result<Wake> {
        self.timed.socket().wait(source, stop)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.timed.descriptor())
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
    fn the_plain_answer_is_as_long_as_it_says() {
        let text = str::from_utf8(PLAIN_ANSWER).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", content.len())),
            "{content:?}"
        );
    }
}
