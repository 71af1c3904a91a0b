// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection with TLS 1.3 or 1.2 on the server's side, once its handshake is done.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use crate::edge::socket::Timed;
use crate::edge::tls::caller_check::CallerCheck;
use crate::edge::tls::records::{CONTENT_BYTES_MAX, RECORDS_AT_ONCE, Records};
use crate::edge::tls::spare_buffers::SpareBuffers;
use crate::tls::{self, Following};
use crate::transport::{Peer, TimeLimit, TlsIdentity, Transport};

/// A connection with TLS.
pub(crate) struct Encrypted {
    records: Records,
    spare: Arc<SpareBuffers>,
    timed: Timed,
    peer: Peer,
    /// What a caller with a certificate was let in by.
    admission: Option<CallerCheck>,
}

impl Encrypted {
    /// A connection whose handshake is done, by the files of this generation.
    pub(crate) fn new(
        records: Records,
        spare: &Arc<SpareBuffers>,
        timed: Timed,
        mut peer: Peer,
        (identity, generation): (Arc<Following>, Option<u64>),
    ) -> Self {
        let certificates = records.rustls().peer_certificates();
        let shown = certificates.and_then(<[_]>::first);
        // Without a generation there are no files that could say something new.
        let admission = shown
            .filter(|_| generation.is_some())
            .map(|shown| CallerCheck::new(identity, generation, shown));
        peer.tls = Some(TlsIdentity {
            certificate: shown.map(|certificate| certificate.to_vec()),
            name: shown.and_then(tls::caller_name),
        });

        Self {
            records,
            spare: Arc::clone(spare),
            timed,
            peer,
            admission,
        }
    }

    /// # Errors
    /// `PermissionDenied` if the caller would not be let in any more.
    fn check_admission(&mut self) -> io::Result<()> {
        let Some(admission) = &mut self.admission else {
            return Ok(());
        };
        let chain = self.records.rustls().peer_certificates();
        if admission.is_good(chain.unwrap_or_default()) {
            return Ok(());
        }

        log::info!(
            "{} showed a certificate that is not good any more",
            self.peer
        );
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// Encrypts some of a file through a buffer and returns how many bytes were taken from it. What was
    /// encrypted counts as sent, even if the socket has not taken it yet.
    fn send_through(
        &mut self,
        (file, offset): (&File, u64),
        length: u64,
        buffer: &mut [u8],
    ) -> io::Result<u64> {
        self.records.send(&mut self.timed)?;
        let mut sent = 0;

        while sent < length && !self.has_unsent() {
            let most = usize::try_from(length - sent)
                .unwrap_or(buffer.len())
                .min(buffer.len());
            let count = match file.read_at(&mut buffer[..most], offset + sent) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if count == 0 {
                break;
            }
            // What is not taken is read again.
            sent += self.write(&buffer[..count])? as u64;
        }

        Ok(sent)
    }
}

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check_admission()?;
        self.records.read(&mut self.timed, buffer)
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.records.write(&mut self.timed, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.records.send(&mut self.timed)?;
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

    fn send_file(&mut self, file: &File, offset: u64, length: u64) -> io::Result<u64> {
        let mut buffer = self.spare.take();
        let result = self.send_through((file, offset), length, &mut buffer[..FILE_BYTES]);
        self.spare.give_back(buffer);

        result
    }

    fn has_more(&self) -> bool {
        self.records.has_more() || !self.timed.is_drained()
    }

    fn expect_more(&mut self) {
        self.timed.expect_more();
    }

    fn has_unsent(&self) -> bool {
        self.records.has_unsent()
    }

    fn finish(&mut self) {
        self.records.say_goodbye(&mut self.timed);
        self.timed.socket().shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        self.timed.socket().abort();
    }

    fn taken(&self) -> u64 {
        self.timed.taken()
    }

    fn held_when_full(&self) -> u64 {
        self.timed.held_when_full()
    }

    fn widen(&mut self) {
        self.timed.widen();
    }

    fn set_patience(&mut self, time: Option<Duration>) {
        self.timed.set_patience(time);
    }

    fn wait_for_room(&self, time: Duration) -> io::Result<bool> {
        self.timed.wait_for_room(time)
    }

    fn is_left(&self) -> bool {
        self.timed.is_left()
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

/// As many bytes of a file as are encrypted at a time.
const FILE_BYTES: usize = RECORDS_AT_ONCE * CONTENT_BYTES_MAX;
