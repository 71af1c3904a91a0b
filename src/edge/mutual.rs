// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Callers who have to show certificates: authorities, lists of revoked certificates, and what an
//! embedder says about them (seed G38 to G46).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;

use super::certificate::Place;
use super::reload::TlsFiles;
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
/// certificates. Files that change are read again.
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
    pub(crate) fn files(&self) -> Result<TlsFiles> {
        let wrong = |text: &str, hint: &str| {
            Err(Error::new(ErrorKind::Usage, text.to_owned()).hint(hint.to_owned()))
        };
        let file = self.ca_file.iter().map(|path| Place::new("ca_file", path));
        let path = self.ca_path.iter().map(|path| Place::new("ca_path", path));
        let authorities: Vec<_> = file.chain(path).collect();
        match (authorities.is_empty(), self.allow_unauthenticated_clients) {
            (true, false) => wrong(
                "neither ca_file nor ca_path says whose callers are let in",
                "set one of them, or allow_unauthenticated_clients to let everybody in",
            ),
            (false, true) => wrong(
                "allow_unauthenticated_clients contradicts ca_file and ca_path",
                "leave one or the other out",
            ),
            _ => Ok(TlsFiles {
                cert: Place::new("cert_file", &self.cert_file),
                key: Place::new("key_file", &self.key_file),
                callers: Callers {
                    authorities,
                    ..Callers::default()
                },
            }),
        }
    }
}

/// Who is let in by TLS, and where that is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callers {
    /// Files or directories of authorities; without any, everybody is let in.
    pub(crate) authorities: Vec<Place>,
    /// Lists of what these authorities have revoked.
    pub(crate) revoked: Vec<Place>,
    /// What happens with callers who show nothing although there are authorities.
    pub(crate) unknown: Unknown,
}

/// Callers without a certificate, where one is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Are turned away.
    #[default]
    Refused,
    /// Are let in as nobody in particular.
    Admitted,
}

impl Callers {
    /// Whether nobody gets in without a certificate.
    pub(crate) fn must_be_known(&self) -> bool {
        !self.authorities.is_empty() && self.unknown == Unknown::Refused
    }

    /// The files to be watched.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for place in self.authorities.iter().chain(&self.revoked) {
            // A file that is replaced changes its directory, too, but one that is edited does not.
            paths.extend(files(&place.path).unwrap_or_default());
            paths.push(place.path.clone());
        }
        paths.sort();
        paths
    }

    pub(crate) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>> {
        if self.authorities.is_empty() {
            return Ok(Arc::new(NoClientAuth));
        }
        let authorities = Arc::new(self.roots()?);
        let builder =
            WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(provider))
                .with_crls(self.revocations()?)
                .only_check_end_entity_revocation()
                // An authority may have revoked nothing and keep no list.
                .allow_unknown_revocation_status();
        let builder = match self.unknown {
            Unknown::Admitted => builder.allow_unauthenticated(),
            Unknown::Refused => builder,
        };
        builder.build().map_err(|error| {
            let text = format!("the authorities of callers cannot be used: {error}");
            Error::new(ErrorKind::Usage, text).because(error)
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        for place in &self.authorities {
            let is_directory = place.path.is_dir();
            let mut count = 0;
            for path in files(&place.path).map_err(|error| unreadable(place, error))? {
                let file = Place::new(place.called, path);
                let text = file.read()?;
                let is_other = !text.windows(17).any(|words| words == b"BEGIN CERTIFICATE");
                if is_directory && is_other {
                    continue;
                }
                for certificate in file.certificates_in(&text)? {
                    store
                        .add(certificate)
                        .map_err(|error| none(&file).because(error))?;
                    count += 1;
                }
            }
            if count == 0 {
                return Err(none(place));
            }
        }
        Ok(store)
    }

    fn revocations(&self) -> Result<Vec<CertificateRevocationListDer<'static>>> {
        let mut lists = Vec::new();
        for place in &self.revoked {
            let text = place.read()?;
            let found: Result<Vec<_>, _> =
                CertificateRevocationListDer::pem_slice_iter(&text).collect();
            match found {
                Ok(found) if !found.is_empty() => lists.extend(found),
                _ => {
                    let text = format!("{place} has no list of revoked certificates");
                    return Err(Error::new(ErrorKind::Usage, text)
                        .hint("such a list begins with -----BEGIN X509 CRL-----"));
                }
            }
        }
        Ok(lists)
    }
}

/// A file alone, or the files in a directory. Directories made by `openssl rehash` have links to the
/// files beside them.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(entries.filter(|path| path.is_file()).collect())
}

fn unreadable(place: &Place, error: std::io::Error) -> Error {
    super::certificate::unusable(place, "cannot be read", error)
}

fn none(place: &Place) -> Error {
    let text = format!("{place} has no certificate that can be used");
    Error::new(ErrorKind::Usage, text)
}
