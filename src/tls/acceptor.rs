// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the server's side of TLS is made with: identity, callers, versions and suites.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;

use crate::error::{Error, ErrorKind, Result};
use crate::tls::callers::Callers;
use crate::tls::pem::Identity;
use crate::tls::provider::{Floored, provider};

/// Turns accepted connections into encrypted ones.
#[derive(Clone)]
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    must_be_known: bool,
}

impl Acceptor {
    /// An acceptor that shows this identity and lets in these callers.
    ///
    /// # Errors
    /// `Usage` if the authorities of callers cannot be used.
    pub(crate) fn new(identity: &Identity, callers: &Callers) -> Result<Self> {
        let unusable = |error: rustls::Error| {
            let text = "the certificate and its key cannot be used";
            Error::new(ErrorKind::Usage, format!("{text}: {error}")).because(error)
        };

        let provider = provider();
        let verifier = callers.verifier(&provider)?;

        // The floored clock keeps good certificates of callers valid on a device whose clock is not set.
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(Floored))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain(), identity.key())
            .map_err(unusable)?;

        // The provider orders the suites for the processor of this device.
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];

        // Sessions that can be resumed are kept here, 256 at most, and go when the files change, so
        // that nobody resumes what was revoked.
        Ok(Self {
            config: Arc::new(config),
            must_be_known: callers.must_be_known(),
        })
    }

    /// An acceptor with a configuration that somebody else has made. Whether it lets in callers without a
    /// certificate cannot be told, so nobody is let in without TLS.
    pub(crate) fn ready(mut config: Arc<ServerConfig>) -> Self {
        // Early data can be replayed by whoever has recorded it (RFC 8446 section 8), and no request
        // is read from it.
        if config.max_early_data_size > 0 {
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }

        Self {
            config,
            must_be_known: true,
        }
    }

    /// Whether nobody gets in without a certificate.
    pub(crate) fn must_be_known(&self) -> bool {
        self.must_be_known
    }

    /// The server's side of one connection, before its handshake.
    ///
    /// # Errors
    /// None that is known; rustls names them.
    pub(crate) fn session(&self) -> Result<UnbufferedServerConnection, rustls::Error> {
        UnbufferedServerConnection::new(Arc::clone(&self.config))
    }
}
