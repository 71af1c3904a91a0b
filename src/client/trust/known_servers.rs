// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of servers that are known by their pins, as `known_servers` of ssh is for hosts: one
//! line `host:port SHA256:hex` each. Lines of other forms are kept as they are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::pin::Pin;
use crate::text::{entries, name_of, unreadable, with_entry};

/// The file, which need not exist.
#[derive(Debug)]
pub(crate) struct KnownServers {
    home: PathBuf,
    path: PathBuf,
    /// Bad lines are reported once, and not with each connection.
    has_warned: AtomicBool,
}

impl KnownServers {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            path: home::KNOWN_SERVERS.path(home),
            has_warned: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The pin that `authority` is known by: that of its first line that can be read.
    ///
    /// # Errors
    /// `Usage` if it has lines, but none of them can be read: it is known, so it must not become known
    /// anew by whatever key it shows; otherwise those of the file system.
    pub(crate) fn find(&self, authority: &str) -> Result<Option<Pin>> {
        let text = home::KNOWN_SERVERS.read(&self.home)?;

        if let Some(warning) = unreadable(&self.path, &bad_lines(&text))
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            log::warn!("{warning}");
        }

        self.find_in(&text, authority)
    }

    fn find_in(&self, text: &str, authority: &str) -> Result<Option<Pin>> {
        let mut damaged = None;

        for (number, line) in entries(text).filter(|(_, line)| name_of(line) == Some(authority)) {
            match pin_of(line) {
                Some(pin) => return Ok(Some(pin)),
                None => damaged = damaged.or(Some(number)),
            }
        }

        match damaged {
            None => Ok(None),
            Some(number) => {
                let path = self.path.display();
                let text = format!(
                    "line {number} of {path} should have the fingerprint of {authority}, but it \
                     cannot be read; nothing was sent"
                );
                Err(Error::new(ErrorKind::Usage, text).hint(
                    "write the fingerprint there that the server printed when it was ready; or \
                     remove the line, and the server counts as new",
                ))
            }
        }
    }

    /// Remembers the pin of a server that was not known.
    ///
    /// # Errors
    /// `Conflict` if another process has learned another pin of it meanwhile; those of the file system.
    pub(crate) fn add(&self, authority: &str, pin: Pin) -> Result<()> {
        home::KNOWN_SERVERS.change(&self.home, |text| match self.find_in(text, authority)? {
            Some(known) if known == pin => Ok(None),
            Some(_) => {
                let text =
                    format!("another process stored another key of {authority} at the same time");
                Err(Error::new(ErrorKind::Conflict, text).hint("try again"))
            }
            None => Ok(Some(with_entry(text, &format!("{authority} {pin}")))),
        })
    }

    /// Remembers the pin of a server, whatever it was known by.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn replace(&self, authority: &str, pin: Pin) -> Result<()> {
        home::KNOWN_SERVERS.change(&self.home, |text| {
            let others = text.lines().filter(|line| name_of(line) != Some(authority));
            let kept: String = others.map(|line| format!("{line}\n")).collect();
            Ok(Some(with_entry(&kept, &format!("{authority} {pin}"))))
        })
    }
}

fn pin_of(line: &str) -> Option<Pin> {
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn bad_lines(text: &str) -> Vec<usize> {
    let bad = entries(text).filter(|(_, line)| pin_of(line).is_none());
    bad.map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn pin(digit: char) -> Pin {
        format!("SHA256:{}", digit.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    #[test]
    fn servers_are_remembered_beside_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let known = KnownServers::new(&directory.path().join("home"));
        assert_eq!(known.find("pi:8443").unwrap(), None);
        known.add("pi:8443", pin('a')).unwrap();
        fs::write(known.path(), format!("# mine\npi:8443 {}", pin('a'))).unwrap();
        known.add("[::1]:1", pin('b')).unwrap();
        assert_eq!(known.find("pi:8443").unwrap(), Some(pin('a')));
        assert_eq!(known.find("[::1]:1").unwrap(), Some(pin('b')));
        assert_eq!(known.find("pi:844").unwrap(), None);

        // Another process may have learned a key since this one looked.
        known.add("pi:8443", pin('a')).unwrap();
        let error = known.add("pi:8443", pin('c')).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(known.find("pi:8443").unwrap(), Some(pin('a')));

        assert!(
            fs::read_to_string(known.path())
                .unwrap()
                .starts_with("# mine\n")
        );
        assert_eq!(
            fs::metadata(known.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_bad_line_costs_that_line_and_no_key_is_learned_over_it() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownServers::new(home.path());
        let damaged = format!("\npi:1 SHA256:beef\nother:1 {}\n", pin('c'));
        fs::write(known.path(), &damaged).unwrap();
        assert_eq!(bad_lines(&damaged), [2]);
        assert_eq!(known.find("other:1").unwrap(), Some(pin('c')));
        for result in [known.find("pi:1").map(drop), known.add("pi:1", pin('d'))] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.message().contains("line 2 of"), "{error}");
        }
        assert_eq!(fs::read_to_string(known.path()).unwrap(), damaged);

        // A good line of the same server counts, before it or behind it.
        fs::write(known.path(), format!("{damaged}pi:1 {}\n", pin('a'))).unwrap();
        assert_eq!(known.find("pi:1").unwrap(), Some(pin('a')));

        // Bytes that are no text hurt their own line only; pairing anew repairs it.
        let mut bytes = b"pi:1 SHA256:\xff\xfe\n".to_vec();
        bytes.extend(format!("other:1 {}\n", pin('c')).bytes());
        fs::write(known.path(), bytes).unwrap();
        assert_eq!(known.find("other:1").unwrap(), Some(pin('c')));
        assert!(known.find("pi:1").is_err());
        known.replace("pi:1", pin('d')).unwrap();
        assert_eq!(known.find("pi:1").unwrap(), Some(pin('d')));
    }
}
