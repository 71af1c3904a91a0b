// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection with TLS 1.3 or 1.2 on the server's side, once its handshake is done.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;

use rustls::ServerConnection;

use crate::edge::socket::Timed;
use crate::tls;
use crate::transport::{Peer, TimeLimit, TlsIdentity, Transport, Wake};

/// A connection with TLS.
pub(crate) struct Encrypted {
    session: ServerConnection,
    timed: Timed,
    peer: Peer,
    /// Bytes that were decrypted and not read yet.
    decrypted: usize,
}

impl Encrypted {
    /// A connection whose handshake is done.
    pub(crate) fn new(session: ServerConnection, timed: Timed, mut peer: Peer) -> Self {
        let shown = session.peer_certificates().and_then(<[_]>::first);
        peer.tls = Some(TlsIdentity {
            certificate: shown.map(|certificate| certificate.to_vec()),
            name: shown.and_then(tls::caller_name),
        });

        Self {
            session,
            timed,
            peer,
            // The handshake may have brought the first request along.
            decrypted: 1,
        }
    }

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
        let mut records = 0;
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.decrypted = 0,
                result => {
                    let count = result.as_ref().copied().unwrap_or_default();
                    self.decrypted = self.decrypted.saturating_sub(count);
                    return result;
                }
            }
            // One thread serves all who do not wait: records without content must not hold it.
            records += 1;
            if records > RECORDS_AT_ONCE && self.timed.reads_at_once() {
                self.timed.expect_more();
                return Err(io::ErrorKind::WouldBlock.into());
            }

            if self.session.read_tls(&mut self.timed)? == 0 {
                // The end of the socket without a close_notify; the reader says so next time.
                continue;
            }
            match self.session.process_new_packets() {
                Ok(state) => self.decrypted = state.plaintext_bytes_to_read(),
                Err(error) => {
                    let _ = self.send_records();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            // Answers to key updates and the like.
            self.send_records()?;
        }
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        match self.send_records() {
            // The bytes are encrypted and kept; a flush sends the rest of them.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && self.timed.writes_at_once() =>
            {
                Ok(count)
            }
            result => result.map(|()| count),
        }
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

    fn has_more(&self) -> bool {
        self.decrypted > 0 || !self.timed.is_drained()
    }

    fn expect_more(&mut self) {
        self.timed.expect_more();
    }

    fn has_unsent(&self) -> bool {
        self.session.wants_write()
    }

    fn finish(&mut self) {
        self.session.send_close_notify();
        let _ = self.send_records();
        self.timed.socket().shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        self.timed.socket().abort();
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

/// Reads of the socket for one read of content, where nothing may wait.
const RECORDS_AT_ONCE: usize = 4;
