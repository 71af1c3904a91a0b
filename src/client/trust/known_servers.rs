// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of servers that are known by their pins, as `known_servers` of ssh is for hosts: one
//! line `host:port SHA256:hex` each. Lines of other forms are kept as they are.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::pin::Pin;

/// The file, which need not exist.
#[derive(Clone, Debug)]
pub(crate) struct KnownServers {
    home: PathBuf,
    path: PathBuf,
}

impl KnownServers {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            path: home::KNOWN_SERVERS.path(home),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The pin that `authority` is known by.
    ///
    /// # Errors
    /// `Usage` if its line cannot be read; otherwise those of the file system.
    pub(crate) fn find(&self, authority: &str) -> Result<Option<Pin>> {
        let text = home::KNOWN_SERVERS.read(&self.home)?;
        find(&text, authority)
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", self.path.display())))
    }

    /// Remembers the pin of a server that was not known.
    ///
    /// # Errors
    /// `Conflict` if another process has learned another pin of it meanwhile; those of the file system.
    pub(crate) fn add(&self, authority: &str, pin: Pin) -> Result<()> {
        home::KNOWN_SERVERS.change(&self.home, |text| match find(text, authority)? {
            Some(known) if known == pin => Ok(None),
            Some(_) => {
                let text =
                    format!("another process stored another key of {authority} at the same time");
                Err(Error::new(ErrorKind::Conflict, text).hint("try again"))
            }
            None => Ok(Some(with_line(text.to_owned(), authority, pin))),
        })
    }

    /// Remembers the pin of a server, whatever it was known by.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn replace(&self, authority: &str, pin: Pin) -> Result<()> {
        home::KNOWN_SERVERS.change(&self.home, |text| {
            let is_other = |line: &&str| line.split_ascii_whitespace().next() != Some(authority);
            let others = text.lines().filter(is_other);
            let kept = others.map(|line| format!("{line}\n")).collect();
            Ok(Some(with_line(kept, authority, pin)))
        })
    }
}

/// The text with one line more.
fn with_line(mut text: String, authority: &str, pin: Pin) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("{authority} {pin}\n"));
    text
}

fn find(text: &str, authority: &str) -> Result<Option<Pin>> {
    for (line, number) in text.lines().zip(1..) {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some(authority) {
            continue;
        }
        return match words.next().and_then(|word| word.parse().ok()) {
            Some(pin) => Ok(Some(pin)),
            None => Err(Error::new(
                ErrorKind::Usage,
                format!("line {number} has no fingerprint for {authority}"),
            )),
        };
    }

    Ok(None)
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
    fn an_unreadable_line_is_an_error_only_for_its_own_server() {
        let text = format!("\npi:1 SHA256:beef\nother:1 {}\n", pin('c'));
        assert_eq!(find(&text, "other:1").unwrap(), Some(pin('c')));
        assert!(
            find(&text, "pi:1")
                .unwrap_err()
                .message()
                .contains("line 2")
        );
        assert!(find("pi:1", "pi:1").is_err());
    }
}
