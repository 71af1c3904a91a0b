// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as the head of a request.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skep::fuzz_head(bytes));
