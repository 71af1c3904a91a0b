// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Contents of files within JSON: strings of base64 that are decoded in constant memory while they arrive.

pub(crate) mod blocks;
pub(crate) mod embedded;
pub(crate) mod metered;
mod unreadable;

pub(crate) use unreadable::{broken, invalid_json, unreadable};
