// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the certificate that a caller has shown is still good: a connection may outlive both its end and
//! its revocation.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::clock;
use crate::tls::{Facts, Following};

/// What a caller was let in by.
pub(crate) struct CallerCheck {
    identity: Arc<Following>,
    /// Of the files by which the certificate was verified last.
    generation: Option<u64>,
    /// When the certificate ends, in seconds since 1970.
    end: u64,
}

impl CallerCheck {
    /// The admission of a caller that has shown this certificate, which was verified by the files of
    /// this generation.
    pub(crate) fn new(
        identity: Arc<Following>,
        generation: Option<u64>,
        certificate: &CertificateDer<'_>,
    ) -> Self {
        // Whatever webpki has verified can be read here, too.
        let end = Facts::read(certificate).map_or(0, |facts| facts.not_after);

        Self {
            identity,
            generation,
            end,
        }
    }

    /// Whether the caller may go on; files that have changed are asked once.
    pub(crate) fn is_good(&mut self, chain: &[CertificateDer<'_>]) -> bool {
        if clock::seconds() > self.end {
            return false;
        }

        let acceptor = self.identity.now();
        if acceptor.generation() == self.generation {
            return true;
        }

        self.generation = acceptor.generation();
        let is_good = acceptor.admits(chain);
        if !is_good {
            // Who was refused once stays refused, whatever the files say next.
            self.end = 0;
        }

        is_good
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn ready() -> Arc<Following> {
        let own = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![own.cert.der().clone()],
                own.signing_key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        Arc::new(Following::ready(Arc::new(config)))
    }

    fn shown_until(year: i32) -> rcgen::Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        params.self_signed(&key).unwrap()
    }

    #[test]
    fn a_certificate_that_has_expired_is_good_no_more() {
        let identity = ready();
        for (year, is_good) in [(2001, false), (2999, true)] {
            let shown = shown_until(year);
            let mut check = CallerCheck::new(Arc::clone(&identity), None, shown.der());
            assert_eq!(check.is_good(&[]), is_good, "until {year}");
        }
    }

    #[test]
    fn who_was_refused_once_stays_refused() {
        let shown = shown_until(2999);
        // The files were others when it was verified, and those of now let nobody in.
        let mut check = CallerCheck::new(ready(), Some(7), shown.der());
        assert!(!check.is_good(&[]));
        assert!(!check.is_good(&[]), "at the second look");
    }
}
