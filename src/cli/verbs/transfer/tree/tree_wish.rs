// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is asked for of directories that are sent.

use clap::ArgMatches;

use crate::cli::flags::{args, is_set};
use crate::cli::verbs::signing::sign;
use crate::cli::verbs::transfer::described;
use crate::client::HiddenFiles;
use crate::error::Result;
use crate::signature::SecretKey;

/// What is asked for of every directory.
pub(super) struct TreeWish {
    pub(super) hidden: HiddenFiles,
    pub(super) follows_links: bool,
    pub(super) removes: bool,
    pub(super) is_dry: bool,
    pub(super) sends_always: bool,
    pub(super) key: Option<SecretKey>,
    pub(super) connections: usize,
}

impl TreeWish {
    /// What the flags say.
    ///
    /// # Errors
    /// `Usage` for a key that cannot be used.
    pub(super) fn of(matches: &ArgMatches) -> Result<Self> {
        Ok(Self {
            hidden: if matches.get_flag("hidden") {
                HiddenFiles::Meant
            } else {
                HiddenFiles::LeftAlone
            },
            follows_links: is_set(matches, "follow-links")?,
            removes: matches.get_flag("delete"),
            is_dry: matches.get_flag("dry-run"),
            // What is said anew of the same bytes is for the server, too.
            sends_always: is_set(matches, "always")? || described::is_any(matches),
            key: sign::key(matches, "sign")?,
            connections: args::parallel(matches)?,
        })
    }
}
