// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The identity of a device: a key and a self-signed certificate, made at first start without any
//! program's help, and kept in its home.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;

/// A certificate chain and its key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
}

impl Identity {
    /// Opens `server.crt` and `server.key` in `home`, or makes them if both are missing.
    ///
    /// # Errors
    /// `Usage` if only one is there, if one cannot be read, or if they cannot be written. There is
    /// never a placeholder instead (seed D17, D79).
    pub(crate) fn open(home: &Path) -> Result<Self> {
        let (certificate, key) = (home.join(CERTIFICATE), home.join(KEY));
        match (read(&certificate)?, read(&key)?) {
            (Some(chain), Some(key_text)) => Self::from_pem(&chain, &key_text).map_err(|error| {
                let places = format!("{} and {}", certificate.display(), key.display());
                error.hint(format!("repair {places}, or move both away and start again"))
            }),
            (None, None) => Self::make(home),
            (Some(_), None) => Err(missing(&key, &certificate)),
            (None, Some(_)) => Err(missing(&certificate, &key)),
        }
    }

    /// Reads a certificate chain and a key (PKCS#8, PKCS#1 or SEC1) in PEM.
    ///
    /// # Errors
    /// `Usage` if there is none of either.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self> {
        let bad = |what: &str| Error::new(ErrorKind::Usage, format!("there is no usable {what}"));
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| bad("certificate in the certificate file"))?;
        let first = chain.first().ok_or_else(|| bad("certificate in the certificate file"))?;
        let pin = Pin::of_certificate(first)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| bad("key in the key file"))?;
        Ok(Self { chain, key, pin })
    }

    /// The names in the certificate.
    pub(crate) fn names(&self) -> Vec<String> {
        let certificate = self.chain.first().map(webpki::EndEntityCert::try_from);
        let certificate = certificate.and_then(Result::ok);
        let names = certificate.iter().flat_map(|certificate| certificate.valid_dns_names());
        names.map(str::to_owned).collect()
    }

    /// Makes an ECDSA P-256 key and a certificate for it, and keeps both. The certificate begins in
    /// the year 2000, so that a device whose clock has not been set can use it.
    fn make(home: &Path) -> Result<Self> {
        let failed = |error: rcgen::Error| {
            let text = format!("no identity can be made: {error}");
            Error::new(ErrorKind::Internal, text)
        };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        let host = host_name();
        params.distinguished_name.push(DnType::CommonName, format!("skep on {host}"));
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2099, 12, 31);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in ["localhost".to_owned(), host.clone(), format!("{host}.local")] {
            if let Ok(name) = name.try_into() {
                params.subject_alt_names.push(SanType::DnsName(name));
            }
        }
        let addresses = [IpAddr::from([127, 0, 0, 1]), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];
        for address in addresses.into_iter().chain(local_address()) {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        let certificate = params.self_signed(&key).map_err(failed)?;
        let (chain, key) = (certificate.pem(), key.serialize_pem());
        let identity = Self::from_pem(chain.as_bytes(), key.as_bytes())?;
        // The key comes first: without its certificate it is reported, not silently replaced.
        write(&home.join(KEY), &key, 0o600)?;
        write(&home.join(CERTIFICATE), &chain, 0o644)?;
        Ok(identity)
    }

    /// What clients recognise this identity by.
    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, "cannot be read", error)),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    disk::write(path, text.as_bytes(), mode)
        .map_err(|error| unusable(path, "cannot be written", error))
}

fn unusable(path: &Path, how: &str, error: io::Error) -> Error {
    let inner = Error::io(format!("{} {how}", path.display()), error);
    Error::new(ErrorKind::Usage, inner.message())
        .hint("check the permissions of that directory, or set SKEP_HOME to another one")
}

fn missing(path: &Path, other: &Path) -> Error {
    let text = format!("{} is missing, but {} is there", path.display(), other.display());
    Error::new(ErrorKind::Usage, text)
        .hint("put it back, or move the other one away to have a new identity made")
}

fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let first = name.split('.').next().unwrap_or_default();
    if first.is_empty() { "localhost".to_owned() } else { first.to_owned() }
}

/// The address of the interface that leads outside. Connecting a UDP socket sends nothing.
pub(crate) fn local_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // 192.0.2.1 is for documentation only (RFC 5737), so the default route is taken.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_identity_is_made_once_and_kept_private() {
        let home = tempfile::tempdir().unwrap();
        let made = Identity::open(home.path()).unwrap();
        let kept = Identity::open(home.path()).unwrap();
        assert_eq!(made.pin(), kept.pin());
        let mode = std::fs::metadata(home.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        super::super::tls::Acceptor::new(&kept).unwrap();
    }

    #[test]
    fn half_an_identity_is_an_error_and_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        Identity::open(home.path()).unwrap();
        std::fs::remove_file(home.path().join(KEY)).unwrap();
        let error = Identity::open(home.path()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("server.key is missing"), "{error}");
        std::fs::write(home.path().join(KEY), "junk").unwrap();
        assert!(Identity::open(home.path()).err().unwrap().hint_text().is_some());
    }
}
