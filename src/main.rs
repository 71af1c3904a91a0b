// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The skep binary.

fn main() {}
