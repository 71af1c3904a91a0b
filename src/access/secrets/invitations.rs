// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Invitations: a text that brings a device together with a server, and the file of those that are
//! still open.
//!
//! The text is `skep://HOST:PORT,HOST:PORT#PIN.SECRET`: where the server is, what its key is
//! recognised by, and a secret that is good for one token. The secret stands behind the `#`, which no
//! program sends anywhere. The file `invitations` in the home has a line for each open one: digest of
//! the secret, role, and end in seconds since 1970.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::secrets::password::{Password, is_made};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;
use crate::text::{entries, unreadable};
use crate::{clock, home};

/// What an invited device has to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// Where the server may be reached, `host:port` each, the best one first.
    pub(crate) addresses: Vec<String>,
    pub(crate) pin: Pin,
    pub(crate) secret: Password,
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pin = URL_SAFE_NO_PAD.encode(self.pin.digest().as_bytes());
        write!(
            f,
            "{SCHEME}{}#{pin}.{}",
            self.addresses.join(","),
            self.secret.text()
        )
    }
}

impl FromStr for Invitation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let told = |text| {
            Error::new(ErrorKind::Usage, text)
                .hint("'skep invite' on the other device prints one: skep://...#...")
        };
        let bad =
            || told("the invitation is not complete: its end is missing, or a letter is wrong");

        let rest = text.trim().strip_prefix(SCHEME);
        let rest = rest.ok_or_else(|| told("this is not an invitation"))?;
        let (addresses, rest) = rest.split_once('#').ok_or_else(bad)?;
        let (pin, secret) = rest.split_once('.').ok_or_else(bad)?;

        // A pin of any other length than 32 bytes means that the text was cut.
        let bytes = URL_SAFE_NO_PAD
            .decode(pin)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());

        let pin = Pin::from(Digest::from_bytes(bytes.ok_or_else(bad)?));
        let addresses: Vec<_> = addresses.split(',').map(str::to_owned).collect();
        if addresses.iter().any(String::is_empty) || addresses.len() > ADDRESSES_MAX {
            return Err(bad());
        }

        // The server would not know a secret without its end, nor say why.
        let secret = Password::new(secret)
            .ok()
            .filter(|secret| is_made(secret.text().as_bytes()))
            .ok_or_else(bad)?;

        Ok(Self {
            addresses,
            pin,
            secret,
        })
    }
}

/// Opens an invitation in a home and returns its secret, of which only the digest is kept.
///
/// # Errors
/// `Usage` if the home cannot be written, `TooLarge` if there are too many.
pub(crate) fn open(home: &Path, role: &str, seconds: u64) -> Result<Password> {
    let secret = Password::generate()?;
    let end = clock::seconds().saturating_add(seconds);

    // A digest without salt suffices: the secret is random, so there is no table to look it up in.
    let digest = Digest::of(secret.text().as_bytes());

    change(home, |open| {
        if open.len() >= OPEN_MAX {
            let text = format!("{OPEN_MAX} invitations are open already");
            return Err(Error::new(ErrorKind::TooLarge, text)
                .hint("they expire by themselves; try again later"));
        }
        open.push(OpenInvitation {
            digest,
            role: role.to_owned(),
            end,
        });
        Ok(())
    })?;

    Ok(secret)
}

/// Gives what `issue` makes for the role of an open invitation, and closes it. If nothing can be
/// issued, it stays open.
///
/// # Errors
/// `Forbidden` if there is no such invitation, those of `issue`, and those of the home.
pub(crate) fn redeem<T>(
    home: &Path,
    secret: &str,
    issue: impl FnOnce(&str) -> Result<T>,
) -> Result<T> {
    let digest = Digest::of(secret.as_bytes());
    let mut issue = Some(issue);
    let mut issued = None;

    // The lock of the file is held while `issue` runs, so two devices cannot redeem one secret at
    // the same moment.
    change(home, |open| {
        // Digests are compared in constant time.
        let found = open.iter().position(|one| one.digest == digest);
        let (Some(found), Some(issue)) = (found, issue.take()) else {
            let text = "there is no such invitation; it was used already, or has expired";
            return Err(Error::new(ErrorKind::Forbidden, text)
                .hint("make a new one with 'skep invite' on the device of the server"));
        };
        issued = Some(issue(&open.remove(found).role)?);
        Ok(())
    })?;

    issued.ok_or_else(|| Error::new(ErrorKind::Internal, "nothing was issued"))
}

/// An invitation that nobody has used.
struct OpenInvitation {
    digest: Digest,
    role: String,
    end: u64,
}

impl OpenInvitation {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let digest = words.next()?.parse().ok()?;
        let (role, end) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        words.next().is_none().then_some(Self { digest, role, end })
    }
}

/// Changes the file under a lock. What is over goes with every change; lines that cannot be read stay,
/// and open nothing.
fn change(home: &Path, change: impl FnOnce(&mut Vec<OpenInvitation>) -> Result<()>) -> Result<()> {
    home::INVITATIONS.change(home, |text| {
        let now = clock::seconds();
        let mut open = Vec::new();
        let mut bad = Vec::new();

        for (number, line) in entries(text) {
            match OpenInvitation::read(line) {
                Some(one) if one.end > now => open.push(one),
                Some(_) => {}
                None => bad.push((number, line)),
            }
        }

        change(&mut open)?;

        // Only now: whoever guesses at secrets must not fill the log.
        let numbers: Vec<_> = bad.iter().map(|(number, _)| *number).collect();
        if let Some(warning) = unreadable(&home::INVITATIONS.path(home), &numbers) {
            log::warn!("{warning}");
        }

        let line = |one: &OpenInvitation| format!("{} {} {}\n", one.digest, one.role, one.end);
        let kept = bad.iter().map(|(_, line)| format!("{line}\n"));
        Ok(Some(kept.chain(open.iter().map(line)).collect()))
    })
}

const SCHEME: &str = "skep://";

/// More make a QR code that telephones cannot read.
pub(crate) const ADDRESSES_MAX: usize = 4;

const OPEN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_survives_being_written_down() {
        let pin = Pin::from(Digest::of(b"key"));
        let secret = Password::generate().unwrap();
        let addresses = vec!["192.168.1.10:8443".to_owned(), "pi.local:8443".to_owned()];
        let invitation = Invitation {
            addresses,
            pin,
            secret,
        };
        let text = invitation.to_string();
        assert!(
            text.starts_with("skep://192.168.1.10:8443,pi.local:8443#"),
            "{text}"
        );
        assert_eq!(
            format!(" {text}\n").parse::<Invitation>().unwrap(),
            invitation
        );
        for end in 0..text.len() {
            let error = text[..end].parse::<Invitation>().unwrap_err();
            let is_told = error.message().contains("its end is missing");
            assert_eq!(is_told, end >= SCHEME.len(), "{end}: {error}");
        }
        for bad in [
            "https://pi#a.b",
            "skep://#AAAA.b",
            "skep://pi#AAAA.b",
            "skep://,#.",
            "",
        ] {
            assert!(bad.parse::<Invitation>().is_err(), "{bad}");
        }

        // Each address is one, and there are only so many.
        let end = text.split_once('#').unwrap().1;
        let with = |addresses: &[&str]| {
            let text = format!("skep://{}#{end}", addresses.join(","));
            text.parse::<Invitation>().is_ok()
        };
        assert!(with(&["pi"; ADDRESSES_MAX]));
        assert!(!with(&["pi"; ADDRESSES_MAX + 1]));
        assert!(!with(&["pi", "", "pi"]));
    }

    #[test]
    fn of_many_who_come_with_one_invitation_one_gets_in() {
        let home = tempfile::tempdir().unwrap();
        let secret = open(home.path(), "read", 60).unwrap();
        let gate = std::sync::Barrier::new(8);
        let enter = || {
            gate.wait();
            // Whoever issues takes its time, so that the others come meanwhile.
            let issue = |_: &str| {
                std::thread::yield_now();
                crate::disk::write(&home.path().join("issued"), b"x", 0o600).map_err(Error::from)
            };
            usize::from(redeem(home.path(), secret.text(), issue).is_ok())
        };
        let count = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(enter)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(count, 1);
    }

    #[test]
    fn a_bad_line_costs_no_other_invitation() {
        let home = tempfile::tempdir().unwrap();
        let secret = open(home.path(), "read", 60).unwrap();
        let path = home::INVITATIONS.path(home.path());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("beef read\n{text}")).unwrap();
        open(home.path(), "write", 60).unwrap();
        redeem(home.path(), secret.text(), |_| Ok(())).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("beef read\n"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn an_invitation_is_good_once_and_for_its_time() {
        let home = tempfile::tempdir().unwrap();
        let secret = open(home.path(), "write", 600).unwrap();
        let over = open(home.path(), "admin", 0).unwrap();
        let kept = std::fs::read_to_string(home::INVITATIONS.path(home.path())).unwrap();
        assert!(!kept.contains(secret.text()));
        let used = |secret: &str| redeem(home.path(), secret, |role| Ok(role.to_owned()));
        assert_eq!(used(over.text()).unwrap_err().kind(), ErrorKind::Forbidden);
        assert_eq!(used("guess").unwrap_err().kind(), ErrorKind::Forbidden);
        // A failure costs nothing.
        let full = |_: &str| Err::<(), _>(Error::new(ErrorKind::NoSpace, "full"));
        assert!(redeem(home.path(), secret.text(), full).is_err());
        assert_eq!(used(secret.text()).unwrap(), "write");
        assert_eq!(
            used(secret.text()).unwrap_err().kind(),
            ErrorKind::Forbidden
        );
    }
}
