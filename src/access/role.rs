// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Roles, and who somebody turned out to be.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// What somebody may do; each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Fetch and list models.
    Read,
    /// Store and remove models, too.
    Write,
    /// Change how the server works, too.
    Admin,
}

impl Role {
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

    /// Checks that the role suffices.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn needs(&self, role: Role) -> Result<(), Error> {
        if self.role >= role {
            return Ok(());
        }

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
            for (need, needed) in roles.into_iter().enumerate() {
                assert_eq!(
                    principal.needs(needed).is_ok(),
                    have >= need,
                    "{role} {needed}"
                );
            }
        }
        assert!("root".parse::<Role>().is_err() && "Read".parse::<Role>().is_err());
    }
}
