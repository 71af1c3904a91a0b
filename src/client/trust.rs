// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whom the client trusts: a server is its key, and a key is recognised by its pin.
//!
//! The handshake proves that the server has the key of the certificate it shows; names, dates and
//! issuers are not looked at. After the handshake and before the first byte of a request,
//! [`Guard::check`] decides on the pin.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;

use super::address::ServerUrl;
use super::known::KnownServers;
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;

/// How the client recognises a server.
pub enum Trust {
    /// Only by this pin.
    Pinned(Pin),
    /// By the file of known servers; this is what happens with a server that is not in it.
    Known(FirstUse),
    /// Not at all: anybody could answer.
    Anything,
}

/// What happens with a server that was never met before.
pub enum FirstUse {
    /// It is refused.
    Refuse,
    /// Its pin is stored, and it is trusted from then on.
    Accept,
    /// Somebody is asked whether to store its pin; the question has the server's address.
    Ask(Question),
}

/// Asks whether the server at an address has this pin.
pub type Question = Box<dyn Fn(&str, Pin) -> bool + Send + Sync>;

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned(_) => "Pinned",
            Self::Known(FirstUse::Refuse) => "Known(Refuse)",
            Self::Known(FirstUse::Accept) => "Known(Accept)",
            Self::Known(FirstUse::Ask(_)) => "Known(Ask)",
            Self::Anything => "Anything",
        })
    }
}

/// Decides whether one server may be talked to.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) trust: Trust,
    pub(super) home: Option<PathBuf>,
}

/// A decision in favour of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The connection can be used.
    Trusted,
    /// Somebody took time to answer a question, so the connection may be gone by now.
    Asked,
}

impl Guard {
    /// Decides on the certificate of a server.
    ///
    /// # Errors
    /// `Untrusted` if this is not, or may not be, the server that is meant.
    pub(super) fn check(&self, url: &ServerUrl, certificate: &[u8]) -> Result<Verdict> {
        let shown = match &self.trust {
            Trust::Anything => return Ok(Verdict::Trusted),
            _ => Pin::of_certificate(certificate)?,
        };
        match &self.trust {
            Trust::Anything => Ok(Verdict::Trusted),
            Trust::Pinned(pin) if *pin == shown => Ok(Verdict::Trusted),
            Trust::Pinned(pin) => Err(differs(url, shown, *pin)
                .hint("if that is the right server, give its fingerprint with --pin")),
            Trust::Known(first_use) => self.check_known(url, shown, first_use),
        }
    }

    fn check_known(&self, url: &ServerUrl, shown: Pin, first_use: &FirstUse) -> Result<Verdict> {
        let Some(home) = &self.home else {
            return Err(unknown(url, shown));
        };
        let known = KnownServers::new(home);
        let authority = url.authority();
        let pin = known.find(&authority)?;
        if pin == Some(shown) || (url.is_loopback() && self.own() == Some(shown)) {
            return Ok(Verdict::Trusted);
        }
        if let Some(pin) = pin {
            return Err(differs(url, shown, pin).hint(format!(
                "somebody may be listening in; if you know why the key changed, remove the line \
                 of {authority} from {}",
                known.path().display()
            )));
        }
        match first_use {
            FirstUse::Refuse => Err(unknown(url, shown)),
            FirstUse::Accept => {
                known.add(&authority, shown)?;
                log::warn!("{authority} is trusted from now on by its key {shown}");
                Ok(Verdict::Trusted)
            }
            FirstUse::Ask(question) => match question(&authority, shown) {
                true => known.add(&authority, shown).map(|()| Verdict::Asked),
                false => Err(Error::new(
                    ErrorKind::Untrusted,
                    format!("{authority} is not trusted, nothing was sent"),
                )),
            },
        }
    }

    /// The pin of this device's own server, if it has one.
    fn own(&self) -> Option<Pin> {
        let path = self.home.as_ref()?.join("server.crt");
        let certificate = CertificateDer::from_pem_file(path).ok()?;
        Pin::of_certificate(&certificate).ok()
    }
}

fn differs(url: &ServerUrl, shown: Pin, expected: Pin) -> Error {
    let message = format!(
        "{} shows another key than expected: it shows {shown}, expected was {expected}; nothing \
         was sent",
        url.authority()
    );
    Error::new(ErrorKind::Untrusted, message)
}

fn unknown(url: &ServerUrl, shown: Pin) -> Error {
    let message = format!("{} is not known; it shows the key {shown}", url.authority());
    Error::new(ErrorKind::Untrusted, message).hint(format!(
        "compare that with what the server printed when it was ready, then use --pin {shown} once \
         per call, or --accept-new to remember it"
    ))
}

/// What a client shows of itself (seed G44).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate chain, in PEM.
    pub cert_file: PathBuf,
    /// Its key (PKCS#8, PKCS#1 or SEC1), in PEM.
    pub key_file: PathBuf,
}

/// What the TLS handshakes of a client do: every certificate is taken if its key signs.
///
/// # Errors
/// `Usage` if the client's own certificate cannot be used.
pub(super) fn tls(own: Option<&ClientCertificate>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| Error::new(ErrorKind::Internal, "TLS cannot be set up").because(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)));
    let Some(own) = own else { return Ok(Arc::new(config.with_no_client_auth())) };
    let unusable = |path: &Path, reason: &dyn fmt::Display| {
        let message = format!("{} cannot be used: {reason}", path.display());
        Error::new(ErrorKind::Usage, message)
    };
    let chain = CertificateDer::pem_file_iter(&own.cert_file)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(&own.cert_file, &error))?;
    let key = PrivateKeyDer::from_pem_file(&own.key_file)
        .map_err(|error| unusable(&own.key_file, &error))?;
    let config = config.with_client_auth_cert(chain, key);
    config.map(Arc::new).map_err(|error| unusable(&own.cert_file, &error))
}

/// What it means if a server ends TLS because of what this client showed of itself, or did not show.
pub(super) fn refusal(error: &io::Error) -> Option<Error> {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, UnknownCA, UnsupportedCertificate,
    };
    let reason = match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(CertificateRequired) => "it wants to see a certificate",
        rustls::Error::AlertReceived(
            UnknownCA
            | BadCertificate
            | CertificateUnknown
            | CertificateExpired
            | CertificateRevoked
            | UnsupportedCertificate
            | AccessDenied
            | DecryptError,
        ) => "it does not accept this certificate",
        _ => return None,
    };
    let message = format!("the server does not let this device in: {reason}");
    Some(Error::new(ErrorKind::Unauthenticated, message))
}

/// Accepts every certificate and checks that the server has its key.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, KeyPair};

    fn certificate() -> rcgen::Certificate {
        let params = CertificateParams::new(vec!["skep.example".to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn a_server_is_recognised_by_its_key_alone() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (certificate(), certificate());
        let url: ServerUrl = "pi:8443".parse().unwrap();
        let guard = |trust| Guard { trust, home: Some(home.path().to_owned()) };
        let refused = |trust, certificate: &rcgen::Certificate| {
            let error = guard(trust).check(&url, certificate.der()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
            error.to_string()
        };
        let pin = Pin::of_certificate(one.der()).unwrap();
        assert!(guard(Trust::Pinned(pin)).check(&url, one.der()).is_ok());
        refused(Trust::Pinned(pin), &other);
        assert!(guard(Trust::Anything).check(&url, b"junk").is_ok());
        assert!(refused(Trust::Known(FirstUse::Refuse), &one).contains(&pin.to_string()));
        refused(Trust::Known(FirstUse::Ask(Box::new(|_, _| false))), &one);
        let ask = FirstUse::Ask(Box::new(move |host, shown| host == "pi:8443" && shown == pin));
        assert_eq!(guard(Trust::Known(ask)).check(&url, one.der()).unwrap(), Verdict::Asked);
        let known = guard(Trust::Known(FirstUse::Refuse)).check(&url, one.der());
        assert_eq!(known.unwrap(), Verdict::Trusted);
        let text = refused(Trust::Known(FirstUse::Accept), &other);
        assert!(text.contains(&pin.to_string()) && text.contains("known_servers"), "{text}");
    }

    #[test]
    fn the_server_of_this_device_is_trusted_on_loopback_only() {
        let home = tempfile::tempdir().unwrap();
        let own = certificate();
        std::fs::write(home.path().join("server.crt"), own.pem()).unwrap();
        let trust = Trust::Known(FirstUse::Refuse);
        let guard = Guard { trust, home: Some(home.path().to_owned()) };
        assert!(guard.check(&"localhost".parse().unwrap(), own.der()).is_ok());
        assert!(guard.check(&"localhost".parse().unwrap(), certificate().der()).is_err());
        assert!(guard.check(&"pi".parse().unwrap(), own.der()).is_err());
    }
}
