// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One TLS session of rustls with what it has received and what it has to send, driven turn by turn.

use std::io;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus, WriteTraffic};

use crate::edge::socket::Timed;
use crate::edge::tls::incoming::Incoming;
use crate::edge::tls::unsent::Unsent;

/// The server's side of a session.
pub(crate) struct TlsSession {
    rustls: UnbufferedServerConnection,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Unsent,
    pub(crate) far_end: FarEnd,
    /// Whether rustls needs more bytes to go on.
    pub(crate) is_settled: bool,
}

/// What is to be expected of the other side.
pub(crate) enum FarEnd {
    Open,
    /// It has said goodbye (`close_notify`).
    Closed,
    /// The socket ended without a goodbye, so what came last may be missing.
    Cut,
    Failed(rustls::Error),
}

/// What came of one turn.
pub(crate) enum Turn {
    /// Something was decrypted, of which the reader has so many bytes.
    Content(usize),
    /// There may be more to send.
    Encoded,
    /// More has to be received.
    Blocked,
    /// The other side has said goodbye.
    Closed,
    /// Both sides have.
    Over,
    Encrypted(Result<usize, EncryptError>),
    Failed,
}

/// What to do once content may be sent.
type OnTraffic<'a> = &'a mut dyn FnMut(WriteTraffic<'_, ServerConnectionData>) -> Turn;

impl TlsSession {
    /// A session that has not shaken hands, with what was received of it.
    pub(crate) fn new(rustls: UnbufferedServerConnection, incoming: Incoming) -> Self {
        Self {
            rustls,
            incoming,
            outgoing: Unsent::default(),
            far_end: FarEnd::Open,
            is_settled: false,
        }
    }

    pub(crate) fn rustls(&self) -> &UnbufferedServerConnection {
        &self.rustls
    }

    /// Has rustls work on what was received until there is one thing to do. Content goes to the reader,
    /// and what does not fit there to `rest`.
    pub(crate) fn turn(
        &mut self,
        into: &mut [u8],
        rest: &mut Vec<u8>,
        on_traffic: OnTraffic<'_>,
    ) -> Turn {
        if matches!(self.far_end, FarEnd::Failed(_)) {
            return Turn::Failed;
        }

        let status = self.rustls.process_tls_records(self.incoming.bytes());
        let UnbufferedStatus { mut discard, state } = status;
        self.is_settled = false;
        let mut failure = None;

        let turn = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut count = 0;
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    let most = record.payload.len().min(into.len() - count);
                    into[count..count + most].copy_from_slice(&record.payload[..most]);
                    rest.extend_from_slice(&record.payload[most..]);
                    count += most;
                }
                Turn::Content(count)
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                self.outgoing.encode(&mut data);
                Turn::Encoded
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is kept here until it is sent.
                data.done();
                Turn::Encoded
            }
            Ok(ConnectionState::WriteTraffic(traffic)) => {
                self.is_settled = true;
                on_traffic(traffic)
            }
            Ok(ConnectionState::BlockedHandshake) => {
                self.is_settled = true;
                Turn::Blocked
            }
            Ok(ConnectionState::PeerClosed) => {
                self.far_end = FarEnd::Closed;
                Turn::Closed
            }
            Ok(ConnectionState::Closed) => {
                self.is_settled = true;
                Turn::Over
            }
            Err(error) => {
                failure = Some(error);
                Turn::Failed
            }
            // No early data is accepted, and no other state is known.
            Ok(_) => {
                failure = Some(rustls::Error::General("an unknown state".to_owned()));
                Turn::Failed
            }
        };

        self.incoming.discard(discard);
        if let Some(error) = failure {
            // Nothing more is read: rustls must not see the same bytes again.
            self.far_end = FarEnd::Failed(error);
        }

        turn
    }

    /// Tells the other side what is wrong, if rustls has something to say and the socket takes it.
    pub(crate) fn fail(&mut self, timed: &mut Timed) -> io::Error {
        while self.rustls.wants_write() {
            // What is to be sent comes before bytes are looked at.
            let status = self.rustls.process_tls_records(self.incoming.bytes());
            match status.state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => self.outgoing.encode(&mut data),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while traffic.next_record().is_some() {}
                }
                _ => break,
            }
        }
        let _ = self.outgoing.send(timed);

        self.failure()
    }

    /// What is wrong.
    pub(crate) fn failure(&self) -> io::Error {
        match &self.far_end {
            FarEnd::Failed(error) => io::Error::new(io::ErrorKind::InvalidData, error.clone()),
            _ => io::ErrorKind::InvalidData.into(),
        }
    }
}
