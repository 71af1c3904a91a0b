// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The server as callers on the wire see it: heads, framing, answers, limits.

mod conditions;
pub(crate) mod embed;
mod endless;
mod fairness;
mod framing;
mod limits;
mod off;
mod reading;
pub(crate) mod rude;
mod slow;
mod uploads;
mod waiting;
mod words;
