// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Authorities that vouch for servers: those in one file, or the public ones that the system keeps.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls_pki_types::pem::PemObject as _;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::address::ServerUrl;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::tls::{Facts, provider};

/// Authorities, ready to be asked.
pub(crate) struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    /// The same as certificates: one that signed itself may be that of a server.
    certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Reads the certificates in a PEM file.
    ///
    /// # Errors
    /// `Usage` if it cannot be read or there is none in it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read(path)
            .map_err(|error| Error::local(format!("reading the authorities in {shown}"), error))?;
        let (mut anchors, mut certificates) = (Vec::new(), Vec::new());

        for certificate in CertificateDer::pem_slice_iter(&text) {
            // The part that is missing may be the authority that is meant, so the file is not used in part.
            let certificate = certificate.map_err(|error| {
                let reason = "has a certificate in it that is cut off or damaged";
                Error::new(ErrorKind::Usage, format!("{shown} {reason}")).because(error)
            })?;
            // Bundles may hold what webpki does not read; the others are as good.
            if let Ok(anchor) = anchor_from_trusted_cert(&certificate) {
                anchors.push(anchor.to_owned());
                certificates.push(certificate);
            }
        }

        if anchors.is_empty() {
            let reason = format!("{shown} has no certificate of an authority in it");
            Err(Error::new(ErrorKind::Usage, reason)
                .hint("a PEM file is needed: -----BEGIN CERTIFICATE-----"))
        } else {
            Ok(Self {
                anchors,
                certificates,
            })
        }
    }

    /// Checks that one of the authorities vouches for a server: names, dates, and the way from the
    /// certificate to the authority.
    ///
    /// # Errors
    /// The reason.
    pub(crate) fn check(
        &self,
        url: &ServerUrl,
        chain: &[CertificateDer<'_>],
    ) -> Result<(), Distrust> {
        let bent = |_: webpki::Error| Distrust::new("its certificate cannot be read", RENEW);
        let none = || Distrust::new("it shows no certificate", RENEW);
        let (first, others) = chain.split_first().ok_or_else(none)?;
        let certificate = EndEntityCert::try_from(first).map_err(bent)?;

        // The name is needed in either case, also for a certificate that is trusted as it is.
        let nameless = || Distrust::new("its name is not a host name", NAME);
        let name = name(url).ok_or_else(nameless)?;

        let algorithms = provider().signature_verification_algorithms.all;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(clock::seconds()));
        let usage = KeyUsage::server_auth();

        // A certificate may be listed itself, which is trust enough: without an authority there is no path
        // to check, only dates. Revocation is not checked, because no list comes with the file.
        let path = if self.certificates.contains(first) {
            in_time(first)
        } else {
            certificate
                .verify_for_usage(algorithms, &self.anchors, others, now, usage, None, None)
                .map(drop)
        };

        path.and_then(|()| certificate.verify_is_valid_for_subject_name(&name))
            .map_err(|error| reason(&error, url))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.anchors.len())
    }
}

/// Checks the dates of a certificate that is trusted as it is.
fn in_time(certificate: &CertificateDer<'_>) -> Result<(), webpki::Error> {
    // webpki offers no check of the dates alone.
    let facts = Facts::read(certificate).ok_or(webpki::Error::BadDer)?;
    let moment = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let now = clock::seconds();
    if now > facts.not_after {
        let (time, not_after) = (moment(now), moment(facts.not_after));
        return Err(webpki::Error::CertExpired { time, not_after });
    }

    if now < facts.not_before {
        let (time, not_before) = (moment(now), moment(facts.not_before));
        return Err(webpki::Error::CertNotValidYet { time, not_before });
    }

    Ok(())
}

/// Why no authority vouches for a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Distrust {
    /// In words that go on from "cannot be trusted".
    pub(crate) reason: String,
    /// What can be done about it.
    pub(crate) hint: &'static str,
}

impl Distrust {
    fn new(reason: impl Into<String>, hint: &'static str) -> Self {
        Self {
            reason: reason.into(),
            hint,
        }
    }
}

fn reason(error: &webpki::Error, url: &ServerUrl) -> Distrust {
    match error {
        webpki::Error::UnknownIssuer => Distrust::new(
            "no authority that is trusted has signed its certificate",
            "is this the authority of that server?",
        ),
        webpki::Error::CertNotValidForName(_) => {
            let reason = format!("its certificate is not for the name {}", url.host());
            Distrust::new(reason, NAME)
        }
        webpki::Error::CertExpired { .. } => {
            Distrust::new("its certificate has expired", RENEW_OR_CLOCK)
        }
        webpki::Error::CertNotValidYet { .. } => {
            Distrust::new("its certificate is not valid yet", CLOCK)
        }
        _ => Distrust::new(
            "its certificate is not one for a server, or was not signed rightly",
            RENEW,
        ),
    }
}

const NAME: &str =
    "use a name in --server that is in the certificate, or have one issued for this name";

const RENEW: &str = "have a new one issued for the server";

const RENEW_OR_CLOCK: &str =
    "have a new one issued for the server, if the clock of this device is right";

const CLOCK: &str = "set the clock of this device, if it is wrong";

/// The server's name as TLS has it.
pub(crate) fn name(url: &ServerUrl) -> Option<ServerName<'static>> {
    match url.host().parse::<IpAddr>() {
        Ok(address) => Some(ServerName::IpAddress(address.into())),
        Err(_) => ServerName::try_from(url.host().to_owned()).ok(),
    }
}

/// Whether public authorities may vouch for the name of a server: not for addresses, not for names of
/// the local network.
pub(crate) fn has_public_name(url: &ServerUrl) -> bool {
    let host = url.host();
    host.parse::<IpAddr>().is_err() && host.contains('.') && !host.ends_with(".local")
}

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn signed(by: &CertifiedIssuer<'_, KeyPair>, name: &str, end: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(end, 1, 1);
        params
            .signed_by(&KeyPair::generate().unwrap(), by)
            .unwrap()
            .der()
            .clone()
    }

    #[test]
    fn an_authority_vouches_for_names_within_their_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let (ours, other) = (issuer("ours"), issuer("other"));
        std::fs::write(&file, format!("{}{}", issuer("third").pem(), ours.pem())).unwrap();
        let roots = Roots::open(&file).unwrap();
        let check = |url: &str, certificate| roots.check(&url.parse().unwrap(), &[certificate]);
        assert_eq!(
            check("pi.example", signed(&ours, "pi.example", 2099)),
            Ok(())
        );
        assert_eq!(check("192.0.2.1", signed(&ours, "192.0.2.1", 2099)), Ok(()));
        for (url, certificate, told) in [
            (
                "pi.example",
                signed(&ours, "other.example", 2099),
                "not for the name",
            ),
            (
                "pi.example",
                signed(&other, "pi.example", 2099),
                "no authority",
            ),
            ("pi.example", signed(&ours, "pi.example", 2001), "expired"),
        ] {
            let reason = check(url, certificate).unwrap_err().reason;
            assert!(reason.contains(told), "{reason}");
        }
    }

    #[test]
    fn a_certificate_that_is_listed_itself_is_good_for_its_names_and_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("server.pem");
        let check = |url: &str, start, end| {
            let mut params = CertificateParams::new(vec!["pi.example".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(start, 1, 1);
            params.not_after = rcgen::date_time_ymd(end, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            std::fs::write(&file, certificate.pem()).unwrap();
            let roots = Roots::open(&file).unwrap();
            let checked = roots.check(&url.parse().unwrap(), &[certificate.der().clone()]);
            checked.map_err(|distrust| distrust.reason)
        };

        assert_eq!(check("pi.example", 2001, 2099), Ok(()));
        for (url, start, end, told) in [
            ("pi.example", 2001, 2002, "expired"),
            ("pi.example", 2098, 2099, "not valid yet"),
            ("other.example", 2001, 2099, "not for the name"),
        ] {
            let reason = check(url, start, end).unwrap_err();
            assert!(reason.contains(told), "{reason}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        assert_eq!(Roots::open(&file).unwrap_err().kind(), ErrorKind::Usage);
        let pem = issuer("ours").pem();
        for text in ["", "junk", &pem[..pem.len() / 2]] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(
                Roots::open(&file).unwrap_err().kind(),
                ErrorKind::Usage,
                "{text}"
            );
        }
    }

    #[test]
    fn public_authorities_are_asked_about_public_names_only() {
        for (url, expected) in [
            ("models.example.org", true),
            ("pi.local", false),
            ("pi", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]:1", false),
        ] {
            assert_eq!(has_public_name(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
