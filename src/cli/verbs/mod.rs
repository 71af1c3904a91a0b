// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One file per verb: what its flags mean, what it does, and what it prints.

pub(crate) mod access;
pub(crate) mod config;
pub(crate) mod models;
pub(crate) mod serve;
pub(crate) mod server_status;
pub(crate) mod signing;
pub(crate) mod transfer;
pub(crate) mod version;
