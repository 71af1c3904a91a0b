// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one provider of cryptography for TLS, on both sides, and the time that TLS goes by.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, SupportedCipherSuite};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::clock;
use crate::tls::cpu;

/// Checks that a key can be used and is the one of its certificate.
///
/// # Errors
/// `InconsistentKeys` if it belongs to another certificate, or what ring cannot do with it.
pub(crate) fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider()).map(drop)
}

/// The time for dates in certificates and tickets, never before the floor.
#[derive(Debug)]
pub(crate) struct Floored;

impl TimeProvider for Floored {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(
            clock::seconds(),
        )))
    }
}

/// The provider, with AES-128 before AES-256 for TLS 1.3: it is as safe with the keys of P-256 that
/// everything else here has, and takes ten rounds in place of fourteen. Without instructions for AES,
/// ChaCha20 goes before both.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    prefer(&mut provider.cipher_suites, cpu::has_aes());
    Arc::new(provider)
}

fn prefer(suites: &mut [SupportedCipherSuite], has_aes: bool) {
    use CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256,
    };

    // The sort is stable: within a group the order of rustls stays.
    suites.sort_by_key(|suite| match suite.suite() {
        TLS13_CHACHA20_POLY1305_SHA256
        | TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            if !has_aes =>
        {
            0
        }
        TLS13_AES_128_GCM_SHA256 => 1,
        _ => 2,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_aes_is_spared_it() {
        let order = |has_aes| {
            let mut suites = rustls::crypto::ring::default_provider().cipher_suites;
            prefer(&mut suites, has_aes);
            suites
                .iter()
                .map(|suite| format!("{:?}", suite.suite()))
                .collect::<Vec<_>>()
        };
        let (with, without) = (order(true), order(false));
        assert_eq!(with[0], "TLS13_AES_128_GCM_SHA256");
        assert!(
            without[..3].iter().all(|suite| suite.contains("CHACHA20")),
            "{without:?}"
        );
        assert_eq!(without[3], "TLS13_AES_128_GCM_SHA256");
        assert!(
            with.iter()
                .all(|suite| suite.contains("GCM") || suite.contains("POLY1305"))
        );
    }
}
