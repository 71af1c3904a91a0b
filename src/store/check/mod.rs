// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading models again to find damage.

mod model_check;
mod scrub;
mod scrub_state;

pub use model_check::{Check, Verdict};
pub(crate) use scrub::run;
pub(crate) use scrub_state::Scrub;
pub use scrub_state::ScrubCounts;
