// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rights, each of which lets somebody do one kind of thing, and sets of them.

use std::fmt;

/// One kind of thing that somebody may do.
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

/// A set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    /// These rights and no others.
    pub(crate) const fn of(rights: &[Right]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < rights.len() {
            bits |= rights[index].bit();
            index += 1;
        }
        Self(bits)
    }

    /// Whether a right is among them.
    pub(crate) const fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }
}

impl Right {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Console => "console",
            Self::Notify => "notify",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let all = [
            Right::Read,
            Right::Write,
            Right::Admin,
            Right::Console,
            Right::Notify,
        ];
        for right in all {
            let alone = Rights::of(&[right]);
            for other in all {
                assert_eq!(alone.has(other), other == right, "{right} {other}");
            }
            assert!(Rights::of(&all).has(right) && !Rights::of(&[]).has(right));
        }
    }
}
