// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much one caller may have of this server: requests a minute and bytes a day.

mod charges;
mod counted_caller;
mod day_quota;
mod request_rate;

pub(crate) use charges::{BodyTally, payer};
pub(crate) use counted_caller::CountedCaller;
pub(crate) use day_quota::{DayQuota, Way};
pub(crate) use request_rate::RequestRate;
