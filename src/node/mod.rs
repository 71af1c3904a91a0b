// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A node: every room built from a configuration, started and stopped in the right order. It is the
//! only room that knows that all the others exist.

mod bound;
mod confined;
mod node_events;
mod reach;
mod reload;
mod samples;
mod server_password;
mod services;
#[cfg(test)]
mod tests;
mod watcher;

pub(crate) use confined::Confined;
pub use reload::Reload;
pub use server_password::PasswordOrigin;
pub use services::{ServiceState, ServiceStatus, Services};
pub use watcher::{Notice, Watcher};

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::access::{CallerKey, Guard, NewToken, Password, Tokens};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::home::KeptTime;
use crate::limits::LiveLimits;
use crate::metrics::Metric;
use crate::pin::Pin;
use crate::routes::{Api, DayQuota, HostNames, Ids, Mirror, Pairing, RequestRate, routes};
use crate::server::{Server, ServerOptions};
use crate::stop::{Reason, Shutdown, Stop, Waited};
use crate::store::Store;
use crate::tls::TlsFiles;
use crate::{disk, home};
use node_events::NodeEvents;
use reach::host_names;
use server_password::{UnseenPassword, check_published, check_strength, kept_password, warn_of};
use services::Service;

/// A node that is ready to run.
pub struct Node {
    server: Server,
    store: Store,
    pin: Option<Pin>,
    password: PasswordOrigin,
    reload: Reload,
    services: Services,
    events: NodeEvents,
    kept_time: KeptTime,
    /// Ends all services.
    stop: Stop,
}

impl Node {
    /// Opens the store and the identity and binds the addresses. Without a password, the one in the
    /// home is taken, or made.
    ///
    /// # Errors
    /// `Usage` for what the configuration has wrong: an address that cannot be had, a directory that
    /// cannot be written; `AlreadyRunning` if another server has the model directory.
    pub fn open(config: Config, password: Option<Password>) -> Result<Self> {
        config.check_with_files()?;

        // What the configuration alone shows to be wrong is refused before anything is made in the
        // home.
        let addresses = config.listen_on()?;
        check_home(&config)?;

        // A password that is given is checked before files are made, one in the home as soon as it
        // is read.
        if let Some(password) = &password {
            check_published(&config, &addresses, password)?;
            check_strength(&config, &addresses, password)?;
        }

        // The addresses come next: a start that fails because another server has one of them leaves
        // nothing behind. Nobody is answered before `run`.
        let listener = bound::listener(&config, &addresses)?;

        // Channels exist before the rooms that publish on them.
        home::learn_time(&config.home);
        let events = NodeEvents::open(config.log.audit)?;
        let store = bound::store(&config, events.of_store())?;

        // The kept time comes before certificates, which need a time that does not go backwards.
        let kept_time = KeptTime::open(&config.home);
        let files = config.tls_files()?;
        let pin = files.as_ref().map(crate::tls::pin).transpose()?;

        // Late, since a password that is made is shown only by a server that starts.
        let (password, origin) = match password {
            Some(password) => (password, PasswordOrigin::Given),
            None => kept_password(&config.home)?,
        };
        let unseen = UnseenPassword::of(&origin);

        if !matches!(origin, PasswordOrigin::Given) {
            check_published(&config, &addresses, &password)?;
            check_strength(&config, &addresses, &password)?;
        }
        warn_of(&config, &addresses);
        let live_limits = Arc::new(LiveLimits::new(config.limits.clone()));

        // The copy for reloads must not hold the sockets open: with it, a port would stay taken
        // after the end.
        let started = Config {
            sockets: Vec::new(),
            ..config.clone()
        };

        let stop = Stop::new();
        let host_names = host_names(&config, files.as_ref());
        let api = api(
            &config,
            &store,
            &password,
            host_names,
            &live_limits,
            &events,
            &stop,
        )?;

        let mut options = server_options(config, files, &live_limits, &stop);
        options.events = events.connections.clone();
        options.listener = Some(listener);
        let server = Server::with_options(&addresses, options, api)?;

        write_urls(started.address_file.as_deref(), &server.urls())?;

        // Nothing is answered before `run`, so the first caller sees the renewed certificate.
        if let Some(tls) = server.following() {
            started.keep_identity_fresh()?;
            tls.refresh();
        }

        // Last of all, when nothing can fail any more: others are invited to what is noted.
        reach::note(&started.home, store.directory(), &server.addresses());
        unseen.keep();

        Ok(Self {
            reload: Reload {
                live_limits,
                latest: Arc::new(Mutex::new(started.clone())),
                started,
                tls: server.following(),
                events: events.server.clone(),
            },
            events,
            kept_time,
            services: Services::new(stop.clone()),
            stop,
            server,
            store,
            pin,
            password: origin,
        })
    }

    /// Where the node can be reached, one URL for each address.
    pub fn urls(&self) -> Vec<String> {
        self.server.urls()
    }

    /// Where other devices reach the node, if it listens on all addresses and this one has any.
    pub fn outside_url(&self) -> Option<String> {
        let everywhere = self
            .server
            .addresses()
            .into_iter()
            .find_map(|address| address.everywhere());
        let scheme = if self.pin.is_some() { "https" } else { "http" };
        let outside = SocketAddr::new(crate::tls::local_address()?, everywhere?);
        Some(format!("{scheme}://{outside}"))
    }

    /// What clients recognise it by; `None` for plain HTTP.
    pub fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// The absolute path of the model directory.
    pub fn directory(&self) -> &Path {
        self.store.directory()
    }

    /// The models.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where its password came from.
    pub fn password(&self) -> &PasswordOrigin {
        &self.password
    }

    /// What ends [`Node::run`] from another thread.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown::of(self.stop.clone())
    }

    /// What runs in this node: how it is doing can be read, and a service be ended, while [`Node::run`]
    /// runs in another thread.
    pub fn services(&self) -> Services {
        self.services.clone()
    }

    /// What is counted in this node, every row with its value; can be called while it runs.
    pub fn samples(&self) -> impl Fn() -> Vec<(&'static Metric, u64)> + Send + Sync + 'static {
        let (metrics, store) = (self.server.metrics(), self.store.clone());
        move || samples::of(&metrics, &store)
    }

    /// Watches channels (`models`, `uploads`, `access`, `connections`, `server`, `requests`): those that
    /// are named, or all. Up to `capacity` events wait for the watcher. With `after`, it begins behind
    /// the event of that id as far as that is still known.
    ///
    /// # Errors
    /// `NotFound` for a name that no channel has, `Busy` if too many watch.
    pub fn watch(&self, names: &[&str], capacity: usize, after: Option<u64>) -> Result<Watcher> {
        let channels = self.events.channels();
        let subscription = match after {
            Some(id) => channels.resume(names, capacity, id)?,
            None => channels.subscribe(names, capacity)?,
        };
        Ok(Watcher::new(subscription, self.stop.clone()))
    }

    /// What gives the node new settings while it runs.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Begins to answer, before [`Node::run`] would.
    ///
    /// # Errors
    /// If the system has no thread to give, or no folder for a private socket.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.server.begin()
    }

    /// Serves until the shutdown is triggered; then finishes what is running and closes the store.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn run(self) -> Result<()> {
        let stop = self.stop.clone();
        let urls = self.server.urls();
        self.services.start(Box::new(HttpService {
            server: self.server,
            node: self.stop,
        }))?;

        // Told once the services can be asked about.
        self.events.started(&urls);

        // The time is kept once a day, so that a device without a battery for its clock does not
        // start in the past.
        let mut kept_time = self.kept_time;
        while stop.wait_for(home::DAY) == Waited::TimedOut {
            kept_time.keep(home::DAY);
        }

        self.events.stopping(stop.reason());
        let result = self.services.join(HTTP);

        // The store closes after the requests that use it have ended.
        self.services.end();
        self.store.close();
        kept_time.keep(KEEP_AGE);
        result
    }
}

/// The server of the API as a service.
struct HttpService {
    server: Server,
    /// Without its face to callers, a node has nothing to go on for.
    node: Stop,
}

impl Service for HttpService {
    fn name(&self) -> &'static str {
        HTTP
    }

    /// The server was bound with a token that ends with this one's parent; a stop of this service
    /// alone is passed on.
    fn run(self: Box<Self>, stop: &Stop) -> Result<()> {
        let shutdown = self.server.shutdown();
        let _link = stop.on_stop(move || shutdown.trigger());
        let outcome = self.server.run();
        self.node.trigger(Reason::Asked);
        outcome
    }
}

const HTTP: &str = "http";

/// What the routes can use.
fn api(
    config: &Config,
    store: &Store,
    password: &Password,
    host_names: HostNames,
    limits: &Arc<LiveLimits>,
    events: &NodeEvents,
    stop: &Stop,
) -> Result<Api> {
    Ok(Api {
        routes: routes(config.dearning),
        rate: RequestRate::new(config.access.request_rate_max),
        quota: Arc::new(DayQuota::new(Arc::clone(limits))),
        store: store.clone(),
        guard: Guard::new(&config.home, password, config.access.clone())?,
        host_names,
        events: events.of_api(),
        ids: Ids::new(),
        limits: Arc::clone(limits),
        import_bytes_before_password: config.import_bytes_before_password,
        mirror: Mirror::open(&config.mirror, store, stop)?,
        pairing: Pairing {
            home: config.home.clone(),
            issue,
        },
    })
}

fn server_options(
    config: Config,
    files: Option<TlsFiles>,
    live_limits: &Arc<LiveLimits>,
    stop: &Stop,
) -> ServerOptions {
    let mut options = ServerOptions {
        limits: config.limits,
        ..ServerOptions::default()
    };
    options.tls_files = files;
    options.live_limits = Arc::clone(live_limits);
    options.folders = vec![config.home];

    // A child token: a stop of the node stops the server, too.
    options.stop = stop.child();
    options
}

/// Refuses a home of a newer format, and one that others can read or change unless that is wanted.
fn check_home(config: &Config) -> Result<()> {
    home::check_format(&config.home)?;
    match home::check_modes(&config.home) {
        Err(error) if !config.strict_modes => {
            log::warn!("{error}");
            Ok(())
        }
        checked => checked,
    }
}

/// Tells a file where the server can be reached.
fn write_urls(file: Option<&Path>, urls: &[String]) -> Result<()> {
    let Some(path) = file else { return Ok(()) };

    let text = urls.join("\n") + "\n";
    disk::write_through(path, text.as_bytes(), 0o644).map_err(|error| {
        let error = Error::io(format!("{} cannot be written", path.display()), error);
        Error::new(ErrorKind::Usage, error.message()).hint("the file is set by --write-addr")
    })
}

/// Keeps a token for a device that was invited, or makes it for one that sent no key.
fn issue(home: &Path, name: &str, role: &str, key: Option<CallerKey>) -> Result<Option<Password>> {
    let token = NewToken {
        name: name.to_owned(),
        role: role.parse()?,
        end: None,
    };

    match key {
        Some(key) => Tokens::add_key(home, token, key).map(|()| None),
        None => Tokens::add(home, token).map(Some),
    }
}

/// What a clean end adds to the time that is kept: servers that cron starts live for less than a day.
const KEEP_AGE: Duration = Duration::from_secs(60 * 60);
