// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verbs about who may do what, and whom to trust.

pub(crate) mod ca;
pub(crate) mod fingerprint;
pub(crate) mod invite;
pub(crate) mod pair;
pub(crate) mod passwd;
pub(crate) mod token;
