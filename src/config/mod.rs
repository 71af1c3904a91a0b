// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings: one table of them, and the layers their values come from.
//!
//! A value is a default, a line of `config.toml`, a variable or a flag; each goes over the one before.
//! Text and origin are kept beside what was read, so that `skep config` can show them and a reload is
//! the difference of what was written.

mod checks;
mod configuration;
mod identity_files;
mod layer;
mod mistakes;
mod server_reach;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod toml_file;
mod written;

pub use configuration::Config;
pub use layer::Layer;
pub(crate) use server_reach::real_path;
pub use settings::{Effect, SECTIONS, Section, Setting, settings};
pub use written::{Effective, Origin};
