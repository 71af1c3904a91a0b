// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of servers that are known by their pins, as `known_servers` of ssh is for hosts: one
//! line `host:port SHA256:hex` each. Lines of other forms are kept as they are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::address::ServerUrl;
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

        for (number, line) in entries(text).filter(|(_, line)| is_of(line, authority)) {
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

    /// Checks that `authority` is not known by another pin than this one.
    ///
    /// # Errors
    /// `Untrusted`, and as [`KnownServers::find`].
    pub(crate) fn check_pin(&self, authority: &str, pin: Pin) -> Result<()> {
        match self.find(authority)? {
            Some(known) if known != pin => {
                let text = format!(
                    "{authority} is known by the key {known}, but a server with the key {pin} is \
                     said to be there; nothing was sent"
                );
                let file = self.path.display();
                Err(Error::new(ErrorKind::Untrusted, text).hint(format!(
                    "somebody may be misleading you; if you know why the key changed, remove the \
                     line of {authority} from {file}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is a line of `authority`, also one that cannot be read.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn has(&self, authority: &str) -> Result<bool> {
        let text = home::KNOWN_SERVERS.read(&self.home)?;
        let has = entries(&text).any(|(_, line)| is_of(line, authority));
        Ok(has)
    }
}

/// Whether a line is that of a server. What people write by hand need not be written as we do: capital
/// letters, an IPv6 address with all of its zeros.
fn is_of(line: &str, authority: &str) -> bool {
    let name = name_of(line).unwrap_or_default();
    name == authority
        || name
            .parse::<ServerUrl>()
            .is_ok_and(|url| url.authority() == authority)
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

        // Bytes that are no text hurt their own line only.
        let mut bytes = b"pi:1 SHA256:\xff\xfe\n".to_vec();
        bytes.extend(format!("other:1 {}\n", pin('c')).bytes());
        fs::write(known.path(), bytes).unwrap();
        assert_eq!(known.find("other:1").unwrap(), Some(pin('c')));
        assert!(known.find("pi:1").is_err());
        assert!(known.has("pi:1").unwrap());
        assert!(!known.has("pi:2").unwrap());
    }

    #[test]
    fn a_server_is_known_however_its_address_is_written() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownServers::new(home.path());
        let text = format!("[2001:DB8:0:0::1]:1 {}\nPI {}\n", pin('a'), pin('b'));
        fs::write(known.path(), text).unwrap();
        assert_eq!(known.find("[2001:db8::1]:1").unwrap(), Some(pin('a')));
        assert_eq!(known.find("pi:8443").unwrap(), Some(pin('b')));
        assert!(known.add("pi:8443", pin('c')).is_err());
    }

    #[test]
    fn of_many_first_meetings_at_one_time_all_are_kept() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..48 {
                let known = KnownServers::new(home.path());
                scope.spawn(move || known.add(&format!("pi{number}:1"), pin('a')).unwrap());
            }
        });
        let text = fs::read_to_string(KnownServers::new(home.path()).path()).unwrap();
        assert_eq!(text.lines().count(), 48);
    }
}
