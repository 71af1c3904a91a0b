// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the servers of a home can be reached while they run: the file `addresses`, one line for each
//! model directory: process, boot, addresses with commas between them, and the directory.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::error::Result;
use crate::home::ADDRESSES;
use crate::text::entries;

/// A server of a home, as it was at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunningServer {
    process: i32,
    /// The number of the system's start: process numbers of another one mean nothing.
    boot: String,
    /// Where others reach it, `host:port` each, the best one first.
    pub(crate) addresses: Vec<String>,
    /// The absolute path of its model directory.
    pub(crate) directory: String,
}

impl RunningServer {
    /// This process.
    pub(crate) fn of_this_process(directory: &Path, addresses: Vec<String>) -> Self {
        // A path may have any character in it, but a line has one end.
        let directory = directory.to_string_lossy().replace(char::is_control, "?");
        Self {
            process: std::process::id().cast_signed(),
            boot: boot(),
            addresses,
            directory,
        }
    }

    /// Whether it runs still, as far as that can be told.
    pub(crate) fn is_running(&self) -> bool {
        let is_this_boot = self.boot == UNKNOWN || self.boot == boot();
        let is_there = Pid::from_raw(self.process).is_some_and(|process| {
            // A process of somebody else is one, too.
            matches!(test_kill_process(process), Ok(()) | Err(Errno::PERM))
        });
        is_this_boot && is_there
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let (process, boot) = (words.next()?.parse().ok()?, words.next()?.to_owned());
        let addresses = words.next()?.split(',').filter(|text| !text.is_empty());

        Some(Self {
            process,
            boot,
            addresses: addresses.map(str::to_owned).collect(),
            directory: words.next()?.to_owned(),
        })
    }

    fn line(&self) -> String {
        let addresses = self.addresses.join(",");
        format!(
            "{} {} {addresses} {}\n",
            self.process, self.boot, self.directory
        )
    }
}

/// Notes a server that begins to listen, in the place of the one that had its model directory before.
/// Others stay while they run.
///
/// # Errors
/// Those of the file.
pub(crate) fn note(home: &Path, server: &RunningServer) -> Result<()> {
    ADDRESSES.change(home, |text| {
        let mut others = read_all(text);
        others.retain(|other| other.directory != server.directory && other.is_running());
        others.push(server.clone());
        Ok(Some(others.iter().map(RunningServer::line).collect()))
    })
}

/// The servers of a home that are noted, the newest last.
///
/// # Errors
/// Those of the file.
pub(crate) fn noted(home: &Path) -> Result<Vec<RunningServer>> {
    ADDRESSES.read(home).map(|text| read_all(&text))
}

/// Lines of other forms are those of older servers, which run no more once this one has started.
fn read_all(text: &str) -> Vec<RunningServer> {
    entries(text)
        .filter_map(|(_, line)| RunningServer::read(line))
        .collect()
}

fn boot() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    match read.unwrap_or_default().trim() {
        "" => UNKNOWN.to_owned(),
        boot => boot.to_owned(),
    }
}

const UNKNOWN: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    fn server(directory: &str, address: &str) -> RunningServer {
        RunningServer::of_this_process(Path::new(directory), vec![address.to_owned()])
    }

    #[test]
    fn each_server_of_a_home_has_its_own_line() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(noted(home.path()).unwrap(), []);
        let (one, other) = (server("/srv/a b", "pi:1"), server("/srv/c", "pi:2"));
        note(home.path(), &one).unwrap();
        note(home.path(), &other).unwrap();
        assert_eq!(noted(home.path()).unwrap(), [one.clone(), other.clone()]);
        assert!(one.is_running());

        let moved = server("/srv/a b", "pi:3");
        note(home.path(), &moved).unwrap();
        assert_eq!(noted(home.path()).unwrap(), [other, moved]);
    }

    #[test]
    fn what_does_not_run_any_more_is_told_apart_and_goes() {
        let home = tempfile::tempdir().unwrap();
        let mut over = server("/srv/a", "pi:1");
        over.boot = "another".to_owned();
        let gone = RunningServer {
            process: i32::MAX,
            ..server("/srv/b", "pi:2")
        };
        assert!(!over.is_running() && !gone.is_running());
        let text = format!("pi.local:8443\nx y z\n{}{}", over.line(), gone.line());
        ADDRESSES.write(home.path(), &text).unwrap();
        assert_eq!(noted(home.path()).unwrap(), [over, gone]);

        let next = server("/srv/c", "pi:3");
        note(home.path(), &next).unwrap();
        assert_eq!(noted(home.path()).unwrap(), [next]);
    }
}
