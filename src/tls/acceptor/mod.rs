// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the server's side of TLS is made with: identity, callers, versions and suites.

mod sessions;
mod tls_version;

pub(crate) use tls_version::TlsVersion;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::tls::acceptor::sessions::Sessions;
use crate::tls::callers::Callers;
use crate::tls::pem::Identity;
use crate::tls::provider::{Floored, provider};

/// Turns accepted connections into encrypted ones.
#[derive(Clone)]
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    must_be_known: bool,
    /// `None` where the configuration was ready.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    generation: Option<u64>,
}

impl Acceptor {
    /// An acceptor that shows this identity and lets in these callers. The generation tells it from
    /// those that were made of the same files before.
    ///
    /// # Errors
    /// `Usage` if the authorities of callers cannot be used.
    pub(crate) fn new(
        identity: &Identity,
        callers: &Callers,
        oldest: TlsVersion,
        generation: u64,
    ) -> Result<Self> {
        let unusable = |error: rustls::Error| {
            let text = "the certificate and its key cannot be used";
            Error::new(ErrorKind::Usage, format!("{text}: {error}")).because(error)
        };

        let provider = provider();
        let verifier = callers.verifier(&provider)?;

        // The floored clock keeps good certificates of callers valid on a device whose clock is not set.
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(Floored))
            .with_protocol_versions(&oldest.and_later())
            .map_err(unusable)?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(identity.chain(), identity.key())
            .map_err(unusable)?;

        // The provider orders the suites for the processor of this device.
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];

        // A session that is resumed shows no certificate again, so neither its end nor its revocation
        // would be seen. Others go when the files change, with the key that was shown.
        if callers.are_asked() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.session_storage = Arc::new(Sessions::default());
            // A ticket is good for one connection, which gets the next one.
            config.send_tls13_tickets = 1;
        }

        Ok(Self {
            config: Arc::new(config),
            must_be_known: callers.must_be_known(),
            verifier: Some(verifier),
            generation: Some(generation),
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
            verifier: None,
            generation: None,
        }
    }

    /// Whether nobody gets in without a certificate.
    pub(crate) fn must_be_known(&self) -> bool {
        self.must_be_known
    }

    /// Which state of the files it was made of; `None` where the configuration was ready.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Whether a caller with this chain of certificates would be let in.
    pub(crate) fn admits(&self, chain: &[CertificateDer<'_>]) -> bool {
        let (Some(verifier), Some((own, others))) = (&self.verifier, chain.split_first()) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(clock::seconds()));

        verifier.verify_client_cert(own, others, now).is_ok()
    }

    /// The server's side of one connection, before its handshake.
    ///
    /// # Errors
    /// None that is known; rustls names them.
    pub(crate) fn session(&self) -> Result<UnbufferedServerConnection, rustls::Error> {
        UnbufferedServerConnection::new(Arc::clone(&self.config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_that_can_be_replayed() {
        let made = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.max_early_data_size = 16_384;

        let acceptor = Acceptor::ready(Arc::new(config));
        assert_eq!(acceptor.config.max_early_data_size, 0);
    }
}
