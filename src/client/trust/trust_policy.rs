// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whom the client trusts: a server is its key, and a key is recognised by its pin.
//!
//! The handshake proves that the server has the key of the certificate it shows. After it and before
//! the first byte of a request, [`ServerCheck::check`] decides: on the pin, and then names, dates and issuers
//! are not looked at; or on what an authority says.

use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::address::ServerUrl;
use crate::client::trust::known_servers::KnownServers;
use crate::client::trust::roots::{Distrust, Roots, has_public_name};
use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::pin::Pin;

/// How the client recognises a server.
pub enum Trust {
    /// Only by this pin.
    Pinned(Pin),
    /// By the file of known servers; this is what happens with a server that is not in it.
    Known(FirstUse),
    /// Only by a certificate that an authority in this PEM file has signed for the server's name.
    Authority(PathBuf),
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
            Self::Authority(_) => "Authority",
            Self::Anything => "Anything",
        })
    }
}

/// Where else a server may be reached that was paired with. Each of these addresses may belong to
/// somebody else by now, so only the pin that the server invited with counts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(crate) pin: Pin,
    pub(crate) urls: Vec<ServerUrl>,
}

/// Decides whether one server may be talked to.
#[derive(Debug)]
pub(crate) struct ServerCheck {
    trust: Trust,
    home: Option<PathBuf>,
    known: Option<KnownServers>,
    /// The authority that is trusted alone.
    authority: Option<Roots>,
    /// Files of public authorities, for servers that are not known.
    public: Vec<PathBuf>,
}

/// A decision in favour of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrustVerdict {
    /// The connection can be used.
    Trusted,
    /// Somebody took time to answer a question, so the connection may be gone by now.
    Asked,
}

impl ServerCheck {
    /// # Errors
    /// `Usage` if the file of an authority cannot be used.
    pub(crate) fn new(trust: Trust, home: Option<PathBuf>, public: Vec<PathBuf>) -> Result<Self> {
        let authority = match &trust {
            Trust::Authority(path) => Some(Roots::open(path)?),
            _ => None,
        };

        Ok(Self {
            trust,
            known: home.as_deref().map(KnownServers::new),
            home,
            authority,
            public,
        })
    }

    /// Whether whoever answers is trusted, as the user wished.
    pub(crate) fn trusts_anything(&self) -> bool {
        matches!(self.trust, Trust::Anything)
    }

    /// Decides on the certificates of a server, its own first.
    ///
    /// # Errors
    /// `Untrusted` if this is not, or may not be, the server that is meant.
    pub(crate) fn check(
        &self,
        url: &ServerUrl,
        chain: &[CertificateDer<'_>],
    ) -> Result<TrustVerdict> {
        let missing = || Error::new(ErrorKind::Untrusted, "the server showed no certificate");
        let certificate = chain.first().ok_or_else(missing)?;

        if let (Trust::Authority(path), Some(roots)) = (&self.trust, &self.authority) {
            return roots
                .check(url, chain)
                .map(|()| TrustVerdict::Trusted)
                .map_err(|Distrust { reason, hint }| {
                    let message = format!("{} cannot be trusted: {reason}", url.authority());
                    let file = path.display();
                    // Whoever has no authority for this server can pin its key instead.
                    let pin = Pin::of_certificate(certificate).map(|pin| pin.to_string());
                    Error::new(ErrorKind::Untrusted, message).hint(format!(
                        "{hint}; --ca names {file}; the server shows the key {}",
                        pin.unwrap_or_default()
                    ))
                });
        }

        // Where anything is trusted, even a key that cannot be read does not matter.
        let shown = match &self.trust {
            Trust::Anything => return Ok(TrustVerdict::Trusted),
            _ => Pin::of_certificate(certificate)?,
        };

        match &self.trust {
            Trust::Anything | Trust::Authority(_) => Ok(TrustVerdict::Trusted),
            Trust::Pinned(pin) if *pin == shown => Ok(TrustVerdict::Trusted),
            Trust::Pinned(pin) => Err(differs(url, shown, *pin)
                .hint("if that is the right server, give its fingerprint with --pin")),
            Trust::Known(first_use) => self.check_known(url, shown, chain, first_use),
        }
    }

    fn check_known(
        &self,
        url: &ServerUrl,
        shown: Pin,
        chain: &[CertificateDer<'_>],
        first_use: &FirstUse,
    ) -> Result<TrustVerdict> {
        // Without a home there is no file of known servers.
        let Some(known) = &self.known else {
            return Err(unknown(url, shown));
        };

        let authority = url.authority();
        let pin = known.find(&authority)?;

        // A client beside its own server finds the certificate in the home, where nobody else can write.
        if pin == Some(shown) || (url.is_loopback() && self.own() == Some(shown)) {
            return Ok(TrustVerdict::Trusted);
        }

        // A changed key is refused whatever `first_use` and the authorities say: attacks look like this.
        if let Some(pin) = pin {
            return Err(differs(url, shown, pin).hint(format!(
                "somebody may be listening in; if you know why the key changed, remove the line \
                 of {authority} from {}",
                known.path().display()
            )));
        }

        // Only a server that was never met gets here, so an authority cannot override a known key.
        if self.is_public(url, chain) {
            return Ok(TrustVerdict::Trusted);
        }

        match first_use {
            FirstUse::Refuse => Err(unknown(url, shown)),
            FirstUse::Accept => {
                known.add(&authority, shown)?;
                log::warn!("{authority} is trusted from now on by its key {shown}");
                Ok(TrustVerdict::Trusted)
            }
            FirstUse::Ask(question) => {
                if question(&authority, shown) {
                    // Stored before the connection is used, so the question is asked once.
                    known.add(&authority, shown).map(|()| TrustVerdict::Asked)
                } else {
                    Err(Error::new(
                        ErrorKind::Untrusted,
                        format!("{authority} is not trusted, nothing was sent"),
                    ))
                }
            }
        }
    }

    /// Decides on a paired server at another of its addresses, where it must have this pin.
    ///
    /// # Errors
    /// `Untrusted` if it has another one, or another one is known at that address.
    pub(crate) fn check_elsewhere(
        &self,
        url: &ServerUrl,
        chain: &[CertificateDer<'_>],
        pin: Pin,
    ) -> Result<TrustVerdict> {
        let missing = || Error::new(ErrorKind::Untrusted, "the server showed no certificate");
        let shown = Pin::of_certificate(chain.first().ok_or_else(missing)?)?;

        if let Some(known) = &self.known {
            known.check_pin(&url.authority(), pin)?;
        }

        if shown == pin {
            Ok(TrustVerdict::Trusted)
        } else {
            Err(differs(url, shown, pin)
                .hint("somebody else has this address of the server by now"))
        }
    }

    /// Whether only the key of a paired server tells who is right at this address: it was never met there,
    /// and the user says nothing else.
    pub(crate) fn is_new(&self, url: &ServerUrl) -> bool {
        let known = self
            .known
            .as_ref()
            .filter(|_| matches!(self.trust, Trust::Known(_)));
        known.is_some_and(|known| matches!(known.find(&url.authority()), Ok(None)))
    }

    /// Whether a public authority vouches for the name of the server. Its key is not remembered: it
    /// changes with each of its certificates.
    fn is_public(&self, url: &ServerUrl, chain: &[CertificateDer<'_>]) -> bool {
        let mut files = self.public.iter().filter(|_| has_public_name(url));
        // The files are the usual places of several systems, and the first that is there is the one.
        let roots = files.find_map(|path| Roots::open(path).ok());

        match roots.map(|roots| roots.check(url, chain)) {
            Some(Ok(())) => true,
            Some(Err(Distrust { reason, .. })) => {
                log::debug!(
                    "no public authority vouches for {}: {reason}",
                    url.authority()
                );
                false
            }
            None => false,
        }
    }

    /// The pin of this device's own server, if it has one.
    fn own(&self) -> Option<Pin> {
        let path = home::CERTIFICATE.path(self.home.as_ref()?);
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
        "compare it with fp= in the ready line of the server, then use --pin {shown} with each \
         call, or --accept-new once to remember it"
    ))
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
        let guard =
            |trust| ServerCheck::new(trust, Some(home.path().to_owned()), Vec::new()).unwrap();
        let refused = |trust, certificate: &rcgen::Certificate| {
            let error = guard(trust)
                .check(&url, &[certificate.der().clone()])
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
            error.to_string()
        };
        let pin = Pin::of_certificate(one.der()).unwrap();
        assert!(
            guard(Trust::Pinned(pin))
                .check(&url, &[one.der().clone()])
                .is_ok()
        );
        refused(Trust::Pinned(pin), &other);
        assert!(
            guard(Trust::Anything)
                .check(&url, &[b"junk".to_vec().into()])
                .is_ok()
        );
        assert!(refused(Trust::Known(FirstUse::Refuse), &one).contains(&pin.to_string()));
        refused(Trust::Known(FirstUse::Ask(Box::new(|_, _| false))), &one);
        let ask = FirstUse::Ask(Box::new(move |host, shown| {
            host == "pi:8443" && shown == pin
        }));
        assert_eq!(
            guard(Trust::Known(ask))
                .check(&url, &[one.der().clone()])
                .unwrap(),
            TrustVerdict::Asked
        );
        let known = guard(Trust::Known(FirstUse::Refuse)).check(&url, &[one.der().clone()]);
        assert_eq!(known.unwrap(), TrustVerdict::Trusted);
        let text = refused(Trust::Known(FirstUse::Accept), &other);
        assert!(
            text.contains(&pin.to_string()) && text.contains("known_servers"),
            "{text}"
        );
    }

    #[test]
    fn what_a_pairing_says_counts_only_where_nothing_else_is_known() {
        let home = tempfile::tempdir().unwrap();
        let pin = Pin::of_certificate(certificate().der()).unwrap();
        let is_new = |trust, home: &std::path::Path, url: &str| {
            let guard = ServerCheck::new(trust, Some(home.to_owned()), Vec::new()).unwrap();
            guard.is_new(&url.parse().unwrap())
        };
        let known = || Trust::Known(FirstUse::Refuse);
        KnownServers::new(home.path()).add("pi:8443", pin).unwrap();
        assert!(is_new(known(), home.path(), "tablet:8443"));
        assert!(!is_new(known(), home.path(), "pi:8443"));
        for trust in [Trust::Pinned(pin), Trust::Anything] {
            assert!(!is_new(trust, home.path(), "tablet:8443"));
        }
    }

    #[test]
    fn nobody_is_trusted_at_first_use_over_a_damaged_line() {
        let home = tempfile::tempdir().unwrap();
        let url: ServerUrl = "pi:8443".parse().unwrap();
        let file = home.path().join("known_servers");
        std::fs::write(&file, "pi:8443 SHA256:beef\n").unwrap();
        let ask = FirstUse::Ask(Box::new(|_, _| true));
        for first_use in [FirstUse::Accept, ask, FirstUse::Refuse] {
            let trust = Trust::Known(first_use);
            let guard = ServerCheck::new(trust, Some(home.path().to_owned()), Vec::new()).unwrap();
            let error = guard
                .check(&url, &[certificate().der().clone()])
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        }
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "pi:8443 SHA256:beef\n"
        );
    }

    #[test]
    fn public_authorities_vouch_for_unknown_servers_only() {
        let home = tempfile::tempdir().unwrap();
        let bundle = home.path().join("bundle.pem");
        let (public, other) = (certificate(), certificate());
        std::fs::write(&bundle, public.pem()).unwrap();
        let none = home.path().join("none.pem");
        let trust = Trust::Known(FirstUse::Refuse);
        let guard =
            ServerCheck::new(trust, Some(home.path().to_owned()), vec![none, bundle]).unwrap();
        let check = |url: &str, certificate: &rcgen::Certificate| {
            guard.check(&url.parse().unwrap(), &[certificate.der().clone()])
        };
        assert_eq!(
            check("skep.example", &public).unwrap(),
            TrustVerdict::Trusted
        );
        assert!(check("skep.example", &other).is_err());
        assert!(
            check("other.example", &public).is_err(),
            "a name that it does not have"
        );
        // Once a server is known by its pin, nobody else vouches for it.
        let pin = Pin::of_certificate(other.der()).unwrap();
        KnownServers::new(home.path())
            .add("skep.example:8443", pin)
            .unwrap();
        assert!(check("skep.example", &public).is_err());
        assert!(check("skep.example", &other).is_ok());
    }

    #[test]
    fn the_server_of_this_device_is_trusted_on_loopback_only() {
        let home = tempfile::tempdir().unwrap();
        let own = certificate();
        std::fs::write(home.path().join("server.crt"), own.pem()).unwrap();
        let trust = Trust::Known(FirstUse::Refuse);
        let guard = ServerCheck::new(trust, Some(home.path().to_owned()), Vec::new()).unwrap();
        let check = |url: &str, certificate: &rcgen::Certificate| {
            guard.check(&url.parse().unwrap(), &[certificate.der().clone()])
        };
        assert!(check("localhost", &own).is_ok());
        assert!(check("localhost", &certificate()).is_err());
        assert!(check("pi", &own).is_err());
    }
}
