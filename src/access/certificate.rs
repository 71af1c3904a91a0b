// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which role a client certificate has: a table of names, and `read` for those it does not mention.

use std::str::FromStr;

use super::principal::{How, Principal};
use super::role::Role;
use crate::error::Error;

/// The table, written `NAME=ROLE,...`; the name `*` stands for those that are not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateRoles(Vec<(String, Role)>);

impl CertificateRoles {
    /// Whoever has shown a certificate of this name, which the edge has verified. Without a name it is
    /// `certificate`.
    pub(crate) fn principal(&self, name: Option<&str>) -> Principal {
        let name = name.unwrap_or("certificate");
        let row = |wanted: &str| {
            self.0
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };

        // A certificate of the authority suffices for reading; the table gives more.
        let role = row(name)
            .or_else(|| row("*"))
            .map_or(Role::Read, |(_, role)| *role);

        Principal {
            name: name.to_owned(),
            rights: role.rights(),
            how: How::Certificate,
        }
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

        // Empty rows are dropped, so that a comma at the end does no harm.
        let rows = text.split(',').map(str::trim).filter(|row| !row.is_empty());

        rows.map(row).collect::<Result<_, String>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_roles_of_the_table() {
        let roles: CertificateRoles = "pi-1=write, Boss = admin".parse().unwrap();
        for (name, role) in [
            ("pi-1", Role::Write),
            ("boss", Role::Admin),
            ("x", Role::Read),
        ] {
            assert_eq!(roles.principal(Some(name)).rights, role.rights(), "{name}");
        }
        let roles: CertificateRoles = "*=write,guest=read".parse().unwrap();
        assert_eq!(roles.principal(Some("any")).rights, Role::Write.rights());
        assert_eq!(roles.principal(Some("guest")).rights, Role::Read.rights());
        assert_eq!(roles.principal(None).name, "certificate");
        assert_eq!(roles.principal(None).rights, Role::Write.rights());
        for bad in ["pi", "pi=root", "pi=write=x"] {
            assert!(bad.parse::<CertificateRoles>().is_err(), "{bad}");
        }
    }
}
