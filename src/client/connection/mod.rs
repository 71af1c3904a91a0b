// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The way to a server: dialling, TLS, proving who one is, and the pace.

mod agent;
mod channel;
mod cut;
mod dialer;
mod early;
mod handshake;
mod login;
mod password_over;
mod rate;
mod socket_owner;
mod stoppable_socket;

pub(crate) use agent::agent;
pub(crate) use dialer::{Dialer, Shared};
pub(crate) use early::Early;
pub use handshake::ClientCertificate;
pub(crate) use handshake::tls;
pub(crate) use login::Login;
pub use password_over::PasswordOver;
pub(crate) use rate::TransferRate;
