// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading models again to find damage.

mod scrub;
mod scrub_state;
mod verify;

pub(crate) use scrub::run;
pub(crate) use scrub_state::Scrub;
pub use scrub_state::ScrubCounts;
pub use verify::{Check, Verdict, Verified};
