// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as a xorb of an upload by xet.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skep::fuzz_xorb(bytes));
