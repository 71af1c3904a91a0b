// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The calls of API v1, their requests and what answers mean.

mod answer;
pub(crate) mod answers;
mod failures;
mod inspect;
mod payload;

pub use answer::Answer;
pub(crate) use answers::{accepted, gone, listed};
pub(crate) use failures::{ended, failed, trouble, unwritten};
pub use payload::Payload;
