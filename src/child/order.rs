// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a child process is to be: the program, its surroundings and its bounds.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A process that is to be started.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the program is.
    pub setup: Setup,
    /// What the program reads from its standard input.
    pub input: ChildInput,
    /// How long the program may run; then its whole group is ended.
    pub deadline: Duration,
    /// How long the group has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How many bytes are kept of standard output, and as many of standard error; what comes after
    /// them is read, counted and thrown away.
    pub output_bytes_max: usize,
    /// How many bytes of a line [`Child::wait_with`](super::Child::wait_with) passes on; the rest of a
    /// longer line is thrown away.
    pub line_bytes_max: usize,
    /// Whose child it is, for [`sweep`](super::sweep) after a restart: one word.
    pub owner: String,
}

/// The standard input of a program.
#[derive(Clone, Debug)]
pub enum ChildInput {
    /// These bytes, and then its end.
    Bytes(Vec<u8>),
    /// This file, from where it stands; nothing of it goes through this process.
    File(Arc<File>),
}

/// The program and its surroundings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Setup {
    /// The program: an absolute path, or a name that is looked for in the absolute folders of `PATH` of
    /// [`Setup::environment`], and nowhere else.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// All of its environment: nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub directory: Option<PathBuf>,
    /// Its limits.
    pub limits: ChildLimits,
    /// How much it gives way to others: 0 to 19. Its reads and writes of disks give way with it, see
    /// [`child`](super).
    pub nice: u8,
    /// The permissions that its new files do not get (umask(2)); `None` leaves what is inherited.
    pub umask: Option<u32>,
    /// Whether it gets a session of its own, and so no terminal (setsid(2)).
    pub own_session: bool,
    /// What it may reach of the file system, where the kernel can bound that.
    pub confinement: Option<Confinement>,
}

/// Limits of a process and of what it starts (setrlimit(2)); `None` leaves what is inherited. A limit
/// above the hard limit becomes the hard limit.
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

/// How much of a [`Confinement`] the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enforcement {
    /// All of it.
    Whole,
    /// What an older kernel knows: it may still let files be cut or moved between folders.
    Partly,
    /// Nothing: the kernel has no landlock, and every file is open.
    Unsupported,
}

impl Order {
    /// A program without arguments, surroundings and input, with a minute, 64 KiB of output and lines of
    /// 4 KiB.
    pub fn new(program: impl Into<PathBuf>, owner: impl Into<String>) -> Self {
        Self {
            setup: Setup {
                program: program.into(),
                ..Setup::default()
            },
            input: ChildInput::Bytes(Vec::new()),
            deadline: Duration::from_secs(60),
            grace: Duration::from_secs(2),
            output_bytes_max: 64 << 10,
            line_bytes_max: 4 << 10,
            owner: owner.into(),
        }
    }
}
