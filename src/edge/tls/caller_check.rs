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
        acceptor.admits(chain)
    }
}
