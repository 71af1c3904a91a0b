// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may do what, and whom to trust.

mod audit;
mod guesses;
mod home;
mod lockout;
mod modes;
mod pairing;
mod roles;
mod signature;
mod trust;
