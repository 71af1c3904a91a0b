// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may do what: one model of principals for every way into a server.
//!
//! A caller becomes a [`Principal`] with rights by a password, by a token, by a client certificate
//! or, where that is switched on, by asking for something that everybody may read. Of made secrets, the
//! public keys that they stand for are kept; over a line that can be read, callers sign their requests
//! (`message_signature`). Whoever guesses is slowed down (`lockout.rs`, `guess_queue.rs`).
//!
//! Not here: which [`Right`] a route needs (`routes`), and how certificates are verified (`edge`).

mod caller_keys;
mod certificate;
mod credentials;
mod guard;
mod guess_queue;
mod lockout;
mod message_signature;
mod principal;
mod rights;
mod role;
pub(crate) mod secrets;
mod ticket_holder;
mod tickets;

pub(crate) use credentials::{Credentials, user};
pub(crate) use guard::{AccessOptions, CHALLENGE, Guard, Recognized};
pub(crate) use lockout::Caller;
pub(crate) use message_signature::{ReceivedSignature, SignedRequest, sign, wished_nonce};
pub(crate) use principal::{How, Principal};
pub(crate) use rights::Right;
pub(crate) use role::Role;
pub use secrets::Password;
pub(crate) use secrets::{
    ADDRESSES_MAX, CHARACTERS_MIN, CallerKey, DerivedKey, Invitation, NewToken, PUBLISHED,
    TokenForm, Tokens, can_be_named, check as check_password, is_token, is_token_name,
    keep as keep_password, remove as remove_password, weakness,
};
