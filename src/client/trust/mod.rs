// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whom to trust: pins, known servers, authorities.

mod known_servers;
pub(crate) mod roots;
mod trust_policy;

pub(crate) use known_servers::KnownServers;
pub(crate) use trust_policy::{Elsewhere, ServerCheck, TrustVerdict};
pub use trust_policy::{FirstUse, Question, Trust};
