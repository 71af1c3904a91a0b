// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whom to trust: pins, known servers, authorities.

mod known_servers;
pub(crate) mod roots;
mod trust_policy;

pub(crate) use known_servers::KnownServers;
pub use trust_policy::{FirstUse, Question, Trust};
pub(crate) use trust_policy::{ServerCheck, TrustVerdict};
