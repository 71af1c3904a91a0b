// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an embedder says about TLS: a certificate of one's own, and whose callers are let in.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};
use crate::tls::acceptor::TlsVersion;
use crate::tls::callers::Callers;
use crate::tls::files::TlsFiles;
use crate::tls::pem::PemFile;

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

        let file = self
            .ca_file
            .iter()
            .map(|path| PemFile::new("ca_file", path));

        let path = self
            .ca_path
            .iter()
            .map(|path| PemFile::new("ca_path", path));

        let authorities: Vec<_> = file.chain(path).collect();

        // Nothing is taken for granted here: a line that was forgotten must not let everybody in.
        match (authorities.is_empty(), self.allow_unauthenticated_clients) {
            (true, false) => wrong(
                "neither ca_file nor ca_path says which callers are let in",
                "set one of them, or allow_unauthenticated_clients to let everybody in",
            ),
            (false, true) => wrong(
                "allow_unauthenticated_clients contradicts ca_file and ca_path",
                "leave one or the other out",
            ),
            _ => Ok(TlsFiles {
                cert: PemFile::new("cert_file", &self.cert_file),
                key: PemFile::new("key_file", &self.key_file),
                callers: Callers {
                    authorities,
                    ..Callers::default()
                },
                oldest: TlsVersion::default(),
            }),
        }
    }
}
