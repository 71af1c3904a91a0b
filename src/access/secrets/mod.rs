// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What lets somebody in: passwords, tokens, invitations.

pub(crate) mod chosen_password;
mod derived_key;
pub(crate) mod invitations;
mod password;
mod remembered_keys;
pub(crate) mod tokens;

pub(crate) use chosen_password::{CHARACTERS_MIN, SlowLock, check, keep, remove, weakness};
pub(crate) use derived_key::{CallerKey, DerivedKey};
pub(crate) use invitations::{ADDRESSES_MAX, Invitation};
pub use password::Password;
pub(crate) use password::{Lock, PUBLISHED, TokenForm, is_token, random};
pub(crate) use remembered_keys::RememberedKeys;
pub(crate) use tokens::{NewToken, TokenKey, Tokens, can_be_named, is_token_name};
