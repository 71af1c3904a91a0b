// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client needs to know of its server.

use std::path::PathBuf;
use std::time::Duration;

use crate::access::Password;
use crate::address::ServerUrl;
use crate::client::connection::{ClientCertificate, PasswordOver};
use crate::client::trust::{Elsewhere, FirstUse, Trust};

/// What a client needs to know of its server.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Where the server is.
    pub server: ServerUrl,
    /// Where else it is looked for if nobody answers there; only in a paired server's own name.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// How it is recognised. Default: by the known servers; others are refused.
    pub trust: Trust,
    /// The directory of the known servers and of this device's own certificate.
    pub home: Option<PathBuf>,
    /// Files of public authorities in PEM, of which the first that is there may vouch for servers that
    /// are not known. Default: none.
    pub public_roots: Vec<PathBuf>,
    /// The password, if the server wants one.
    pub password: Option<Password>,
    /// Over which connections the password may go. Default: protected ones.
    pub password_over: PasswordOver,
    /// The certificate and key that are shown to a server that asks for them, as PEM files.
    pub certificate: Option<ClientCertificate>,
    /// How long any single read or write may take; no transfer has a total limit. Default 60 s.
    pub timeout: Duration,
    /// How long reaching one address may take. Default 30 s.
    pub connect_timeout: Duration,
    /// How many bytes per second transfers of files may take, each way. Default: all there are.
    pub rate: Option<u64>,
}

impl ClientOptions {
    /// The defaults for a server.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            elsewhere: None,
            trust: Trust::Known(FirstUse::Refuse),
            home: None,
            public_roots: Vec::new(),
            password: None,
            password_over: PasswordOver::Protected,
            certificate: None,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(30),
            rate: None,
        }
    }
}
