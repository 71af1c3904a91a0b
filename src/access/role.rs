// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Roles: names for sets of rights, as people give them to tokens, certificates and invitations.

use std::fmt;
use std::str::FromStr;

use super::rights::{Right, Rights};
use crate::error::{Error, ErrorKind};

/// A named set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// May fetch and list models.
    Read,
    /// May store and remove models, too.
    Write,
    /// May do everything.
    Admin,
}

impl Role {
    /// All roles, those with fewer rights first.
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The rights that the role is a name for.
    pub(crate) fn rights(self) -> Rights {
        match self {
            Self::Read => Rights::of(&[Right::Read]),
            Self::Write => Rights::of(&[Right::Read, Right::Write]),
            Self::Admin => Rights::of(&Right::ALL),
        }
    }

    /// The role as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The smallest role that has a right.
    pub(crate) fn with(right: Right) -> Self {
        let mut roles = Self::ALL.into_iter();
        roles
            .find(|role| role.rights().has(right))
            .unwrap_or(Self::Admin)
    }

    /// The role that is a name for exactly these rights.
    pub(crate) fn of(rights: Rights) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.rights() == rights)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Usage,
                    format!("there is no role '{}'", text.escape_debug()),
                )
                .hint("a role is read, write or admin")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_name_for_its_rights() {
        for (text, rights) in [
            ("read", "read"),
            ("write", "read+write"),
            ("admin", "read+write+admin+console+notify"),
        ] {
            let role: Role = text.parse().unwrap();
            assert_eq!(role.to_string(), text);
            assert_eq!(role.rights().to_string(), rights);
            assert_eq!(Role::of(role.rights()), Some(role));
        }

        assert_eq!(Role::of(Rights::of(&[Right::Notify])), None);
        assert!("root".parse::<Role>().is_err() && "Read".parse::<Role>().is_err());
    }

    #[test]
    fn each_right_is_in_a_role_and_the_smallest_is_named() {
        let expected = [
            (Right::Read, Role::Read),
            (Right::Write, Role::Write),
            (Right::Admin, Role::Admin),
            (Right::Console, Role::Admin),
            (Right::Notify, Role::Admin),
        ];
        for (right, role) in expected {
            assert_eq!(Role::with(right), role);
            assert!(role.rights().has(right));
        }
    }
}
