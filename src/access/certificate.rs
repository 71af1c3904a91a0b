// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which role a client certificate has: a table of names, and `read` for those it does not mention.

use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::principal::{How, Principal};
use super::role::Role;
use crate::error::Error;
use crate::tls::Facts;

/// The table, written `NAME=ROLE,...`; the name `*` stands for those that are not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateRoles(Vec<(String, Role)>);

impl CertificateRoles {
    /// Whoever has shown a certificate of this name, which somebody else has verified.
    pub(crate) fn principal(&self, name: &str) -> Principal {
        let row = |wanted: &str| {
            self.0
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };

        let role = row(name)
            .or_else(|| row("*"))
            .map_or(Role::Read, |(_, role)| *role);

        Principal {
            name: name.to_owned(),
            rights: role.rights(),
            how: How::Certificate,
        }
    }

    /// Whoever has shown this certificate (DER), which has been verified. Its name is the first of
    /// its DNS names (RFC 5280 section 4.2.1.6), else its common name (section 4.1.2.6); without
    /// either it is `certificate`.
    pub(crate) fn shown(&self, der: &[u8]) -> Principal {
        let certificate = CertificateDer::from(der);
        let parsed = EndEntityCert::try_from(&certificate).ok();
        let name = parsed
            .as_ref()
            .and_then(|parsed| parsed.valid_dns_names().next());
        let common = || Facts::read(der).and_then(|facts| facts.common_name());

        self.principal(name.or_else(common).unwrap_or("certificate"))
    }
}

impl FromStr for CertificateRoles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let row = |row: &str| {
            let (name, role) = row
                .split_once('=')
                .ok_or("write it as NAME=read,OTHER=write")?;
            let role = role
                .trim()
                .parse()
                .map_err(|error: Error| error.to_string())?;
            Ok((name.trim().to_owned(), role))
        };

        let rows = text.split(',').map(str::trim).filter(|row| !row.is_empty());

        rows.map(row).collect::<Result<_, String>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn names_have_the_roles_of_the_table() {
        let roles: CertificateRoles = "pi-1=write, Boss = admin".parse().unwrap();
        for (name, role) in [
            ("pi-1", Role::Write),
            ("boss", Role::Admin),
            ("x", Role::Read),
        ] {
            assert_eq!(roles.principal(name).rights, role.rights(), "{name}");
        }
        let roles: CertificateRoles = "*=write,guest=read".parse().unwrap();
        assert_eq!(roles.principal("any").rights, Role::Write.rights());
        assert_eq!(roles.principal("guest").rights, Role::Read.rights());
        for bad in ["pi", "pi=root", "pi=write=x"] {
            assert!(bad.parse::<CertificateRoles>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_name_is_in_the_certificate() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["pi-7".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let roles: CertificateRoles = "pi-7=write".parse().unwrap();
        let shown = roles.shown(certificate.der());
        assert_eq!(
            (shown.name.as_str(), shown.rights),
            ("pi-7", Role::Write.rights())
        );
        assert_eq!(roles.shown(b"junk").rights, Role::Read.rights());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "x".repeat(200));
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "pi-7");
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(roles.shown(certificate.der()).rights, Role::Write.rights());
    }
}
