// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What may be stored: names, licences, signatures, limits, and whether it replaces something.

mod metadata;
mod policy;
mod signed;

pub(crate) use metadata::{find, forget, keep};
