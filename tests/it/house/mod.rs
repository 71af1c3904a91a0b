// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of the sources, and the truth of the documentation.

mod hints;
mod readme;
mod structure;
mod style;
pub(crate) mod tidy;
