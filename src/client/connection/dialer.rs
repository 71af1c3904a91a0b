// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reaches a server: name, TCP connection, TLS handshake, and the decision to trust it.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection};
use socket2::Socket;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use crate::address::{AddressReach, Scheme, ServerUrl};
use crate::client::connection::channel::Channel;
use crate::client::connection::early::Early;
use crate::client::connection::handshake::{refusal, refused_handshake};
use crate::client::connection::socket_owner::check_owner;
use crate::client::connection::stoppable_socket::StoppableSocket;
use crate::client::retry::stopped;
use crate::client::trust::{Elsewhere, ServerCheck, TrustVerdict, roots};
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;
use crate::stop::Stop;
use crate::threads::lock;
use crate::transport::is_timeout;

/// Opens the connections of one client.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) url: ServerUrl,
    /// Tried where nobody answers at `url`.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// Which of its addresses are tried.
    pub(crate) reach: AddressReach,
    pub(crate) guard: Arc<ServerCheck>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) rate: Option<u64>,
    pub(crate) shared: Arc<Shared>,
    /// Ends connecting, and every wait on what was connected.
    pub(crate) stop: Stop,
}

/// What a client learns of its connections.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whether the running request was answered early.
    pub(crate) early: Arc<Early>,
    /// Connections opened so far.
    pub(crate) opened: AtomicU64,
    /// The key that the server showed last.
    pin: Mutex<Option<Pin>>,
}

impl Shared {
    /// That of other connections to the same server.
    pub(crate) fn of_same_server(&self) -> Self {
        Self {
            pin: Mutex::new(self.pin()),
            ..Self::default()
        }
    }

    /// The key that the server showed, if it speaks TLS and was reached.
    pub(crate) fn pin(&self) -> Option<Pin> {
        *lock(&self.pin)
    }
}

impl Connector for Dialer {
    type Out = Channel;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Channel>, ureq::Error> {
        let channel = self.open().map_err(|error| ureq::Error::Io(error.into()))?;
        self.shared.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Some(channel))
    }
}

impl Dialer {
    fn open(&self) -> Result<Channel> {
        let check = |chain: &[CertificateDer<'_>]| match &self.elsewhere {
            // The server may have moved, which its key shows.
            Some(paired) if self.guard.is_new(&self.url) => {
                self.guard.check_elsewhere(&self.url, chain, paired.pin)
            }
            _ => self.guard.check(&self.url, chain),
        };
        let error = match self.open_at(&self.url, &check) {
            // Only where nobody answers: another key at the address is no reason to go on elsewhere.
            Err(error) if error.kind() == ErrorKind::Unreachable && !self.stop.is_stopped() => {
                error
            }
            opened => return opened,
        };

        let Some(Elsewhere { pin, urls }) = &self.elsewhere else {
            return Err(error);
        };

        for url in urls {
            log::debug!("{}; trying {url}", error.message());
            let check = |chain: &[CertificateDer<'_>]| self.guard.check_elsewhere(url, chain, *pin);
            match self.open_at(url, &check) {
                Ok(channel) => return Ok(channel),
                Err(_) if self.stop.is_stopped() => return Err(stopped()),
                // Somebody else may have one of these addresses by now, and is told nothing.
                Err(reason) => log::debug!("{reason}"),
            }
        }

        // The first address is the one that the user knows.
        Err(error)
    }

    fn open_at(&self, url: &ServerUrl, check: &KeyCheck<'_>) -> Result<Channel> {
        let stream = self.dial(url)?;
        let early = Arc::clone(&self.shared.early);
        if url.scheme() == Scheme::Http {
            return self.ready(stream, None, early);
        }

        let (stream, tls, verdict) = self.shake_hands(url, stream, check)?;

        let (stream, tls) = match verdict {
            TrustVerdict::Trusted => (stream, tls),
            // The server may have hung up while somebody compared fingerprints. The second handshake checks
            // the key again, against the pin that was stored by the answer.
            TrustVerdict::Asked => {
                let (stream, tls, _) = self.shake_hands(url, self.dial(url)?, check)?;
                (stream, tls)
            }
        };

        self.ready(stream, Some(tls), early)
    }

    /// Shakes hands and returns the pin of the key that the server shows.
    pub(crate) fn look(&self) -> Result<Pin> {
        let check = |chain: &[CertificateDer<'_>]| self.guard.check(&self.url, chain);
        let (_, tls, _) = self.shake_hands(&self.url, self.dial(&self.url)?, &check)?;
        let missing = || Error::new(ErrorKind::Untrusted, "the server showed no certificate");
        let certificate = tls
            .peer_certificates()
            .and_then(<[_]>::first)
            .ok_or_else(missing)?;
        Pin::of_certificate(certificate)
    }

    fn ready(
        &self,
        stream: StoppableSocket,
        tls: Option<Box<ClientConnection>>,
        early: Arc<Early>,
    ) -> Result<Channel> {
        // The handshake had the time for connecting; each read and write after it has that of transfers.
        let ready =
            limit(stream.socket(), self.timeout).and_then(|()| self.narrow(stream.socket()));
        ready.map_err(|error| self.unreachable(&self.url, error))?;
        Ok(Channel::new(stream, tls, early, self.timeout))
    }

    /// Has the kernel keep no more than about a second's worth, so that the line is as even as we are,
    /// and little is lost if one side goes.
    fn narrow(&self, stream: &Socket) -> io::Result<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let bytes = rate.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        stream.set_recv_buffer_size(bytes)?;
        stream.set_send_buffer_size(bytes)
    }

    /// Tries the addresses of a host one after the other.
    fn dial(&self, url: &ServerUrl) -> Result<StoppableSocket> {
        if let Some(path) = url.socket() {
            let connected = StoppableSocket::connect_path(path, self.connect_timeout, &self.stop);
            let connected = connected.map_err(|error| {
                if self.stop.is_stopped() {
                    stopped()
                } else {
                    self.unreachable(url, error)
                }
            })?;

            // Before anything is sent, also what is no secret: a lying server could answer it.
            if !self.guard.trusts_anything() {
                check_owner(connected.socket(), &self.url)?;
            }
            return Ok(connected);
        }

        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);

        let found = find(url)?.into_iter();
        let found = found.filter(|address| self.reach.has(address.ip()));
        for address in found.take(ADDRESSES_MAX) {
            match StoppableSocket::connect(address, self.connect_timeout, &self.stop) {
                Ok(stream) => return Ok(stream),
                // A stop fails this address only, and the loop would go on with the next one.
                Err(_) if self.stop.is_stopped() => return Err(stopped()),
                Err(error) => last = error,
            }
        }

        Err(self.unreachable(url, last))
    }

    fn shake_hands(
        &self,
        url: &ServerUrl,
        mut stream: StoppableSocket,
        check: &KeyCheck<'_>,
    ) -> Result<(StoppableSocket, Box<ClientConnection>, TrustVerdict)> {
        let internal = |error: rustls::Error| {
            Error::new(ErrorKind::Internal, "TLS cannot start").because(error)
        };

        // The name is for the handshake (SNI) and is not checked there: the guard below decides.
        let name = roots::name(url)
            .ok_or_else(|| Error::new(ErrorKind::Usage, "the server's name is not a host name"))?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(internal)?;
        let mut tls = Box::new(tls);
        limit(stream.socket(), self.connect_timeout)
            .map_err(|error| self.unreachable(url, error))?;
        stream.read_until(Instant::now().checked_add(self.connect_timeout));

        while tls.is_handshaking() {
            tls.complete_io(&mut stream)
                .map_err(|error| self.handshake_failed(url, error))?;
        }

        // Nothing of a request has been sent before this point.
        let certificates = tls.peer_certificates().unwrap_or_default();
        let verdict = check(certificates)?;
        let pin = certificates
            .first()
            .and_then(|shown| Pin::of_certificate(shown).ok());

        // Uploads that were cut are remembered under this key, whatever address the server has.
        *lock(&self.shared.pin) = pin;

        Ok((stream, tls, verdict))
    }

    fn handshake_failed(&self, url: &ServerUrl, error: io::Error) -> Error {
        // A stop shuts the socket down, which otherwise looks like an end by the server.
        if self.stop.is_stopped() {
            return stopped();
        }
        if let Some(refusal) = refusal(&error) {
            return refusal;
        }

        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());

        let authority = url.authority();

        match tls {
            // An answer in plain HTTP is not a TLS record.
            Some(rustls::Error::InvalidMessage(_)) => Error::new(
                ErrorKind::Untrusted,
                format!("{authority} does not speak TLS"),
            )
            .hint(format!(
                "if it speaks plain HTTP, use --server http://{authority}"
            )),
            Some(reason) => {
                let (what, hint) = refused_handshake(reason);
                let message = format!("no TLS connection with {authority}: {what}");
                Error::new(ErrorKind::Untrusted, message)
                    .because(reason.clone())
                    .hint(hint)
            }
            None if ErrorKind::from_io(&error) == ErrorKind::Interrupted && !is_timeout(&error) => {
                let message = format!("{authority} hung up during the TLS handshake");
                Error::new(ErrorKind::Interrupted, message).hint(format!(
                    "if it speaks plain HTTP, use --server http://{authority}"
                ))
            }
            None if is_timeout(&error) => {
                let seconds = self.connect_timeout.as_secs();
                let message =
                    format!("{authority} did not answer the TLS handshake within {seconds} s");
                Error::new(ErrorKind::Unreachable, message).hint(
                    "is --server (SKEP_SERVER) the address of a skep server? --connect-timeout waits longer",
                )
            }
            None => Error::io(format!("the TLS handshake with {authority}"), error),
        }
    }

    fn unreachable(&self, url: &ServerUrl, error: io::Error) -> Error {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("no answer within {} s", self.connect_timeout.as_secs())
            }
            _ => Error::from(error).message().to_owned(),
        };
        let message = format!("cannot reach {}: {reason}", url.authority());
        Error::new(ErrorKind::Unreachable, message)
            .hint("is the server running, and is --server (SKEP_SERVER) its address?")
    }
}

/// Bounds each single write.
fn limit(stream: &Socket, timeout: Duration) -> io::Result<()> {
    stream.set_write_timeout(Some(timeout))
}

/// What decides on the certificates of a server, its own first.
type KeyCheck<'a> = dyn Fn(&[CertificateDer<'_>]) -> Result<TrustVerdict> + 'a;

/// Looks nothing up: the dialer does that, which knows the one server that a client talks to.
#[derive(Debug)]
pub(crate) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // ureq insists on an address, at which nobody ever looks.
        let mut nowhere = self.empty();
        nowhere.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
        Ok(nowhere)
    }
}

fn find(url: &ServerUrl) -> Result<Vec<SocketAddr>> {
    let (host, port) = (url.host(), url.port());
    if let Ok(ip) = host.parse::<Ipv6Addr>() {
        let address = SocketAddrV6::new(ip, port, 0, url.zone_number()?);
        return Ok(vec![address.into()]);
    }

    let found = (host, port).to_socket_addrs().map_err(|error| {
        let message = format!("no address is known for the host '{host}'");
        Error::new(ErrorKind::Unreachable, message)
            .because(error)
            .hint("check the name, or use the IP address")
    })?;
    Ok(found.collect())
}

/// More are not worth the wait.
const ADDRESSES_MAX: usize = 16;

const BUFFER_BYTES_MIN: u64 = 64 << 10;

const BUFFER_BYTES_MAX: u64 = 1 << 20;
