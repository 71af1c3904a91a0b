// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pins: what a server's key is recognised by, whatever certificate it is wrapped in.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// The SHA-256 of a certificate's public key (its SubjectPublicKeyInfo), written `SHA256:` and 64
/// hexadecimal digits. It outlives a renewal of the certificate with the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin(Digest);

impl Pin {
    /// The pin of the key in a certificate.
    ///
    /// # Errors
    /// `Untrusted` if the certificate cannot be read.
    pub fn of_certificate(der: &[u8]) -> Result<Self> {
        fingerprint_of_certificate(der).map(Self)
    }

    /// The form that curl takes for `--pinnedpubkey`.
    pub fn for_curl(&self) -> String {
        format!("sha256//{}", STANDARD.encode(self.0.as_bytes()))
    }

    /// The digest of the key.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

/// The SHA-256 of the SubjectPublicKeyInfo of a certificate in DER.
///
/// # Errors
/// `Untrusted` if the certificate cannot be read.
fn fingerprint_of_certificate(der: &[u8]) -> Result<Digest> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der).map_err(|error| {
        Error::new(
            ErrorKind::Untrusted,
            format!("the certificate cannot be read: {error}"),
        )
    })?;
    Ok(Digest::of(&certificate.subject_public_key_info()))
}

impl From<Digest> for Pin {
    fn from(key: Digest) -> Self {
        Self(key)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pin {
    type Err = Error;

    /// Reads `SHA256:` (in either case) and 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        let digits = match text.split_at_checked(PREFIX.len()) {
            Some((prefix, digits)) if prefix.eq_ignore_ascii_case(PREFIX) => digits.parse().ok(),
            _ => None,
        };
        digits.map(Self).ok_or_else(|| {
            let reason = "a fingerprint is SHA256: and 64 hexadecimal digits";
            Error::new(ErrorKind::Usage, reason)
                .hint("'skep serve' prints the one of a server when it is ready")
        })
    }
}

const PREFIX: &str = "SHA256:";

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    #[test]
    fn a_pin_is_the_digest_of_the_key_and_survives_a_new_certificate() {
        let key = KeyPair::generate().unwrap();
        for name in ["one.example", "other.example"] {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let pin = Pin::of_certificate(certificate.der()).unwrap();
            assert_eq!(pin.digest(), Digest::of(&key.subject_public_key_info()));
            assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
        }
    }

    #[test]
    fn other_texts_and_other_bytes_are_refused() {
        let digits = "0".repeat(64);
        assert!(format!("sha256:{digits}").parse::<Pin>().is_ok());
        for bad in [
            "",
            "SHA256:",
            "SHA256:00",
            &digits,
            &format!("SHA1:{digits}"),
            "\u{e9}",
        ] {
            assert!(bad.parse::<Pin>().is_err(), "{bad}");
        }
        assert_eq!(
            Pin::of_certificate(b"junk").unwrap_err().kind(),
            ErrorKind::Untrusted
        );
    }
}
