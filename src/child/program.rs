// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The program before its exec: makes itself what the setup says, and becomes the program.
//!
//! It runs between fork and exec, so that nothing of it needs `unsafe` in the process that starts it.

use std::env;
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::child::confinement::confine;
use crate::child::control::{Control, Errand, Report};
use crate::child::mark::VARIABLE;
use crate::child::order::{ChildLimits, Enforcement, Setup};

/// Takes an errand from standard input and becomes its program; returns only if that failed.
pub(super) fn run() -> io::Result<()> {
    let mut control = Control::of_stdin()?;
    let Some((errand, descriptors)) = control.receive::<Errand>()? else {
        return Ok(());
    };

    let reason = match prepare(&errand) {
        Ok(enforcement) => {
            control.send(&Report::Prepared(enforcement), &[])?;
            become_program(&errand, descriptors)
        }
        Err(reason) => reason,
    };
    control.send(&Report::Refused(reason), &[])
}

fn prepare(errand: &Errand) -> Result<Option<Enforcement>, String> {
    let setup = &errand.setup;

    // The supervisor may be gone before the signal is set.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| wrong("the death signal", error))?;
    let parent = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
    if parent != errand.parent {
        return Err("whoever ordered this is gone".to_owned());
    }

    if setup.own_session {
        rustix::process::setsid().map_err(|error| wrong("the session", error))?;
    }
    if let Some(umask) = setup.umask {
        rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
    }
    if setup.nice > 0 {
        rustix::process::nice(i32::from(setup.nice.min(19)))
            .map_err(|error| wrong("the priority", error))?;
    }
    if let Some(directory) = setup.directory.as_ref().filter(|path| !path.is_dir()) {
        return Err(format!("there is no folder {}", directory.display()));
    }

    // Limits come last: they may leave no descriptor for the rules of a confinement.
    let enforcement = match &setup.confinement {
        Some(confinement) => {
            Some(confine(confinement).map_err(|error| wrong("the confinement", error))?)
        }
        None => None,
    };
    set_limits(&setup.limits).map_err(|error| wrong("a limit", error))?;
    Ok(enforcement)
}

fn become_program(errand: &Errand, descriptors: Vec<OwnedFd>) -> String {
    let setup = &errand.setup;
    let program = match found(setup) {
        Ok(program) => program,
        Err(reason) => return reason,
    };
    let Ok([input, output, errors]) = <[OwnedFd; 3]>::try_from(descriptors) else {
        return "its three descriptors did not come".to_owned();
    };

    // The mark comes last, so that no variable of the setup hides it.
    let mut command = Command::new(&program);
    command
        .args(&setup.arguments)
        .env_clear()
        .envs(setup.environment.iter().map(|(name, value)| (name, value)))
        .env(VARIABLE, &errand.mark)
        .stdin(input)
        .stdout(output)
        .stderr(errors);
    if let Some(directory) = &setup.directory {
        command.current_dir(directory);
    }
    wrong(
        &format!("{} cannot be run", program.display()),
        command.exec(),
    )
}

/// Sets limits, those above what is allowed to what is allowed.
fn set_limits(limits: &ChildLimits) -> io::Result<()> {
    let rows = [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.descriptors),
        (Resource::As, limits.memory_bytes),
        (Resource::Nproc, limits.processes),
    ];
    for (resource, wanted) in rows {
        let Some(wanted) = wanted else { continue };

        // Only root may raise a hard limit, and it does not either: whoever set it had a reason.
        let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(wanted.min(hard));
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// The program: an absolute path, or the first file of that name in `PATH` of the environment that it
/// gets which may be run. The C library, which would search a path of its own, never searches.
fn found(setup: &Setup) -> Result<PathBuf, String> {
    let program = &setup.program;
    let shown = program.display();
    if program.is_absolute() {
        return Ok(program.clone());
    }
    if program.components().count() != 1 || program.file_name().is_none() {
        return Err(format!(
            "{shown} is neither a name nor an absolute path; give one of them"
        ));
    }

    let mut variables = setup.environment.iter().rev();
    let Some((_, folders)) = variables.find(|(name, _)| name == "PATH") else {
        return Err(format!(
            "its environment has no PATH to look for {shown}; give an absolute path"
        ));
    };

    // A relative folder would mean another one with each working directory.
    let is_there = |place: &PathBuf| {
        place.is_file() && rustix::fs::access(place, rustix::fs::Access::EXEC_OK).is_ok()
    };
    env::split_paths(folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(is_there)
        .ok_or_else(|| format!("there is no program {shown} in PATH ({folders})"))
}

fn wrong(what: &str, error: impl Display) -> String {
    format!("{what}: {error}")
}
