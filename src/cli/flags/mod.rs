// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What flags and variables say, whichever verb they belong to.

pub(crate) mod activation;
pub(crate) mod args;
pub(crate) mod destination;
mod given_password;
pub(crate) mod node_settings;
pub(crate) mod paired_server;
pub(crate) mod piped_input;
pub(crate) mod selected;
pub(crate) mod source;
mod switch;
pub(crate) mod variables;

pub(crate) use args::{everywhere, log_level};
pub(crate) use destination::Destination;
pub(crate) use given_password::given_password;
pub(crate) use piped_input::AnnouncedInput;
pub(crate) use selected::Selector;
pub(crate) use source::{Source, SourceReader};
pub(crate) use switch::{has_strict_modes, is_set, said};
