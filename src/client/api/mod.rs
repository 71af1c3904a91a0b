// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The calls of API v1, their requests and what answers mean.

pub(crate) mod answers;
mod inspect;
mod payload;

pub(crate) use answers::{accepted, gone, json, trouble};
pub use payload::{Answer, Payload};
