// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The password of a server: given, kept in the home or made, and warnings about weak ones.

use std::io;
use std::path::{Path, PathBuf};

use crate::access::{PUBLISHED, Password, weakness};
use crate::address::{Address, ListenAddress, Scheme};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::{disk, home};

/// Where the password of a node came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordOrigin {
    /// The caller gave it.
    Given,
    /// It was in this file of the home already.
    Kept(PathBuf),
    /// It was made just now and is in this file.
    Made(PathBuf, Password),
}

/// A password that was made for a server which does not run yet. Unless it is kept, the drop removes
/// it: nobody has seen it, and the next start would take it for one that is known.
pub(crate) struct UnseenPassword(Option<PathBuf>);

impl UnseenPassword {
    /// What the drop removes if the password came from here.
    pub(crate) fn of(origin: &PasswordOrigin) -> Self {
        Self(match origin {
            PasswordOrigin::Made(path, _) => Some(path.clone()),
            PasswordOrigin::Given | PasswordOrigin::Kept(_) => None,
        })
    }

    /// The server runs and can show the password, so it stays.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for UnseenPassword {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = disk::remove(path) {
            log::warn!("the new password cannot be removed: {error}");
        }
    }
}

/// The password in the home, made now if there is none yet.
pub(crate) fn kept_password(home: &Path) -> Result<(Password, PasswordOrigin)> {
    let path = home::PASSWORD.path(home);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            // Editors of some systems put a byte order mark in front.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let line = text.lines().next().unwrap_or_default();
            let password = Password::new(line).map_err(|error| {
                let text = format!("{}: {}", path.display(), error.message());
                Error::new(ErrorKind::Usage, text)
                    .hint("remove the file, and a new password is generated")
            })?;
            Ok((password, PasswordOrigin::Kept(path)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It is made at the first start, so no server ever runs without a password.
            let password = Password::generate()?;
            disk::write(&path, format!("{}\n", password.text()).as_bytes(), 0o600).map_err(
                |error| unwritable(home, Error::io("the password cannot be written", error)),
            )?;
            Ok((password.clone(), PasswordOrigin::Made(path, password)))
        }
        Err(error) => Err(unwritable(
            home,
            Error::io("the password cannot be read", error),
        )),
    }
}

pub(crate) fn unwritable(home: &Path, error: Error) -> Error {
    let text = format!(
        "the home {} cannot be used: {}",
        home.display(),
        error.message()
    );
    Error::new(ErrorKind::Usage, text).hint("set SKEP_HOME to a directory that you can write to")
}

/// Refuses the password that everybody knows, unless nobody but this device can try it.
pub(crate) fn check_published(
    config: &Config,
    addresses: &[ListenAddress],
    password: &Password,
) -> Result<()> {
    if password.text() != PUBLISHED {
        return Ok(());
    }

    if config.access.insecure_default_password && is_only_here(config, addresses) {
        log::warn!("the password is the published default: every program on this device knows it");
        return Ok(());
    }

    let text = "the password is the published default of dearning, so everybody knows it";

    Err(Error::new(ErrorKind::Usage, text).hint(
        "set another password (or none, and one is generated); to try it on this device only, \
         listen on 127.0.0.1 with --insecure-default-password",
    ))
}

/// Refuses a password that is among the first guesses, unless only this device can try it.
pub(crate) fn check_strength(
    config: &Config,
    addresses: &[ListenAddress],
    password: &Password,
) -> Result<()> {
    let Some(reason) = weakness(password.text()) else {
        return Ok(());
    };

    if is_only_here(config, addresses) {
        log::warn!("{reason}; every program on this device can guess it");
        return Ok(());
    }

    Err(Error::new(ErrorKind::Usage, reason).hint(
        "other devices could guess it: use three or four random words (or no password, and one is \
         generated), or listen on 127.0.0.1 only",
    ))
}

/// Whether nobody but this device can reach these addresses.
fn is_only_here(config: &Config, addresses: &[ListenAddress]) -> bool {
    // An IPv4 address may be written as IPv6 (`::ffff:127.0.0.1`), so the canonical form counts.
    let is_here = |listen: &ListenAddress| match &listen.address {
        Address::Ip(ip) => ip.ip().to_canonical().is_loopback(),
        Address::Unix(_) | Address::UnixAuto | Address::Abstract(_) => true,
        Address::Everywhere(_) | Address::Descriptor(_) => false,
    };

    // A socket that was inherited may listen anywhere, so it counts as reachable from outside.
    config.sockets.is_empty() && addresses.iter().all(is_here)
}

/// Says at the start what is less safe than it could be, and why.
pub(crate) fn warn_of(config: &Config, addresses: &[ListenAddress]) {
    if config.is_here_for_want_of_tls() {
        log::warn!(
            "--plain without an address: only this device is served, because everybody on a network could \
             read what is sent; name an address (such as 0.0.0.0) to serve others"
        );
    }

    // Loopback and Unix sockets do not leave the device, so nobody on a network can listen.
    let is_away = |listen: &ListenAddress| match &listen.address {
        Address::Ip(ip) => !ip.ip().to_canonical().is_loopback(),
        Address::Everywhere(_) => true,
        _ => false,
    };

    let is_plain = |listen: &ListenAddress| {
        listen.scheme_or(config.unsaid_scheme().network) == Scheme::Http && is_away(listen)
    };

    if !addresses.iter().any(is_plain) {
        return;
    }

    if config.access.plain_dearning {
        log::warn!(
            "--plain-dearning: everybody on the network can read the passwords of the dearning API"
        )
    } else {
        log::warn!(
            "--plain: the dearning API is off for other devices, because everybody on the network could \
             read its passwords; --plain-dearning enables it"
        )
    }
}
