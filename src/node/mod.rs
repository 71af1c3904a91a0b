// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A node: every room built from a configuration, started and stopped in the right order. It is the
//! only room that knows that all the others exist.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access::secrets::invitations;
use crate::access::{Guard, NewToken, PUBLISHED, Password, Tokens};
use crate::address::Address;
use crate::config::{self, Config};
use crate::error::{Error, ErrorKind, Result};
use crate::http::BodyPlaces;
use crate::limits::LiveLimits;
use crate::pin::Pin;
use crate::routes::{Api, HostNames, Ids, Pairing, ROUTES};
use crate::server::{Server, ServerOptions, Shutdown};
use crate::store::{Store, StoreOptions};
use crate::tls::{Following, TlsFiles};
use crate::{clock, disk, edge};

/// A node that is ready to run.
pub struct Node {
    server: Server,
    store: Store,
    pin: Option<Pin>,
    password: PasswordOrigin,
    reload: Reload,
}

/// Where the password of a node came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordOrigin {
    /// The caller gave it.
    Given,
    /// It was in this file of the home already.
    Kept(PathBuf),
    /// It was made just now and is in this file.
    Made(PathBuf, Password),
}

impl Node {
    /// Opens the store and the identity and binds the addresses. Without a password, the one in the
    /// home is taken, or made.
    ///
    /// # Errors
    /// `Usage` for what the configuration has wrong: an address that cannot be had, a directory that
    /// cannot be written; `AlreadyRunning` if another server has the model directory.
    pub fn open(config: Config, password: Option<Password>) -> Result<Self> {
        config.check()?;
        let addresses = config.listen_on()?;
        disk::create_directory(&config.home)
            .map_err(|error| unwritable(&config.home, Error::io("it cannot be made", error)))?;
        clock::open(&config.home);
        if let Some(password) = &password {
            check_published(&config, &addresses, password)?;
        }
        let files = config.tls_files()?;
        let pin = files.as_ref().map(crate::tls::pin).transpose()?;
        let store = Store::open(&config.directory, config.store.clone())?;
        // Late, since a password that is made is shown only by a server that starts.
        let (password, origin) = match password {
            Some(password) => (password, PasswordOrigin::Given),
            None => kept_password(&config.home)?,
        };
        check_published(&config, &addresses, &password)?;
        warn_of(&config, &addresses, &password);
        let live_limits = Arc::new(LiveLimits::new(config.limits.clone()));
        let started = Config {
            sockets: Vec::new(),
            ..config.clone()
        };
        let api = Api {
            routes: ROUTES,
            store: store.clone(),
            guard: Guard::new(&config.home, &password, config.access.clone())?,
            host_names: host_names(&config, files.as_ref()),
            audit: config.log.audit,
            ids: Ids::new(),
            limits: Arc::clone(&live_limits),
            import_bytes_before_password: config.import_bytes_before_password,
            pairing: Pairing {
                home: config.home.clone(),
                issue,
            },
            guests: BodyPlaces::new(config.limits.workers.saturating_sub(2) / 2),
        };
        let mut options = ServerOptions {
            limits: config.limits,
            ..ServerOptions::default()
        };
        options.tls_files = files;
        options.live_limits = Arc::clone(&live_limits);
        options.folders = vec![config.home.clone()];
        let own =
            |socket: Arc<OwnedFd>| Arc::try_unwrap(socket).or_else(|socket| socket.try_clone());
        options.sockets = (config
            .sockets
            .into_iter()
            .map(own)
            .collect::<io::Result<_>>())
        .map_err(|error| Error::io("taking over a socket", error))?;
        let server = Server::with_options(&addresses, options, api).inspect_err(|_| {
            if let PasswordOrigin::Made(path, _) = &origin {
                let _ = disk::remove(path);
            }
        })?;
        invitations::keep_addresses(&config.home, &invitable(&server.addresses()));
        let reload = Reload {
            live_limits,
            started,
            tls: server.following(),
        };
        if let Some(path) = &config.address_file {
            let text = server.urls().join("\n") + "\n";
            disk::write(path, text.as_bytes(), 0o644).map_err(|error| {
                let error = Error::io(format!("{} cannot be written", path.display()), error);
                Error::new(ErrorKind::Usage, error.message()).hint("--write-addr names that file")
            })?;
        }
        Ok(Self {
            server,
            store,
            pin,
            password: origin,
            reload,
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
            .find_map(|address| match address {
                Address::Ip(ip) if ip.ip().is_unspecified() => Some(ip.port()),
                _ => None,
            });
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
        self.server.shutdown()
    }

    /// What gives the node new settings while it runs.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Serves until the shutdown is triggered; then finishes what is running and closes the store.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn run(self) -> Result<()> {
        let result = self.server.run();
        self.store.close();
        clock::keep(KEEP_AGE);
        result
    }
}

/// Where other devices can reach these addresses, the best one first.
fn invitable(addresses: &[Address]) -> Vec<String> {
    let mut found = Vec::new();
    for address in addresses {
        let Address::Ip(bound) = address else {
            continue;
        };
        if bound.ip().is_unspecified() {
            let outside = crate::tls::local_address().map(|ip| SocketAddr::new(ip, bound.port()));
            found.extend(outside.map(|outside| outside.to_string()));
            found.push(format!(
                "{}.local:{}",
                crate::tls::host_name(),
                bound.port()
            ));
        } else {
            found.push(address.authority());
        }
    }
    found
}

/// Makes a token for a device that was invited.
fn issue(home: &Path, name: &str, role: &str) -> Result<Password> {
    Tokens::add(
        home,
        NewToken {
            name: name.to_owned(),
            role: role.parse()?,
            end: None,
        },
    )
}

/// Gives a running node new settings.
#[derive(Clone)]
pub struct Reload {
    live_limits: Arc<LiveLimits>,
    started: Config,
    tls: Option<Arc<Following>>,
}

impl Reload {
    /// Takes the limits of a configuration, for connections from now on. Returns the settings that
    /// differ from those the node was started with but count only at the next start.
    ///
    /// # Errors
    /// `Usage` for limits with which nobody could be served; the old ones then stay.
    pub fn apply(&self, config: Config) -> Result<Vec<&'static str>> {
        config.check()?;
        let mut limits = config.limits.clone();
        edge::make_room(&mut limits);
        self.live_limits.change(limits);
        if let Some(tls) = &self.tls {
            // The addresses of this device may have changed.
            if let Err(error) = self.started.tls_files() {
                log::error!("the identity stays as it was: {error}");
            }
            tls.refresh();
        }
        let old = &self.started;
        let (was, is) = (&old.store, &config.store);
        let cache = |store: &StoreOptions| {
            let StoreOptions {
                cache_bytes_max,
                cache_file_bytes_max,
                ..
            } = *store;
            (
                cache_bytes_max,
                cache_file_bytes_max,
                store.cache_entries_max,
                store.cache_idle,
            )
        };
        let uploads = |store: &StoreOptions| {
            let StoreOptions {
                uploads_max,
                uploads_bytes_max,
                ..
            } = *store;
            (
                uploads_max,
                uploads_bytes_max,
                store.upload_age_max,
                store.upload_sync_bytes,
            )
        };
        let fixed = [
            ("dir", old.directory != config.directory),
            ("listen", old.addresses != config.addresses),
            ("port", old.port != config.port),
            ("plain", old.plain != config.plain),
            ("cert, key, client-...", !config::same_tls(old, &config)),
            ("workers", old.limits.workers != config.limits.workers),
            (
                "max-import-bytes-before-password",
                old.import_bytes_before_password != config.import_bytes_before_password,
            ),
            ("require-signature", was.signers != is.signers),
            ("max-total-bytes", was.total_bytes_max != is.total_bytes_max),
            ("reserve-bytes", was.reserve_bytes != is.reserve_bytes),
            ("accept", was.accept != is.accept),
            ("replace", was.replace != is.replace),
            ("keep-versions", was.versions_max != is.versions_max),
            ("require-license", was.require_license != is.require_license),
            ("scrub-interval", was.scrub_interval != is.scrub_interval),
            ("cache-...", cache(was) != cache(is)),
            ("max-uploads... or upload-...", uploads(was) != uploads(is)),
            (
                "lockout-..., host-names or what else says who may do what",
                old.access != config.access,
            ),
            ("log-format or log-polls", old.log.audit != config.log.audit),
        ];
        Ok(fixed
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key)
            .collect())
    }
}

/// Refuses the password that everybody knows, unless nobody but this device can try it (seed D11).
fn check_published(config: &Config, addresses: &[Address], password: &Password) -> Result<()> {
    if password.text() != PUBLISHED {
        return Ok(());
    }
    let is_here = |address: &Address| match address {
        Address::Ip(ip) => ip.ip().to_canonical().is_loopback(),
        _ => false,
    };
    let is_only_here = config.sockets.is_empty() && addresses.iter().all(is_here);
    if config.access.insecure_default_password && is_only_here {
        log::warn!("the password is the published one: every program on this device knows it");
        return Ok(());
    }
    let text =
        "the password is the one that dearning publishes as its default, so everybody knows it";
    Err(Error::new(ErrorKind::Usage, text).hint(
        "set another one (or none: one is then made), or for trials on this device listen on \
         127.0.0.1 and add --insecure-default-password",
    ))
}

/// Says at the start what is less safe than it could be, and why.
fn warn_of(config: &Config, addresses: &[Address], password: &Password) {
    if password.text().len() < PASSWORD_BYTES_FEW {
        log::warn!(
            "the password is short: who tries long enough finds it out ('skep token' helps)"
        );
    }
    let is_away = |address: &Address| match address {
        Address::Ip(ip) => !ip.ip().to_canonical().is_loopback(),
        _ => false,
    };
    if !config.plain || !addresses.iter().any(is_away) {
        return;
    }
    match config.access.plain_dearning {
        true => log::warn!(
            "--plain-dearning: everybody on the way can read the passwords of the dearning API"
        ),
        false => log::warn!(
            "--plain: the dearning API is off for other devices, because everybody on the way could \
             read its passwords; --plain-dearning switches it on"
        ),
    }
}

/// Fewer are worth a warning.
const PASSWORD_BYTES_FEW: usize = 10;

/// What this server is called: by its settings, its certificate and its system.
fn host_names(config: &Config, files: Option<&TlsFiles>) -> HostNames {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let own = [format!("{host}.local"), host];
    let certified = files.map(crate::tls::names).unwrap_or_default();
    HostNames::new(
        config
            .access
            .host_names
            .iter()
            .cloned()
            .chain(own)
            .chain(certified),
    )
}

/// The password in the home, made now if there is none yet.
fn kept_password(home: &Path) -> Result<(Password, PasswordOrigin)> {
    let path = home.join(PASSWORD);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let line = text.lines().next().unwrap_or_default();
            let password = Password::new(line).map_err(|error| {
                let text = format!("{}: {}", path.display(), error.message());
                Error::new(ErrorKind::Usage, text).hint("remove the file to have a new one made")
            })?;
            Ok((password, PasswordOrigin::Kept(path)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let password = Password::generate()?;
            disk::write(&path, format!("{}\n", password.text()).as_bytes(), 0o600)
                .map_err(|error| unwritable(home, Error::io("writing the password", error)))?;
            Ok((password.clone(), PasswordOrigin::Made(path, password)))
        }
        Err(error) => Err(unwritable(home, Error::io("reading the password", error))),
    }
}

fn unwritable(home: &Path, error: Error) -> Error {
    let text = format!(
        "the home {} cannot be used: {}",
        home.display(),
        error.message()
    );
    Error::new(ErrorKind::Usage, text).hint("set SKEP_HOME to a directory of yours")
}

/// What a clean end adds to the time that is kept: servers that cron starts live for less than a day.
const KEEP_AGE: Duration = Duration::from_secs(60 * 60);

/// The file in the home that holds the password; `skep` clients on the same device read it, too.
pub(crate) const PASSWORD: &str = "password";
