// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file system closed to this process but for what is named, as far as the kernel can (landlock(7)).
//! What a process has opened before stays open, and what it starts later is confined in the same way.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, path_beneath_rules,
};

use crate::child::order::{Confinement, Enforcement};

/// What a server reaches from its start on: itself, and every thread that it starts from then on.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerReach {
    /// To be read.
    pub(crate) read: Vec<PathBuf>,
    /// To be read and written.
    pub(crate) write: Vec<PathBuf>,
    /// For folders and sockets that are made and removed; files in them are neither read nor written.
    pub(crate) make: Vec<PathBuf>,
}

/// Closes the file system to the program that is about to run, but for what is named.
pub(super) fn confine(confinement: &Confinement) -> Result<Enforcement, RulesetError> {
    let read = AccessFs::from_read(VERSION);
    restrict(&[
        (&confinement.read, read),
        (&confinement.write, AccessFs::from_all(VERSION)),
    ])
}

/// Closes the file system to this thread and those that it will start, but for what is named. Paths that
/// are not there are left out.
///
/// # Errors
/// If the kernel, which could do so, does not.
pub(crate) fn confine_server(reach: &ServerReach) -> io::Result<Enforcement> {
    let make = AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::ReadDir;

    // Nothing that is reached has to be run.
    let run = BitFlags::from(AccessFs::Execute);
    let confined = restrict(&[
        (&reach.read, AccessFs::from_read(VERSION) & !run),
        (&reach.write, AccessFs::from_all(VERSION) & !run),
        (&reach.make, make),
    ]);
    confined.map_err(io::Error::other)
}

fn restrict(rules: &[(&Vec<PathBuf>, BitFlags<AccessFs>)]) -> Result<Enforcement, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .create()?;

    for (paths, access) in rules {
        ruleset = ruleset.add_rules(path_beneath_rules(*paths, *access))?;
    }

    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Enforcement::Whole,
        RulesetStatus::PartiallyEnforced => Enforcement::Partly,
        RulesetStatus::NotEnforced => Enforcement::Unsupported,
    })
}

/// The version that knows moves between folders and the cutting of files; older kernels enforce less.
const VERSION: ABI = ABI::V3;
