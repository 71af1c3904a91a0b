// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The hub: what the clients of Hugging Face get of a skep.

mod changing;
mod genuine;
mod lfs;
mod mirror;
mod reading;
mod xet;
