// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The calls of API v1, their requests and what answers mean.

mod answer;
pub(crate) mod answers;
mod content;
mod failures;
mod header_ranges;
mod inspect;
mod json_answer;
mod lists;
mod payload;

pub use answer::Answer;
pub(crate) use answers::{accepted, gone};
pub(crate) use content::{AnswerContent, attach};
pub(crate) use failures::{ended, failed, other_bytes, trouble, unwritten};
pub(crate) use json_answer::json;
pub use payload::Payload;
