// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who a caller turned out to be, and which rights they hold.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::rights::{Right, Rights};
use super::role::Role;
use crate::error::{Error, ErrorKind};
use crate::waiting::Rank;

/// Who a caller turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The name of the token or of the certificate; `owner` for the password.
    pub(crate) name: String,
    pub(crate) rights: Rights,
    pub(crate) how: How,
}

/// By what a caller was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
            rights: Role::Admin.rights(),
            how: How::Password,
        }
    }

    /// Whoever asks, where reading is open.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            rights: Role::Read.rights(),
            how: How::Anonymous,
        }
    }

    /// What a log calls it: by what it was recognised, and its name, so that no token and no certificate
    /// passes for the owner or for another of the same name.
    pub(crate) fn shown(&self) -> String {
        match self.how {
            How::Password => "password".to_owned(),
            How::Token => format!("token:{}", self.name),
            How::Certificate => format!("cert:{}", self.name),
            How::Anonymous => self.name.clone(),
        }
    }

    /// Whose places its requests take: those of one principal count together, wherever they come from.
    pub(crate) fn rank(&self) -> Rank {
        let mut number = DefaultHasher::new();
        (self.how, &self.name).hash(&mut number);
        match Role::of(self.rights) {
            _ if self.how == How::Anonymous => Rank::Stranger,
            Some(Role::Admin) => Rank::Owner(number.finish()),
            _ => Rank::Holder(number.finish()),
        }
    }

    /// Checks that a right is among those held.
    ///
    /// # Errors
    /// `Forbidden`; its text names the right, and the smallest role that has it.
    pub(crate) fn needs(&self, right: Right) -> Result<(), Error> {
        if self.rights.has(right) {
            return Ok(());
        }

        let role = Role::with(right);

        // A role is what people gave; single rights are shown only where no role has exactly these.
        let held = match Role::of(self.rights) {
            Some(held) => held.to_string(),
            None => self.rights.to_string(),
        };
        let text = format!(
            "this needs the role {role} (the right '{right}'), but '{}' has {held}",
            self.name
        );
        Err(Error::new(ErrorKind::Forbidden, text).hint(format!(
            "'skep token new NAME --role {role}' makes a token that has it"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(rights: Rights) -> Principal {
        Principal {
            rights,
            ..Principal::owner()
        }
    }

    #[test]
    fn only_a_right_that_is_held_suffices() {
        for have in Right::ALL {
            let principal = holding(Rights::of(&[have]));
            for needed in Right::ALL {
                assert_eq!(principal.needs(needed).is_ok(), have == needed);
            }
        }

        let owner = Principal::owner();
        assert!(
            Right::ALL
                .into_iter()
                .all(|right| owner.needs(right).is_ok())
        );
    }

    #[test]
    fn places_are_counted_for_a_principal_and_not_for_a_name() {
        let of = |how| Principal {
            how,
            ..Principal::owner()
        };
        assert_eq!(of(How::Token).rank(), of(How::Token).rank());
        assert_ne!(of(How::Token).rank(), of(How::Password).rank());
        assert!(matches!(of(How::Certificate).rank(), Rank::Owner(_)));
        let reader = holding(Role::Read.rights());
        assert!(matches!(reader.rank(), Rank::Holder(_)));
        assert_eq!(Principal::anonymous().rank(), Rank::Stranger);
    }

    #[test]
    fn nobody_passes_for_somebody_else_in_a_log() {
        let of = |how| Principal {
            how,
            ..Principal::owner()
        };
        assert_eq!(of(How::Password).shown(), "password");
        assert_eq!(of(How::Token).shown(), "token:owner");
        assert_eq!(of(How::Certificate).shown(), "cert:owner");
        assert_eq!(Principal::anonymous().shown(), "anonymous");
    }

    #[test]
    fn a_refusal_tells_which_right_is_missing() {
        let error = Principal::anonymous().needs(Right::Write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert_eq!(
            error.message(),
            "this needs the role write (the right 'write'), but 'anonymous' has read"
        );
        assert!(error.hint_text().unwrap().contains("--role write"));

        let odd = holding(Rights::of(&[Right::Write, Right::Notify]));
        let error = odd.needs(Right::Console).unwrap_err();
        assert_eq!(
            error.message(),
            "this needs the role admin (the right 'console'), but 'owner' has write+notify"
        );
    }
}
