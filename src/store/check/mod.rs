// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading models again to find damage.

mod scrub;
mod verify;

pub use scrub::ScrubCounts;
pub(crate) use scrub::{Scrub, run};
pub use verify::{Check, Verdict, Verified};
