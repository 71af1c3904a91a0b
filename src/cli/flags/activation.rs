// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Socket activation: systemd listens, and hands its sockets over (sd_listen_fds(3)).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use listenfd::ListenFd;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

/// Takes the sockets that were handed over if `systemd:` is among the addresses, or if there are no
/// addresses. This has to come before any thread is started, since it reads and clears variables.
///
/// # Errors
/// `Usage` if `systemd:` was asked for and nothing was handed over, or something that cannot be used.
pub(crate) fn take_over(config: &mut Config) -> Result<()> {
    let is_asked = leave_out(config);
    let mut handed = ListenFd::from_env();

    if is_asked && handed.len() == 0 {
        let text = format!("'{SYSTEMD}' works only where systemd passes sockets to skep");
        return Err(Error::new(ErrorKind::Usage, text)
            .hint("start it with a socket unit, which sets LISTEN_FDS and LISTEN_PID"));
    }

    // Whoever names addresses gets those and no others.
    if !is_asked && !config.addresses.is_empty() {
        return Ok(());
    }

    // One socket that cannot be used ends the start: a server that misses an address would look
    // healthy.
    for number in 0..handed.len() {
        let socket = take(&mut handed, number).map_err(|error| {
            let text = format!(
                "socket {} of LISTEN_FDS cannot be used: {error}",
                number + 1
            );
            Error::new(ErrorKind::Usage, text).hint("use ListenStream= in the socket unit")
        })?;
        config.sockets.extend(socket.map(Arc::new));
    }

    Ok(())
}

/// Removes `systemd:` from the addresses, which is none to bind; says whether it was there.
pub(crate) fn leave_out(config: &mut Config) -> bool {
    let count = config.addresses.len();
    config.addresses.retain(|address| address != SYSTEMD);
    config.addresses.len() < count
}

fn take(handed: &mut ListenFd, number: usize) -> io::Result<Option<OwnedFd>> {
    match handed.take_tcp_listener(number) {
        Ok(listener) => Ok(listener.map(OwnedFd::from)),
        Err(_) => Ok(handed.take_unix_listener(number)?.map(OwnedFd::from)),
    }
}

const SYSTEMD: &str = "systemd:";
