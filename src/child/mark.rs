// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The mark that each child has in its environment, by which what it left behind is found: also what
//! left its process group, and also after a restart.

use std::{fs, io};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

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
    let mut count = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if pid == std::process::id().cast_signed() || !is_marked(pid, beginning) {
            continue;
        }

        // The number may belong to somebody else by now: the descriptor is of one process, and that
        // is looked at again.
        let Some(open) = Pid::from_raw(pid) else {
            continue;
        };
        if let Ok(process) = pidfd_open(open, PidfdFlags::empty())
            && is_marked(pid, beginning)
            && pidfd_send_signal(&process, Signal::KILL).is_ok()
        {
            count += 1;
        }
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
    use super::*;

    #[test]
    fn an_owner_is_never_the_beginning_of_another_ones_marks() {
        assert!(of_owner("jobs").unwrap().ends_with(":jobs:"));
        for owner in ["", "jobs:one", "jobs\0"] {
            let refused = of_owner(owner).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{owner:?}");
        }
    }
}
