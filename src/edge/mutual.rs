// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS from files of an embedder's own, with callers that have to show certificates (seed G38 to G46).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::certificate::Identity;
use super::tls::Acceptor;
use crate::error::{Error, ErrorKind, Result};

/// TLS with a certificate of one's own. Either callers have to show certificates too, which one of
/// the authorities in `ca_file` and `ca_path` has signed, or it is said that they need not:
///
/// ```
/// let open = skep::TlsOptions {
///     cert_file: "/etc/skep/server.crt".into(),
///     key_file: "/etc/skep/server.key".into(),
///     allow_unauthenticated_clients: true,
///     ..Default::default()
/// };
/// # let _ = open;
/// ```
///
/// The certificate that a caller has shown is in [`TlsIdentity`](crate::TlsIdentity). TLS 1.3 and 1.2
/// are spoken, with forward secrecy and authenticated encryption only, and without compression. On a
/// Unix socket, where nobody can listen in, plain HTTP is taken as well unless callers have to show
/// certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The certificate chain of the server, in PEM.
    pub cert_file: PathBuf,
    /// Its key (PKCS#8, PKCS#1 or SEC1), in PEM.
    pub key_file: PathBuf,
    /// Authorities of callers, in PEM.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files; those in which there is no certificate are left out.
    pub ca_path: Option<PathBuf>,
    /// Lets everybody in. Has to be said where there is no authority, and must not be said where
    /// there is one.
    pub allow_unauthenticated_clients: bool,
}

impl TlsOptions {
    pub(crate) fn acceptor(&self) -> Result<Acceptor> {
        let has_authority = self.ca_file.is_some() || self.ca_path.is_some();
        let wrong = |text: &str, hint: &str| {
            Err(Error::new(ErrorKind::Usage, text.to_owned()).hint(hint.to_owned()))
        };
        match (has_authority, self.allow_unauthenticated_clients) {
            (false, false) => wrong(
                "neither ca_file nor ca_path says whose callers are let in",
                "set one of them, or allow_unauthenticated_clients to let everybody in",
            ),
            (true, true) => wrong(
                "allow_unauthenticated_clients contradicts ca_file and ca_path",
                "leave one or the other out",
            ),
            (false, true) => Acceptor::new(&self.identity()?),
            (true, false) => Acceptor::verifying(&self.identity()?, self.authorities()?),
        }
    }

    fn identity(&self) -> Result<Identity> {
        let chain = read("cert_file", &self.cert_file)?;
        let key = read("key_file", &self.key_file)?;
        Identity::from_pem(&chain, &key).map_err(|error| {
            let (chain, key) = (self.cert_file.display(), self.key_file.display());
            error.hint(format!("cert_file is {chain}, key_file is {key}"))
        })
    }

    fn authorities(&self) -> Result<Arc<RootCertStore>> {
        let mut store = RootCertStore::empty();
        if let Some(path) = &self.ca_file
            && add(&mut store, "ca_file", path)? == 0
        {
            return Err(none("ca_file", path));
        }
        if let Some(path) = &self.ca_path {
            let entries =
                std::fs::read_dir(path).map_err(|error| unreadable("ca_path", path, error))?;
            let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
            // Directories made by `openssl rehash` have links to the files beside them.
            let files = files.filter(|path| path.is_file());
            let mut count = 0;
            for file in files {
                count += add(&mut store, "ca_path", &file)?;
            }
            if count == 0 {
                return Err(none("ca_path", path));
            }
        }
        Ok(Arc::new(store))
    }
}

/// Adds the certificates in a file and returns how many there were.
fn add(store: &mut RootCertStore, what: &str, path: &Path) -> Result<usize> {
    let text = read(what, path)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let added = certificate.map_err(|_| none(what, path)).and_then(|certificate| {
            store.add(certificate).map_err(|error| none(what, path).because(error))
        });
        added?;
        count += 1;
    }
    Ok(count)
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>> {
    if path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("{what} is missing")));
    }
    std::fs::read(path).map_err(|error| unreadable(what, path, error))
}

fn unreadable(what: &str, path: &Path, error: std::io::Error) -> Error {
    let inner = Error::io(format!("{what} {} cannot be read", path.display()), error);
    Error::new(ErrorKind::Usage, inner.message())
}

fn none(what: &str, path: &Path) -> Error {
    let text = format!("{what} {} has no certificate that can be used", path.display());
    Error::new(ErrorKind::Usage, text)
}
