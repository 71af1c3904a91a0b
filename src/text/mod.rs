// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Words about text: what is safe to show, what was meant, and sizes and times as people write them.

mod composed;
mod counted;
mod date;
mod entries;
mod escape;
mod ext_value;
mod nearest;
mod quantity;
mod quote;
mod shortened;

pub(crate) use composed::{composed, decomposed};
pub(crate) use counted::counted;
pub(crate) use date::{date_time, has_date, http_date, time_at};
pub(crate) use entries::{entries, name_of, unreadable, with_entry};
pub(crate) use escape::{escaped, is_harmful, json_escaped};
pub(crate) use ext_value::{field_value, list_value, read_value};
pub(crate) use nearest::nearest;
pub(crate) use quantity::{
    DURATION_MAX, NONE, bytes, bytes_or_none, count, count_or_none, duration, duration_or_none,
    is_never, is_none, switch,
};
pub(crate) use quote::quoted;
pub(crate) use shortened::{fitting, quotable, shortened};
