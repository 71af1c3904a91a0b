// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Words about text: what is safe to show, what was meant, and sizes and times as people write them.

mod composed;
mod counted;
mod date;
mod entries;
mod escape;
mod nearest;
mod quantity;
mod quote;
mod shortened;

pub(crate) use composed::{composed, decomposed};
pub(crate) use counted::counted;
pub(crate) use date::{date_time, http_date};
pub(crate) use entries::{entries, name_of, unreadable, with_entry};
pub(crate) use escape::{escaped, is_harmful, json_escaped};
pub(crate) use nearest::nearest;
pub(crate) use quantity::{
    NONE, bytes, bytes_or_none, count, count_or_none, duration, duration_or_none, is_none, switch,
};
pub(crate) use quote::quoted;
pub(crate) use shortened::{fitting, quotable, shortened};
