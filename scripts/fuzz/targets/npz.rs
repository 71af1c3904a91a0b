// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as an archive of NumPy.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skep::fuzz_format("m.npz", bytes));
