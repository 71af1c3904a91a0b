// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS on the client's side: what the handshake proves, what this device shows of itself, and what it
//! means if the server turns it away. Not here: whether the server is the right one (`trust`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::error::{Error, ErrorKind, Result};
use crate::tls::{Floored, PemFile, provider};

/// What a client shows of itself.
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
pub(crate) fn tls(own: Option<&ClientCertificate>) -> Result<Arc<ClientConfig>> {
    let provider = provider();
    // rustls calls every verifier but its own dangerous. This one leaves names, dates and issuers to
    // `trust`, which also knows pins; the proof that the server has its key stays with rustls.
    let config = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Floored))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| Error::new(ErrorKind::Internal, "TLS cannot be set up").because(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)));

    let Some(own) = own else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };

    let unusable = |path: &Path, reason: &dyn fmt::Display| {
        let message = format!("{} cannot be used: {reason}", path.display());
        Error::new(ErrorKind::Usage, message).hint(
            "a certificate (--client-cert) and its own key (--client-key) are needed, both in PEM",
        )
    };

    let chain = PemFile::new("--client-cert", &own.cert_file).certificates()?;
    let key = PemFile::new("--client-key", &own.key_file).key()?;
    let config = config.with_client_auth_cert(chain, key);

    config.map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let reason = format!("it is not the key of {}", own.cert_file.display());
            unusable(&own.key_file, &reason)
        }
        error => unusable(
            &own.key_file,
            &"it is not of a kind that this client signs with",
        )
        .because(error),
    })
}

/// What it means if a server ends TLS because of what this client showed of itself, or did not show.
pub(crate) fn refusal(error: &io::Error) -> Option<Error> {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, UnknownCA, UnsupportedCertificate,
    };

    // In TLS 1.3 the client's handshake is over before its certificate is judged, so such an alert comes
    // with a later read or write (RFC 8446 section 4.4.2).
    let rustls::Error::AlertReceived(alert) = error.get_ref()?.downcast_ref()? else {
        return None;
    };

    let (reason, hint) = match alert {
        CertificateRequired => (
            "it requires a client certificate",
            "--client-cert and --client-key (SKEP_CLIENT_CERT, SKEP_CLIENT_KEY) name one; 'skep ca issue' makes \
             one on the device that has the authority",
        ),
        CertificateExpired => (
            "this certificate has expired or is not valid yet, by its clock",
            "have a new one issued, if the clocks of both devices are right",
        ),
        CertificateRevoked => ("this certificate was revoked", "have a new one issued"),
        UnknownCA => (
            "it does not know the authority that signed this certificate",
            "use one that its own authority has issued (--client-cert, --client-key)",
        ),
        BadCertificate
        | CertificateUnknown
        | UnsupportedCertificate
        | AccessDenied
        | DecryptError => (
            "it does not accept this certificate",
            "is it one for clients, valid today, and issued by the authority of that server?",
        ),
        _ => return None,
    };

    let message = format!("the server does not let this device in: {reason}");

    Some(Error::new(ErrorKind::Unauthenticated, message).hint(hint))
}

/// Why there is no handshake, in words that go on from "no TLS connection", and what helps.
pub(crate) fn refused_handshake(reason: &rustls::Error) -> (&'static str, &'static str) {
    use AlertDescription::{
        HandshakeFailure, InsufficientSecurity, InternalError, ProtocolVersion, UnrecognisedName,
    };

    const ADDRESS: &str = "is --server (SKEP_SERVER) the address of a skep server?";

    match reason {
        rustls::Error::AlertReceived(ProtocolVersion) => (
            "it does not speak TLS 1.2 or 1.3",
            "older versions are not safe: its program has to be renewed; or is --server (SKEP_SERVER) another \
             address?",
        ),
        // Below TLS 1.3, there is no alert of its own for a client certificate that is missing.
        rustls::Error::AlertReceived(HandshakeFailure | InsufficientSecurity) => (
            "it has no cipher in common with this client, or it requires a client certificate",
            "--client-cert and --client-key (SKEP_CLIENT_CERT, SKEP_CLIENT_KEY) name one; is --server \
             (SKEP_SERVER) the address of a skep server?",
        ),
        rustls::Error::AlertReceived(UnrecognisedName) => (
            "it does not serve this name",
            "use the name in --server (SKEP_SERVER) that the server has",
        ),
        rustls::Error::AlertReceived(InternalError) => (
            "it has a fault of its own",
            "its log may tell; try again later",
        ),
        rustls::Error::AlertReceived(_) => ("it refused the handshake", ADDRESS),
        rustls::Error::PeerIncompatible(_) => (
            "it does not speak TLS 1.2 or 1.3 with a cipher of this client",
            ADDRESS,
        ),
        _ => ("its part of the handshake is wrong", ADDRESS),
    }
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
