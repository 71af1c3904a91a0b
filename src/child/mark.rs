// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The mark that each child has in its environment, by which what it left behind is found: also what
//! left its process group, and also after a restart.

use std::os::fd::OwnedFd;
use std::{fs, io};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::random;

/// The variable of the mark.
pub(super) const VARIABLE: &str = "SKEP_CHILD";

/// A mark: the boot, the owner, and a number that no other child of this owner has.
pub(super) fn new(owner: &str) -> io::Result<String> {
    let random = random::bytes().map_err(io::Error::other)?;
    Ok(format!(
        "{}{:016x}",
        of_owner(owner)?,
        u64::from_ne_bytes(random)
    ))
}

/// How the marks of an owner begin during this boot: process numbers of another one mean nothing.
///
/// # Errors
/// If the owner is empty, or has a colon or a NUL: it would be the beginning of another one's marks.
pub(super) fn of_owner(owner: &str) -> io::Result<String> {
    if owner.is_empty() || owner.contains([':', '\0']) {
        let reason = format!(
            "'{}' cannot own children; give a name without a colon",
            owner.escape_debug()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }

    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(format!("{}:{owner}:", boot.trim_end()))
}

/// Ends every process of this user whose mark begins so, except this one; returns how many there were.
pub(super) fn kill(beginning: &str) -> io::Result<usize> {
    kill_by(beginning, |pid| pidfd_open(pid, PidfdFlags::empty()))
}

/// The same with another way to hold a process; kernels before 5.3 and some sandboxes have none.
fn kill_by(beginning: &str, hold: fn(Pid) -> rustix::io::Result<OwnedFd>) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if number == std::process::id().cast_signed() || !is_marked(number, beginning) {
            continue;
        }
        let Some(pid) = Pid::from_raw(number) else {
            continue;
        };

        // The number may belong to somebody else by now: what is held is one process, and its mark is
        // looked at again. Where nothing can be held, that look leaves a moment of microseconds.
        let held = hold(pid);
        if !is_marked(number, beginning) {
            continue;
        }
        let ended = match held {
            Ok(process) => pidfd_send_signal(&process, Signal::KILL),
            Err(Errno::NOSYS | Errno::PERM) => kill_process(pid, Signal::KILL),
            Err(error) => Err(error),
        };
        count += usize::from(ended.is_ok());
    }
    Ok(count)
}

fn is_marked(pid: i32, beginning: &str) -> bool {
    // Processes of others cannot be read.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("{VARIABLE}={beginning}");
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_kernel_without_pidfd_ends_what_is_marked_too() {
        for (place, missing) in [Errno::NOSYS, Errno::PERM].into_iter().enumerate() {
            let beginning = of_owner(&format!("{}-{place}", std::process::id())).unwrap();
            let mut sleeper = std::process::Command::new("sleep")
                .arg("600")
                .env(VARIABLE, format!("{beginning}1"))
                .spawn()
                .unwrap();

            let hold = match missing {
                Errno::NOSYS => |_| Err(Errno::NOSYS),
                _ => |_| Err(Errno::PERM),
            };
            // The environment cannot be read in the middle of an exec.
            let number = sleeper.id().cast_signed();
            while !is_marked(number, &beginning) {
                std::thread::yield_now();
            }
            let of_gone = kill_by(&beginning, |_| Err(Errno::SRCH));
            let of_missing = kill_by(&beginning, hold);
            let _ = sleeper.kill();
            assert_eq!((of_gone.unwrap(), of_missing.unwrap()), (0, 1));
            assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        }
    }

    #[test]
    fn an_owner_is_never_the_beginning_of_another_ones_marks() {
        assert!(of_owner("jobs").unwrap().ends_with(":jobs:"));
        for owner in ["", "jobs:one", "jobs\0"] {
            let refused = of_owner(owner).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{owner:?}");
        }
    }
}
