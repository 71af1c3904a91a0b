// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All that a node is built from, as values.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::access::AccessOptions;
use crate::address::{DEFAULT_PORT, ListenAddress, Scheme, UnsaidScheme};
use crate::config::table::Table;
use crate::config::written::Written;
use crate::error::Result;
use crate::limits::Limits;
use crate::logging::LogOptions;
use crate::routes::MirrorOptions;
use crate::store::StoreOptions;
use crate::tls::TlsVersion;

/// All that a node is built from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where identity, password and pins are kept (`SKEP_HOME`).
    pub home: PathBuf,
    /// The model directory.
    pub directory: PathBuf,
    /// The port of addresses that name none.
    pub port: u16,
    /// Addresses to listen on, as they were written; `*` if there are neither these nor
    /// [`Config::sockets`].
    pub addresses: Vec<String>,
    /// Sockets that listen already; with one of them, no address is needed.
    pub sockets: Vec<Arc<OwnedFd>>,
    /// A file that is told the URLs once the addresses are bound.
    pub address_file: Option<PathBuf>,
    /// Plain HTTP instead of HTTPS.
    pub plain: bool,
    /// The certificate chain of the server in PEM, instead of the identity in the home.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// A file or a directory of authorities whose callers are let in.
    pub client_ca: Option<PathBuf>,
    /// A list of what that authority has revoked; the one beside it if there is any.
    pub client_crl: Option<PathBuf>,
    /// Whether callers may come without a certificate where there is such an authority.
    pub allow_unauthenticated_clients: bool,
    /// Whether the process confines itself to the files that it needs, where the kernel can do that;
    /// `skep serve` does so, and a node that is embedded leaves its process alone.
    pub landlock: bool,
    /// Whether a home is refused whose secrets others can read, or in which they can change something;
    /// else that is only told.
    pub strict_modes: bool,
    /// Limits of the server.
    pub limits: Limits,
    /// Bytes of an import that are kept before its password was seen.
    pub import_bytes_before_password: u64,
    /// How the store keeps models.
    pub store: StoreOptions,
    /// Another hub, and what is kept of it.
    pub(crate) mirror: MirrorOptions,
    /// Who may do what.
    pub(crate) access: AccessOptions,
    /// What is logged, and where.
    pub(crate) log: LogOptions,
    /// Whether the dearning API is answered.
    pub dearning: bool,
    /// The oldest version of TLS that is spoken.
    pub(crate) tls_min: TlsVersion,
    /// The settings that were taken from layers, as they were written, and where.
    pub(crate) written: Written,
    /// Tables of the file that rooms read themselves.
    pub(crate) tables: Vec<Table>,
}

impl Config {
    /// The defaults of all settings, with a home.
    pub fn new(home: PathBuf) -> Self {
        Self {
            home,
            directory: PathBuf::from("dm_models"),
            port: DEFAULT_PORT,
            addresses: Vec::new(),
            sockets: Vec::new(),
            address_file: None,
            plain: false,
            cert_file: None,
            key_file: None,
            client_ca: None,
            client_crl: None,
            allow_unauthenticated_clients: false,
            landlock: true,
            strict_modes: true,
            limits: Limits::default(),
            import_bytes_before_password: 64 << 10,
            store: StoreOptions::default(),
            mirror: MirrorOptions::default(),
            access: AccessOptions::default(),
            log: LogOptions::default(),
            dearning: true,
            tls_min: TlsVersion::default(),
            written: Written::default(),
            tables: Vec::new(),
        }
    }

    /// The addresses to listen on, read.
    ///
    /// # Errors
    /// `Usage` for one that is not an address.
    pub fn listen_on(&self) -> Result<Vec<ListenAddress>> {
        // What is not encrypted leaves the device only if somebody asks for that.
        let unasked = if self.plain { "127.0.0.1" } else { "*" };
        let everywhere = [unasked.to_owned()];

        // An inherited socket is a place to listen already, so nothing else is opened beside it by
        // default.
        let is_open = self.addresses.is_empty() && self.sockets.is_empty();

        let written = if is_open {
            &everywhere[..]
        } else {
            &self.addresses
        };

        written
            .iter()
            .map(|address| ListenAddress::parse(address, self.port))
            .collect()
    }

    /// Whether nobody named an address, and only this device is served since there is no TLS.
    pub(crate) fn is_here_for_want_of_tls(&self) -> bool {
        self.plain && self.addresses.is_empty() && self.sockets.is_empty()
    }

    /// What is spoken where an address does not say it.
    pub(crate) fn unsaid_scheme(&self) -> UnsaidScheme {
        let network = if self.plain {
            Scheme::Http
        } else {
            Scheme::Https
        };

        let needs_certificate = self.client_ca.is_some() && !self.allow_unauthenticated_clients;
        UnsaidScheme::new(network, needs_certificate)
    }

    /// Whether TLS is spoken anywhere.
    ///
    /// # Errors
    /// `Usage` for an address that cannot be read.
    pub(crate) fn speaks_tls(&self) -> Result<bool> {
        let unsaid = self.unsaid_scheme();
        let is_tls =
            |listen: &ListenAddress| listen.scheme_or(unsaid.at(&listen.address)) == Scheme::Https;
        let has_tls_socket = !self.sockets.is_empty() && unsaid.network == Scheme::Https;
        Ok(has_tls_socket || self.listen_on()?.iter().any(is_tls))
    }
}
