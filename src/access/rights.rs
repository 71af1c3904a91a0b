// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rights: what somebody may do, as a set; none of them contains another.

use std::fmt;

/// One thing that a route can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Fetch and list models.
    Read,
    /// Store and remove models.
    Write,
    /// Change how the server works.
    Admin,
    /// Give commands at a console.
    Console,
    /// Send notifications, for which jobs may be run.
    Notify,
}

impl Right {
    /// All rights, in the order in which they are written.
    pub(crate) const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Admin,
        Self::Console,
        Self::Notify,
    ];

    /// The right as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Console => "console",
            Self::Notify => "notify",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    /// The set of these rights.
    pub(crate) fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |bits, right| bits | right.bit()))
    }

    /// Whether a right is in the set.
    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }
}

/// Writes the rights in their order, joined by `+`; the empty set is `nothing`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Right::ALL.into_iter().filter(|right| self.has(*right));
        let names: Vec<_> = names.map(Right::as_str).collect();

        if names.is_empty() {
            f.write_str("nothing")
        } else {
            f.write_str(&names.join("+"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_a_member_of_its_own() {
        for right in Right::ALL {
            let set = Rights::of(&[right]);
            for other in Right::ALL {
                assert_eq!(set.has(other), other == right, "{right} {other}");
            }
        }

        let all = Rights::of(&Right::ALL);
        assert!(Right::ALL.into_iter().all(|right| all.has(right)));
        assert_eq!(all.to_string(), "read+write+admin+console+notify");
        assert_eq!(Rights::default().to_string(), "nothing");
    }
}
