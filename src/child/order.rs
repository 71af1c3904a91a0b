// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a child process is to be: the program, its surroundings and its bounds.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A process that is to be started.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the launcher does.
    pub setup: Setup,
    /// What the program reads from its standard input, which ends after it.
    pub input: Vec<u8>,
    /// How long the program may run; then its whole group is ended.
    pub deadline: Duration,
    /// How long the group has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How many bytes are kept of standard output, and as many of standard error; what comes after
    /// them is read, counted and thrown away.
    pub output_bytes_max: usize,
    /// Whose child it is, for [`sweep`](super::sweep) after a restart: one word.
    pub owner: String,
}

/// What the launcher does before it becomes the program.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Setup {
    /// The program; a name without a slash is looked for in `PATH` of [`Setup::environment`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// All of its environment: nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub directory: Option<PathBuf>,
    /// Its limits.
    pub limits: ChildLimits,
    /// How much it gives way to others: 0 to 19.
    pub nice: u8,
    /// What it may reach of the file system, where the kernel can bound that.
    pub confinement: Option<Confinement>,
    /// The process that the launcher expects above itself.
    pub(super) parent: i32,
}

/// Limits of a process and of what it starts (setrlimit(2)); `None` leaves what is inherited.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ChildLimits {
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
    /// Bytes of a file that it writes.
    pub file_bytes: Option<u64>,
    /// Descriptors.
    pub descriptors: Option<u64>,
    /// Bytes of address space.
    pub memory_bytes: Option<u64>,
    /// Processes of its user.
    pub processes: Option<u64>,
}

/// Folders and files that a process may reach; everything else is closed to it (landlock(7)).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// To be read and run.
    pub read: Vec<PathBuf>,
    /// To be read and written.
    pub write: Vec<PathBuf>,
}

impl Order {
    /// A program without arguments and surroundings, with a minute and 64 KiB of output.
    pub fn new(program: impl Into<PathBuf>, owner: impl Into<String>) -> Self {
        Self {
            setup: Setup {
                program: program.into(),
                ..Setup::default()
            },
            input: Vec::new(),
            deadline: Duration::from_secs(60),
            grace: Duration::from_secs(2),
            output_bytes_max: 64 << 10,
            owner: owner.into(),
        }
    }
}
