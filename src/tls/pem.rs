// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Certificate chains and keys in PEM files, read so that a mistake in one of them is told by name.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;
use crate::tls::x509::Facts;

/// A file, and what its owner calls it: a flag, a member, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PemFile {
    /// For example `--cert`.
    pub(crate) called: &'static str,
    pub(crate) path: PathBuf,
}

impl PemFile {
    pub(crate) fn new(called: &'static str, path: impl Into<PathBuf>) -> Self {
        Self {
            called,
            path: path.into(),
        }
    }

    /// # Errors
    /// `Usage` with the path and the reason.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{} is missing", self.called),
            ));
        }

        // Changed files are read again while callers wait.
        let unreadable = |error| unusable(self, "cannot be read", error);
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;

        if bytes.len() as u64 > PEM_BYTES_MAX {
            let megabytes = PEM_BYTES_MAX >> 20;
            let text = format!("{self} is larger than {megabytes} MiB");
            return Err(Error::new(ErrorKind::Usage, text));
        }
        Ok(bytes)
    }

    /// # Errors
    /// `Usage`, with what is wrong.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        self.certificates_in(&self.read()?)
    }

    pub(crate) fn certificates_in(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
        let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        let found = all.map_err(|error| self.bent(&error));
        found.and_then(|found| {
            if found.is_empty() {
                Err(self.without("a certificate", "BEGIN CERTIFICATE"))
            } else {
                Ok(found)
            }
        })
    }

    /// The first key in it (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// `Usage`, with what is wrong.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>> {
        let text = self.read()?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            // The reader passes over sections of other kinds, so an encrypted key looks like none.
            pem::Error::NoItemsFound if has(&text, b"ENCRYPTED PRIVATE KEY") => {
                let text =
                    format!("{self} is protected by a passphrase, which nobody can enter here");
                Error::new(ErrorKind::Usage, text)
                    .hint("remove the passphrase: openssl pkey -in OLD -out NEW")
            }
            pem::Error::NoItemsFound => self.without("a key", "BEGIN PRIVATE KEY"),
            error => self.bent(&error),
        })
    }

    fn without(&self, what: &str, line: &str) -> Error {
        let text = format!("{self} contains no {} in PEM form", &what[2..]);
        Error::new(ErrorKind::Usage, text).hint(format!("{what} begins with -----{line}-----"))
    }

    fn bent(&self, error: &pem::Error) -> Error {
        let reason = match error {
            pem::Error::MissingSectionEnd { .. } => "is cut off: its last section has no END line",
            pem::Error::IllegalSectionStart { .. } => "has a BEGIN line that cannot be read",
            _ => "is damaged: a section is not base64",
        };
        Error::new(ErrorKind::Usage, format!("{self} {reason}")).hint("copy it again")
    }
}

impl fmt::Display for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.called {
            "" => write!(f, "{}", self.path.display()),
            called => write!(f, "{called} {}", self.path.display()),
        }
    }
}

/// A certificate chain and its key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
}

impl Identity {
    /// Reads a certificate chain, its own certificate first, and a key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// `Usage`, naming the file, for what cannot be read or does not belong together.
    pub(crate) fn load(cert: &PemFile, key: &PemFile) -> Result<Self> {
        let chain = cert.certificates()?;
        let unreadable = || {
            let text = format!("the certificate in {cert} cannot be read");
            Error::new(ErrorKind::Usage, text).hint("it may be incomplete; copy it again")
        };

        let pin = Pin::of_certificate(&chain[0]).map_err(|error| unreadable().because(error))?;

        let identity = Self {
            pin,
            key: key.key()?,
            chain,
        };

        // rustls would find the same mistake later, without the names of the files.
        crate::tls::provider::check_pair(identity.chain(), identity.key()).map_err(|error| {
            match error {
                rustls::Error::InconsistentKeys(_) => {
                    let text = format!("{key} is not the key of the certificate in {cert}");
                    Error::new(ErrorKind::Usage, text)
                        .hint("name the two files that were made together")
                }
                error => {
                    let text = format!("{key} is a key that cannot be used: {error}");
                    Error::new(ErrorKind::Usage, text)
                        .hint("use RSA (2048 bits or more), ECDSA (P-256 or P-384) or Ed25519")
                }
            }
        })?;

        Ok(identity)
    }

    /// Warns of what works today and may fail later.
    pub(crate) fn warn(&self, cert: &PemFile, key: &PemFile) {
        // Not refused: the shared storage of phones makes up the mode of files.
        if let Ok(file) = std::fs::metadata(&key.path)
            && file.permissions().mode() & 0o077 != 0
        {
            log::warn!(
                "{key} can be read by others on this device; chmod 600 {}",
                crate::text::quoted(&key.path)
            );
        }

        let Some(facts) = self.facts() else { return };
        let now = clock::seconds();

        // On a clock that was never set, a date in the future says nothing.
        if now >= facts.not_after {
            log::warn!(
                "the certificate in {cert} has expired; only clients that pin its key accept it"
            );
        } else if now < facts.not_before && clock::is_trusted() {
            log::warn!("the certificate in {cert} is not valid yet");
        }
    }

    /// What clients recognise this identity by.
    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// What its own certificate says.
    pub(crate) fn facts(&self) -> Option<Facts<'_>> {
        Facts::read(&self.chain[0])
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

pub(crate) fn unusable(place: &PemFile, how: &str, error: io::Error) -> Error {
    let inner = Error::io(format!("{place} {how}"), error);
    if inner.kind() == ErrorKind::NoSpace {
        return inner.of_this_device().hint("make room on that disk");
    }

    let error = Error::new(ErrorKind::Usage, inner.message());
    match place.called {
        "" => error.hint("check the permissions there, or set SKEP_HOME to another directory"),
        _ => error.hint("check the path and its permissions"),
    }
}

fn has(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

/// Of a file; lists of what was revoked may be long.
const PEM_BYTES_MAX: u64 = 16 << 20;

/// Whether a path leads to something.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read_for_ever() {
        let error = PemFile::new("--cert", "/dev/zero").read().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(
            error.message().ends_with("is larger than 16 MiB"),
            "{error}"
        );
    }

    #[test]
    fn a_full_disk_is_told_as_one() {
        let place = PemFile::new("", "/home/pi/server.key");
        let error = unusable(
            &place,
            "cannot be written",
            io::ErrorKind::StorageFull.into(),
        );
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(
            error.is_local() && !error.to_string().contains("permissions"),
            "{error}"
        );
    }
}
