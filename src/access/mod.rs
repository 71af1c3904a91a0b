// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may do what: one model of principals for every way into a server.
//!
//! A caller becomes a [`Principal`] with rights by a password, by a token, by a client certificate
//! or, where that is switched on, by asking for something that everybody may read. Secrets are kept as
//! digests and compared in constant time; whoever guesses is slowed down (`lockout.rs`).
//!
//! Not here: which [`Right`] a route needs (`routes`), and how certificates are verified (`edge`).

mod certificate;
mod challenge;
mod challenge_answer;
mod credentials;
mod guard;
mod lockout;
mod nonce;
mod principal;
mod rights;
mod role;
pub(crate) mod secrets;

pub(crate) use challenge::{Challenge, TOKEN_CHARACTERS_MIN};
pub(crate) use challenge_answer::{SCHEME, SignedRequest};
pub(crate) use credentials::{Credentials, user};
pub(crate) use guard::{AccessOptions, Guard, Recognized};
pub(crate) use principal::{How, Principal};
pub(crate) use rights::Right;
pub(crate) use role::Role;
pub use secrets::Password;
pub(crate) use secrets::{
    ADDRESSES_MAX, Invitation, NewToken, PUBLISHED, Tokens, can_be_named, is_token, is_token_name,
    keep as keep_password, remove as remove_password,
};
