// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The promises of skep, one file each, kept against the real thing.
