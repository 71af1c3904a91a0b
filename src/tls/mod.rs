// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All that is known of TLS: the provider, PEM files, the identity, callers, a private authority.

mod acceptor;
mod ahead;
mod authority;
mod callers;
mod cpu;
mod files;
mod identity;
mod issued;
mod pem;
mod provider;
mod tls_options;
mod x509;

pub(crate) use rustls::ServerConfig;

pub(crate) use acceptor::TlsVersion;
pub(crate) use ahead::Ahead;
pub(crate) use authority::{Authority, ISSUED, Papers, REVOKED, check_name};
pub(crate) use callers::{Callers, Unknown, caller_name};
pub(crate) use files::{Following, TlsFiles, check_pair_of, names, pin};
pub(crate) use identity::{host_name, keep_fresh, local_address, prepare};
pub(crate) use pem::PemFile;
pub(crate) use provider::{Floored, provider};
pub use tls_options::TlsOptions;
pub(crate) use x509::Facts;
