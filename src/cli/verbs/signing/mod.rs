// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verbs that sign files and check signatures.

pub(crate) mod keygen;
pub(crate) mod sign;
pub(crate) mod verify_signature;

pub(crate) use verify_signature::tell;
