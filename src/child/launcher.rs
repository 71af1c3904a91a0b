// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launcher: the own binary, started again with a hidden verb, which takes its setup from standard
//! input, makes itself what the order says, and becomes the program.
//!
//! It runs between fork and exec, so that nothing of it needs `unsafe` in the process that starts it.

use std::env;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, Signal};

use crate::child::mark::VARIABLE;
use crate::child::order::{ChildLimits, Confinement, Setup};

/// The hidden verb.
pub const VERB: &str = "__launch";

/// What the exit code says if the program was not started; standard error then has the reason, after
/// `skep launcher:`.
pub const NOT_STARTED: u8 = 125;

/// How the reason of a launcher begins.
pub(super) const PREFIX: &str = "skep launcher: ";

/// Becomes the program of the setup on standard input. Returns why it could not.
pub fn launch() -> String {
    let error = match read_setup() {
        Ok(setup) => become_program(&setup),
        Err(error) => format!("the setup cannot be read: {error}"),
    };
    format!("{PREFIX}{error}")
}

/// Reads a length of eight hexadecimal digits and so many bytes of JSON, and not one byte more: what
/// follows belongs to the program.
fn read_setup() -> io::Result<Setup> {
    let mut input = Unbuffered;
    let mut digits = [0; 8];
    input.read_exact(&mut digits)?;

    let digits = String::from_utf8_lossy(&digits);
    let length = usize::from_str_radix(&digits, 16).map_err(io::Error::other)?;
    if length > SETUP_BYTES_MAX {
        return Err(io::Error::other("it is too long"));
    }

    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// Standard input without a buffer, which would keep what belongs to the program.
struct Unbuffered;

impl Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

fn become_program(setup: &Setup) -> String {
    if let Err(error) = prepare(setup) {
        return error;
    }

    let mut command = Command::new(found(setup));
    command
        .args(&setup.arguments)
        .env_clear()
        .envs(setup.environment.iter().map(|(name, value)| (name, value)));
    if let Some(directory) = &setup.directory {
        command.current_dir(directory);
    }
    // The mark stays, so that what the program leaves behind can be found.
    if let Some(mark) = env::var_os(VARIABLE) {
        command.env(VARIABLE, mark);
    }

    // What whoever started skep had open is no business of the program.
    close_fds::set_fds_cloexec(3, &[]);
    let error = command.exec();
    format!("{} cannot be run: {error}", setup.program.display())
}

fn prepare(setup: &Setup) -> Result<(), String> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");

    // Whoever started this may be gone before the signal is set.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| wrong("the death signal", &error))?;
    let parent = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
    if parent != setup.parent {
        return Err("whoever ordered this is gone".to_owned());
    }

    set_limits(&setup.limits).map_err(|error| wrong("a limit", &error))?;
    if setup.nice > 0 {
        rustix::process::nice(i32::from(setup.nice.min(19)))
            .map_err(|error| wrong("the priority", &error))?;
    }
    if let Some(directory) = setup.directory.as_ref().filter(|path| !path.is_dir()) {
        return Err(format!("there is no folder {}", directory.display()));
    }
    if let Some(confinement) = &setup.confinement {
        confine(confinement).map_err(|error| wrong("the confinement", &error))?;
    }
    Ok(())
}

fn set_limits(limits: &ChildLimits) -> io::Result<()> {
    let rows = [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.descriptors),
        (Resource::As, limits.memory_bytes),
        (Resource::Nproc, limits.processes),
    ];
    for (resource, most) in rows {
        if most.is_some() {
            let limit = Rlimit {
                current: most,
                maximum: most,
            };
            rustix::process::setrlimit(resource, limit)?;
        }
    }
    Ok(())
}

/// Closes the file system but for what is named. A kernel without landlock leaves it open.
fn confine(confinement: &Confinement) -> Result<(), landlock::RulesetError> {
    let abi = ABI::V3;
    let read = path_beneath_rules(&confinement.read, AccessFs::from_read(abi));
    let write = path_beneath_rules(&confinement.write, AccessFs::from_all(abi));

    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(read)?
        .add_rules(write)?
        .restrict_self()?;
    Ok(())
}

/// The program: as it stands, or from `PATH` of the environment that it gets.
fn found(setup: &Setup) -> std::path::PathBuf {
    let program = &setup.program;
    let is_name = program.parent() == Some(Path::new(""));
    let path = setup.environment.iter().find(|(name, _)| name == "PATH");
    let Some((_, folders)) = path.filter(|_| is_name) else {
        return program.clone();
    };

    let mut places = env::split_paths(folders).map(|folder| folder.join(program));
    places
        .find(|place| place.is_file())
        .unwrap_or_else(|| program.clone())
}

/// An environment and arguments are shorter.
const SETUP_BYTES_MAX: usize = 1 << 20;
