// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The promises of skep, one file each, kept against the real thing.

#![allow(clippy::too_many_lines, reason = "tables of cases are long")]
#![allow(clippy::unwrap_used, reason = "what a test does not expect fails it")]
#![allow(
    clippy::print_stdout,
    reason = "figures for those who run a test alone"
)]

mod address;
mod audit;
mod authority;
mod cli;
mod clock;
mod conditions;
mod crash;
mod dearning;
mod dearning_wire;
mod embed;
mod ending;
mod endless;
mod failing_disk;
mod fairness;
mod framing;
mod home;
mod identity;
mod keeping;
mod limits;
mod lockout;
mod mtls;
mod pairing;
mod power_cut;
mod reading;
mod readme;
mod resume;
mod roles;
mod rude;
mod settings;
mod signature;
mod stopping;
mod structure;
mod support;
mod terminal;
mod tidy;
mod transfer;
mod trust;
mod uploads;
mod uploads_cut;
mod vanished;
mod watching;
mod wishes;
mod writers;
