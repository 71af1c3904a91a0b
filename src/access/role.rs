// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Roles, and who somebody turned out to be.

use std::fmt;
use std::str::FromStr;

use crate::access::rights::{Right, Rights};
use crate::error::{Error, ErrorKind};

/// A name for a set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// May read.
    Read,
    /// May read and write.
    Write,
    /// May do everything.
    Admin,
}

impl Role {
    /// What it stands for.
    pub(crate) const fn rights(self) -> Rights {
        match self {
            Self::Read => Rights::of(&[Right::Read]),
            Self::Write => Rights::of(&[Right::Read, Right::Write]),
            Self::Admin => Rights::of(&[
                Right::Read,
                Right::Write,
                Right::Admin,
                Right::Console,
                Right::Notify,
            ]),
        }
    }

    /// The smallest role that has a right.
    fn with(right: Right) -> Self {
        let roles = [Self::Read, Self::Write];
        let found = roles.into_iter().find(|role| role.rights().has(right));
        found.unwrap_or(Self::Admin)
    }

    /// The role as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
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
        [Self::Read, Self::Write, Self::Admin]
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

/// Who a caller turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The name of the token or of the certificate; `owner` for the password.
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) how: How,
}

/// By what a caller was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Password,
    Token,
    Certificate,
    /// By nothing: reading is open.
    Anonymous,
}

impl Principal {
    /// Whoever knows the password.
    pub(crate) fn owner() -> Self {
        Self {
            name: "owner".to_owned(),
            role: Role::Admin,
            how: How::Password,
        }
    }

    /// Whoever asks, where reading is open.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            role: Role::Read,
            how: How::Anonymous,
        }
    }

    /// Whether somebody has a right.
    pub(crate) fn may(&self, right: Right) -> bool {
        self.role.rights().has(right)
    }

    /// Checks that somebody has a right.
    ///
    /// # Errors
    /// `Forbidden`, naming the role that has it.
    pub(crate) fn needs(&self, right: Right) -> Result<(), Error> {
        if self.may(right) {
            return Ok(());
        }

        let role = Role::with(right);

        let text = format!(
            "this needs the role {role}, and '{}' has {}",
            self.name, self.role
        );

        Err(Error::new(ErrorKind::Forbidden, text).hint(format!(
            "'skep token new NAME --role {role}' makes a token that suffices"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_lesser_ones_may() {
        let roles = ["read", "write", "admin"].map(|text| text.parse::<Role>().unwrap());
        for (have, role) in roles.into_iter().enumerate() {
            let principal = Principal {
                role,
                ..Principal::owner()
            };
            let rights = [Right::Read, Right::Write, Right::Admin];
            for (need, right) in rights.into_iter().enumerate() {
                let may = principal.needs(right).is_ok();
                assert_eq!(may, have >= need, "{role} {right}");
            }
            let is_admin = role == Role::Admin;
            for right in [Right::Console, Right::Notify] {
                assert_eq!(principal.may(right), is_admin, "{role} {right}");
            }
        }
        assert!("root".parse::<Role>().is_err() && "Read".parse::<Role>().is_err());
    }
}
