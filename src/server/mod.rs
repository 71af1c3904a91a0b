// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An address and a handler make a server (Degu's idea): the edge, the engine and the workers put
//! together, and taken apart again when a shutdown is asked for.

mod begun;
mod handle;

pub use handle::{ServerHandle, TempServer};

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use crate::address::{Address, ListenAddress, Scheme, UnsaidScheme};
use crate::channels::Publisher;
use crate::crew::Crew;
use crate::edge::{self, Arrival, Connections, Entry, Handshakes, Listener, Reception, Welcome};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{self, Handler, HttpShared, Request, Response};
use crate::limits::{Limits, LiveLimits};
use crate::logging::LineBudget;
use crate::metrics::Metrics;
use crate::server::begun::Begun;
use crate::stop::{Shutdown, Stop};
use crate::threads::{self, lock};
use crate::tls::{Following, ServerConfig, TlsFiles, TlsOptions};

/// A server that is bound, but does not answer yet.
///
/// ```
/// use skep::{Response, Server, Status};
///
/// # fn main() -> skep::Result<()> {
/// let server = Server::bind("127.0.0.1:0", |request| {
///     match request.segments() {
///         ["example"] => Response::text(Status::OK, "hello, world\n"),
///         _ => Response::problem(Status::NOT_FOUND, "no such route"),
///     }
/// })?;
/// println!("{}", server.url());         // port 0 is resolved
/// # let (url, shutdown) = (server.url(), server.shutdown());
/// # let caller = std::thread::spawn(move || {
/// #     use skep::client::{Client, ClientOptions, Payload};
/// #     let mut client = Client::new(ClientOptions::new(url.parse()?))?;
/// #     let text = client.request("GET", "/example", &[], Payload::Empty)?.read_all(100)?;
/// #     let status = client.request("GET", "/other", &[], Payload::Empty)?.status();
/// #     shutdown.trigger();
/// #     Ok::<_, skep::Error>((text, status))
/// # });
/// server.run()?;                        // until a Shutdown is triggered from another thread
/// # assert_eq!(caller.join().unwrap()?, (b"hello, world\n".to_vec(), 404));
/// # Ok(())
/// # }
/// ```
///
/// [`Server::start`] serves in the background instead, [`TempServer`] does so until
/// it is dropped, and a [`Client`](crate::client::Client) with
/// [`request`](crate::client::Client::request) is the counterpart.
pub struct Server {
    /// Until the server begins to answer, and what it is then.
    listener: Option<Listener>,
    begun: Option<Begun>,
    bound: Vec<(Address, Scheme)>,
    service: Arc<HttpShared>,
    folders: Vec<PathBuf>,
    connections: Arc<Connections>,
    acceptor: Option<Arc<Following>>,
    shutdown: Shutdown,
    tls: Option<TlsOptions>,
}

/// How a server serves. The names of Degu find theirs here: its `timeout` (15 s), `max_connections`
/// (25) and `max_requests_per_connection` (100) are among the [`Limits`].
///
/// ```
/// let mut options = skep::ServerOptions::default();
/// options.limits.connections_max = 100;
/// # let _ = options;
/// ```
#[derive(Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The limits.
    pub limits: Limits,
    /// TLS; without it, plain HTTP is spoken.
    pub tls: Option<TlsOptions>,
    /// TLS as rustls has it, made ready by the caller, instead of [`ServerOptions::tls`]: other
    /// certificates, callers or tickets than files can say. It has to offer `http/1.1` only. Plain HTTP is
    /// then not taken on Unix sockets either, unless their addresses say so.
    pub tls_config: Option<Arc<ServerConfig>>,
    /// Where the limits are to be changed later; they are put in there.
    pub(crate) live_limits: Arc<LiveLimits>,
    /// Files for TLS instead of those options.
    pub(crate) tls_files: Option<TlsFiles>,
    /// What listens already, instead of addresses and sockets.
    pub(crate) listener: Option<Listener>,
    /// Where the private socket between the edge and the engine may be made, besides the system's
    /// folder for temporary files.
    pub folders: Vec<PathBuf>,
    /// Sockets that listen already, for example those that systemd handed over.
    pub sockets: Vec<OwnedFd>,
    /// What is spoken where an address does not say it; by default HTTPS if there is TLS, else HTTP. On Unix
    /// sockets it is HTTP by default, unless callers need a certificate.
    pub default_scheme: Option<Scheme>,
    /// The channel for events of connections.
    pub(crate) events: Publisher,
    /// What ends the server, too.
    pub(crate) stop: Stop,
}

impl Server {
    /// Binds an address for plain HTTP with the usual limits; port 0 is resolved at once. A [`Handler`]
    /// that is more than a function goes to [`Server::with_options`].
    ///
    /// # Errors
    /// `Usage` if the address cannot be read or had.
    pub fn bind<F>(address: &str, handler: F) -> Result<Self>
    where
        F: Fn(&mut Request<'_>) -> Response + Send + Sync + 'static,
    {
        let address: ListenAddress = address.parse()?;
        Self::with_options(&[address], ServerOptions::default(), handler)
    }

    /// Binds several addresses, each of which may say what is spoken there
    /// ([`ListenAddress`]). A closure that is given here says what it takes: `|request: &mut Request<'_>|`.
    ///
    /// # Errors
    /// `Usage` if one of them cannot be had, a limit lets nobody in, or TLS cannot be set up or is to be
    /// spoken without an identity.
    pub fn with_options(
        addresses: &[ListenAddress],
        options: ServerOptions,
        handler: impl Handler,
    ) -> Result<Self> {
        options.limits.check()?;
        let files = match (&options.tls_files, &options.tls) {
            (Some(files), _) => Some(files.clone()),
            (None, Some(tls)) => Some(tls.files()?),
            (None, None) => None,
        };

        // The files are read before an address is bound, so a broken key is told without a port
        // being taken.
        let followed = match (files, options.tls_config) {
            (Some(_), Some(_)) => {
                let text = "tls and tls_config are both set";
                return Err(Error::new(ErrorKind::Usage, text).hint("leave one of them out"));
            }
            (Some(files), None) => Some(Following::open(files)?),
            (None, Some(config)) => Some(Following::ready(config)),
            (None, None) => None,
        };
        let acceptor = followed.map(Arc::new);

        let unsaid = match (options.default_scheme, &acceptor) {
            (Some(given), _) => UnsaidScheme::new(given, true),
            (None, Some(tls)) => UnsaidScheme::new(Scheme::Https, tls.now().must_be_known()),
            (None, None) => UnsaidScheme::new(Scheme::Http, true),
        };

        // Without an identity, an address for HTTPS is refused and never served in plain text.
        let is_tls =
            |listen: &ListenAddress| listen.scheme_or(unsaid.at(&listen.address)) == Scheme::Https;
        if acceptor.is_none()
            && let Some(listen) = addresses.iter().find(|listen| is_tls(listen))
        {
            let text = format!("{listen}: HTTPS needs a certificate, and this server has none");
            return Err(
                Error::new(ErrorKind::Usage, text).hint("set the TLS options, or use http://")
            );
        }

        // A child token: what stops the given one stops this server, too.
        let stop = options.stop.child();
        let listener = match options.listener {
            Some(listener) => listener.ending_with(stop.clone())?,
            None => Listener::bind(addresses, options.sockets, unsaid, stop.clone())?,
        };

        // The number of descriptors is settled now; otherwise the server would find out under load.
        let mut limits = options.limits;
        warn_of_open(&limits);
        edge::make_room(&mut limits);
        let (workers, metrics) = (limits.workers, Arc::new(Metrics::default()));
        options.live_limits.change(limits);
        let limits = options.live_limits;

        let handler: Arc<dyn Handler> = Arc::new(handler);

        let places = http::BodyPlaces::among(workers);
        let connections =
            Connections::new(Arc::clone(&limits), Arc::clone(&metrics), options.events);

        let service = Arc::new(HttpShared {
            engine: OnceLock::new(),
            handler,
            limits,
            metrics,
            places,
            guests: http::BodyPlaces::for_guests(workers),
            // The places bound it.
            writers: Crew::new("answer", usize::MAX),
            stop: stop.clone(),
            refusals: LineBudget::new("callers that were refused"),
        });

        let shutdown = Shutdown::of(stop);

        Ok(Self {
            bound: listener.bound(),
            listener: Some(listener),
            begun: None,
            service,
            folders: options.folders,
            connections,
            acceptor,
            shutdown,
            tls: options.tls,
        })
    }

    /// Where this server can be reached: one URL for each address, or the address itself where there
    /// are none (`unix:/run/skep.sock`).
    pub fn urls(&self) -> Vec<String> {
        let url = |(address, scheme): &(Address, Scheme)| match (address, scheme) {
            (Address::Ip(_) | Address::Everywhere(_), Scheme::Http) => {
                format!("http://{}", address.authority())
            }
            (Address::Ip(_) | Address::Everywhere(_), Scheme::Https) => {
                format!("https://{}", address.authority())
            }
            _ => address.to_string(),
        };
        self.bound.iter().map(url).collect()
    }

    /// Where this server can be reached: the URL of its first address.
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// The addresses as they are bound.
    pub fn addresses(&self) -> Vec<Address> {
        let addresses = self.bound.iter();
        addresses.map(|(address, _)| address.clone()).collect()
    }

    /// The listening sockets, in the order of [`Server::addresses`], for example to hand them to another
    /// process.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let listener = self.listener.as_ref();
        listener.map(Listener::descriptors).unwrap_or_default()
    }

    /// What answers the requests.
    pub fn handler(&self) -> &dyn Handler {
        &*self.service.handler
    }

    /// The TLS options that it was given.
    pub fn tls(&self) -> Option<&TlsOptions> {
        self.tls.as_ref()
    }

    /// The limits that it keeps, with their defaults filled in.
    pub fn limits(&self) -> Arc<Limits> {
        self.service.limits.now()
    }

    /// What this server counts, to be kept and read while it runs.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.service.metrics)
    }

    /// What ends [`Server::run`] from another thread.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// What has the files of TLS read again; `None` for plain HTTP.
    pub(crate) fn following(&self) -> Option<Arc<Following>> {
        self.acceptor.clone()
    }

    /// Begins to answer, which [`Server::run`] does otherwise.
    ///
    /// # Errors
    /// As for [`Server::run`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };

        let reception = reception(&self.service, &self.connections, self.acceptor.clone());
        self.begun = Some(Begun::new(
            listener,
            Arc::clone(&self.service),
            Arc::clone(&self.connections),
            reception,
            std::mem::take(&mut self.folders),
        )?);

        Ok(())
    }

    /// Serves until a shutdown is triggered and all requests that were running then have ended, at
    /// most `drain_timeout` later.
    ///
    /// # Errors
    /// If the system has no thread to give, or no folder for a private socket.
    pub fn run(mut self) -> Result<()> {
        self.begin()?;
        self.shutdown.wait();
        if let Some(begun) = self.begun.take() {
            begun.end();
        }
        Ok(())
    }

    /// Serves in a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(mut self) -> Result<ServerHandle> {
        self.begin()?;
        let (addresses, url, shutdown) = (self.addresses(), self.url(), self.shutdown());
        let outcome = Arc::new(Mutex::new(Ok(())));
        let result = Arc::clone(&outcome);
        let thread = threads::spawn("server", move || *lock(&result) = self.run())
            .map_err(|error| Error::io("cannot start the server", error))?;
        Ok(ServerHandle::new(addresses, url, shutdown, outcome, thread))
    }
}

/// Says once which limits the owner has taken away although they hold strangers off.
fn warn_of_open(limits: &Limits) {
    let off = limits.open_to_strangers();
    if !off.is_empty() {
        log::warn!(
            "switched off: {}; strangers can take as much and as long as they like",
            off.join(", ")
        );
    }
}

/// What becomes of the callers of a server.
fn reception(
    service: &Arc<HttpShared>,
    connections: &Arc<Connections>,
    identity: Option<Arc<Following>>,
) -> Reception {
    let shared = Arc::clone(service);
    let welcome: Welcome = Arc::new(move |arrival: Arrival| {
        let Arrival {
            transport,
            entry,
            place,
            seat,
        } = arrival;
        let caller = shared.caller(transport, seat, place);
        match entry {
            Entry::Admitted => shared.welcome(caller),
            Entry::Full => caller.refuse_busy(),
            Entry::Told => caller.dismiss(),
        }
    });

    let handshakes = identity.map(|identity| {
        Arc::new(Handshakes {
            crew: Crew::new("handshake", HANDSHAKES_AT_ONCE),
            identity,
            spare: Arc::default(),
            welcome: Arc::clone(&welcome),
        })
    });

    let shared = Arc::clone(service);

    Reception {
        connections: Arc::clone(connections),
        limits: Arc::clone(&service.limits),
        welcome,
        handshakes,
        turn_over: Box::new(move || shared.flush()),
    }
}

/// Handshakes that are computed side by side. None of them waits, so more would not be faster.
const HANDSHAKES_AT_ONCE: usize = 2;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::http::{Request, Response, Status};

    #[test]
    fn a_panic_costs_one_answer() {
        let server = Server::bind("127.0.0.1:0", |request| {
            assert_ne!(request.path(), "/panic", "as asked");
            Response::text(Status::OK, "fine")
        });
        let handle = server.unwrap().start().unwrap();
        let mut stream = TcpStream::connect(handle.url().strip_prefix("http://").unwrap()).unwrap();
        // More often than there are workers.
        for _ in 0..10 {
            stream
                .write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            while !answer.ends_with("}\n") {
                let mut piece = [0; 512];
                let count = stream.read(&mut piece).unwrap();
                assert_ne!(count, 0, "cut: {answer}");
                answer.push_str(str::from_utf8(&piece[..count]).unwrap());
            }
            assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        }
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"),
            "{answer}"
        );
        handle.shutdown();
        handle.join().unwrap();
    }

    #[test]
    fn a_dead_feed_costs_no_request() {
        let fine = |_: &mut Request<'_>| Response::text(Status::OK, "fine");
        let server = Server::bind("127.0.0.1:0", fine).unwrap();
        let service = Arc::clone(&server.service);
        let handle = server.start().unwrap();
        let engine = service.engine.wait().clone().unwrap();
        drop(service);
        let address = handle.url().strip_prefix("http://").unwrap().to_owned();
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let mut stream = TcpStream::connect(&address).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .unwrap();
                thread::spawn(move || {
                    for _ in 0..90 {
                        stream
                            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                            .unwrap();
                        let mut answer = Vec::new();
                        while !answer.ends_with(b"fine") {
                            let mut piece = [0; 512];
                            let count = stream.read(&mut piece).unwrap();
                            assert_ne!(count, 0, "cut: {answer:?}");
                            answer.extend_from_slice(&piece[..count]);
                        }
                        assert!(answer.starts_with(b"HTTP/1.1 200"));
                    }
                })
            })
            .collect();
        while !callers.iter().all(|caller| caller.is_finished()) {
            engine.break_feed();
            thread::yield_now();
        }
        for caller in callers {
            caller.join().unwrap();
        }
        // A shutdown in the middle of a repair ends, too.
        engine.break_feed();
        handle.shutdown();
        handle.join().unwrap();
        let weak = Arc::downgrade(&engine);
        drop(engine);
        for _ in 0..2_000 {
            if weak.strong_count() == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the feed's thread is left");
    }
}
