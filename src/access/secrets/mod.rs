// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What lets somebody in: passwords, tokens, invitations.

pub(crate) mod chosen_password;
pub(crate) mod invitations;
mod password;
pub(crate) mod tokens;

pub(crate) use chosen_password::{SlowLock, keep, remove};
pub(crate) use invitations::{ADDRESSES_MAX, Invitation};
pub use password::Password;
pub(crate) use password::{Lock, PUBLISHED, letters, random};
pub(crate) use tokens::{NewToken, Tokens, can_be_named, is_token, is_token_name};
