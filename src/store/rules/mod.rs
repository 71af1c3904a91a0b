// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What may be stored: names, licences, signatures, limits, and whether it replaces something.

mod metadata;
mod policy;
pub(crate) mod side_file;
mod signed;

pub(crate) use metadata::{find, forget, keep, signature_of};
