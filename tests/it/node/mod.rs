// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The program as a whole: addresses, settings, the command line, the end.

mod address;
mod child;
mod cli;
mod confined;
mod descriptors;
mod ending;
mod json;
mod log;
mod settings;
mod terminal;
mod watching;
