// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The promises of skep, one file each, kept against the real thing.

#![allow(clippy::too_many_lines, reason = "tables of cases are long")]
#![allow(clippy::unwrap_used, reason = "what a test does not expect fails it")]
#![allow(
    clippy::print_stdout,
    reason = "figures for those who run a test alone"
)]

mod access;
mod folders;
mod house;
mod http;
mod hub;
mod node;
mod store;
mod support;
mod tls;
mod transfer;
