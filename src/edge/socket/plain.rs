// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The transport without encryption.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::io::Errno;

use super::Timed;
use crate::transport::{Peer, TimeLimit, Transport};

/// A connection without encryption.
pub(crate) struct Plain {
    pub(crate) timed: Timed,
    pub(crate) peer: Peer,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timed.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.timed.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.timed.flush()
    }
}

impl Transport for Plain {
    fn set_read_limit(&mut self, limit: TimeLimit) {
        self.timed.set_read_limit(limit);
    }

    fn set_write_limit(&mut self, limit: TimeLimit) {
        self.timed.set_write_limit(limit);
    }

    /// The kernel copies where it can. `io::copy` would not have it do so: the standard library takes
    /// `sendfile` from a file to a socket for unsafe as long as the file can change.
    fn send_file(&mut self, file: &File, offset: u64, length: u64) -> io::Result<u64> {
        match self.timed.send_file(file, offset, length) {
            // Some file systems cannot.
            Err(Errno::INVAL | Errno::NOSYS) => {
                let most = usize::try_from(length).unwrap_or(FILE_BYTES);
                let mut bytes = vec![0; most.min(FILE_BYTES)];
                let count = file.read_at(&mut bytes, offset)?;
                Ok(self.timed.write(&bytes[..count])? as u64)
            }
            result => Ok(result?),
        }
    }

    fn has_more(&self) -> bool {
        !self.timed.is_drained()
    }

    fn expect_more(&mut self) {
        self.timed.expect_more();
    }

    fn has_unsent(&self) -> bool {
        false
    }

    fn finish(&mut self) {
        self.timed.socket().shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        self.timed.socket().abort();
    }

    fn peer(&self) -> &Peer {
        &self.peer
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
}

/// What is read of a file at a time where the kernel cannot send it.
const FILE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Arc;

    use super::*;
    use crate::edge::socket::Socket;

    #[test]
    fn limits_patience_and_the_end_reach_the_socket() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let options = near.try_clone().unwrap();
        let options = socket2::SockRef::from(&options);
        near.set_nonblocking(true).unwrap();
        let timed = Timed::new(Arc::new(Socket::Tcp(near)));
        let peer = Peer::default();
        let mut plain = Plain { timed, peer };

        plain.set_patience(Some(Duration::from_secs(60)));
        let patience = options.tcp_user_timeout().unwrap();
        assert!(patience.is_some_and(|time| time >= Duration::from_secs(60)));
        plain.set_patience(None);
        assert_eq!(options.tcp_user_timeout().unwrap(), None);

        let before = options.tcp_notsent_lowat().unwrap();
        assert!(plain.held_when_full() > 1);
        plain.widen();
        assert!(options.tcp_notsent_lowat().unwrap() > before);

        plain.set_read_limit(TimeLimit::AT_ONCE);
        plain.set_write_limit(TimeLimit::AT_ONCE);
        let error = plain.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut sent = 0;
        let full = loop {
            match plain.write(&[b'x'; 4096]) {
                Ok(count) => sent += count,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(full, io::ErrorKind::WouldBlock);
        plain.finish();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).unwrap();
        assert_eq!(heard.len(), sent);
        assert!(plain.write(b"x").is_err());
    }
}
