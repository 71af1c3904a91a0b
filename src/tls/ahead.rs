// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes of TLS that came together, for rustls, which reads four kibibytes at a time: each read of the socket is a call to
//! the kernel, and mostly a wait.

use std::io::{self, Read};

use rustls::ClientConnection;

/// What was read of a stream and not taken in yet.
#[derive(Default)]
pub(crate) struct Ahead {
    /// Made with the first read.
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Ahead {
    /// Whether all of it was taken in.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Has rustls take in some of it, or of what the stream has next.
    ///
    /// # Errors
    /// Those of the stream, and what rustls says to bytes that it does not want.
    pub(crate) fn feed(
        &mut self,
        tls: &mut ClientConnection,
        stream: &mut impl Read,
    ) -> io::Result<()> {
        if self.is_empty() {
            if self.bytes.is_empty() {
                self.bytes = vec![0; AHEAD_BYTES].into();
            }
            (self.start, self.end) = (0, 0);
            self.end = stream.read(&mut self.bytes)?;
        }

        // Nothing at all tells rustls of the end of the stream.
        let mut rest = &self.bytes[self.start..self.end];
        tls.read_tls(&mut rest)?;
        self.start = self.end - rest.len();
        Ok(())
    }
}

/// Four records.
const AHEAD_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    /// A stream that has all of its bytes at once, and then comes to its end.
    struct Counted {
        bytes: Vec<u8>,
        reads: usize,
    }

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.reads += 1;
            let count = self.bytes.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes.drain(..count);
            Ok(count)
        }
    }

    /// Both sides of a connection, after the handshake.
    fn connected() -> (ClientConnection, ServerConnection) {
        let made = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();

        let server = ServerConfig::builder_with_provider(crate::tls::provider());
        let server = server.with_safe_default_protocol_versions().unwrap();
        let server = server
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(crate::tls::provider());
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();

        let name = "pi.local".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            let mut rest = &flight[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            let mut rest = &flight[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        (client, server)
    }

    #[test]
    fn records_that_came_together_are_read_once_and_the_end_is_told() {
        let (mut client, mut server) = connected();
        let content = vec![7; 40_000];
        server.writer().write_all(&content).unwrap();
        let (mut stream, mut ahead) = (
            Counted {
                bytes: Vec::new(),
                reads: 0,
            },
            Ahead::default(),
        );
        while server.wants_write() {
            server.write_tls(&mut stream.bytes).unwrap();
        }

        let mut read = Vec::new();
        while read.len() < content.len() {
            ahead.feed(&mut client, &mut stream).unwrap();
            client.process_new_packets().unwrap();
            let _ = client.reader().read_to_end(&mut read);
        }
        assert!(read == content && ahead.is_empty());
        assert_eq!(stream.reads, 1);

        // Cut without a word of farewell.
        ahead.feed(&mut client, &mut stream).unwrap();
        client.process_new_packets().unwrap();
        let error = client.reader().read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
