// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may do what, and whom to trust.

mod advice;
mod audit;
mod browser;
mod guesses;
mod home;
mod lockout;
mod modes;
mod pairing;
mod proving;
mod quota;
mod roles;
mod signature;
mod trust;
mod upgrade;
