// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Callers who have to show certificates: authorities and lists of revoked certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::EndEntityCert;

use crate::error::{Error, ErrorKind, Result};
use crate::tls::pem::PemFile;
use crate::tls::x509::Facts;

/// What the caller that shows a certificate is called: the first of its DNS names (RFC 5280 section
/// 4.2.1.6). The common name (section 4.1.2.6) counts only without one, since a name of a known type
/// takes precedence over it (RFC 6125 section 6.4.4).
pub(crate) fn caller_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let first = parsed.valid_dns_names().next();
    let common = || Facts::read(certificate).and_then(|facts| facts.common_name());

    first.or_else(common).map(str::to_owned)
}

/// Who is let in by TLS, and where that is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callers {
    /// Files or directories of authorities; without any, everybody is let in.
    pub(crate) authorities: Vec<PemFile>,
    /// Lists of what these authorities have revoked.
    pub(crate) revoked: Vec<PemFile>,
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

    /// Whether callers are asked for a certificate.
    pub(crate) fn are_asked(&self) -> bool {
        !self.authorities.is_empty()
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

    /// Whether the authorities and their lists can be used.
    ///
    /// # Errors
    /// `Usage`, naming the file.
    pub(crate) fn check(&self) -> Result<()> {
        self.verifier(&crate::tls::provider()).map(drop)
    }

    pub(crate) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>> {
        // rustls makes no verifier without authorities.
        if self.authorities.is_empty() {
            return Ok(Arc::new(NoClientAuth));
        }

        let authorities = Arc::new(self.roots()?);

        // Only the certificate of the caller is looked up: those between it and the authority may have no
        // lists.
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
                let file = PemFile::new(place.called, path);
                let text = file.read()?;
                let is_other = !text.windows(17).any(|words| words == b"BEGIN CERTIFICATE");
                // A directory may hold other files as well, but a file that was named must be right.
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
                // To go on without the list would let in those whom it keeps out.
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

fn unreadable(place: &PemFile, error: std::io::Error) -> Error {
    crate::tls::pem::unusable(place, "cannot be read", error)
}

fn none(place: &PemFile) -> Error {
    let text = format!("{place} has no certificate that can be used");
    Error::new(ErrorKind::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    fn certificate(common: Option<&str>, others: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = others;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "x".repeat(200));
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }

        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_caller_has_one_name() {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let address = || SanType::IpAddress([192, 0, 2, 1].into());
        let rows = [
            (Some("me@pi"), vec![], Some("me@pi")),
            (Some("me@pi"), vec![address()], Some("me@pi")),
            (
                Some("boss"),
                vec![address(), dns("pi-7"), dns("pi-8")],
                Some("pi-7"),
            ),
            (None, vec![dns("pi-7")], Some("pi-7")),
            (None, vec![address()], None),
            (None, vec![], None),
        ];
        for (common, others, expected) in rows {
            let shown = certificate(common, others);
            assert_eq!(caller_name(&shown).as_deref(), expected, "{common:?}");
        }

        let junk = CertificateDer::from_slice(b"junk");
        assert_eq!(caller_name(&junk), None);
    }
}
