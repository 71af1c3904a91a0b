// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who listens on a Unix socket: any user can take the name of an abstract one, and some the path of
//! another, before the server does.

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use socket2::Socket;

use crate::address::ServerUrl;
use crate::error::{Error, ErrorKind, Result};

/// Checks that this user or root has made a socket, as the kernel says (SO_PEERCRED, unix(7)).
///
/// # Errors
/// `Untrusted` if somebody else has, and those of the system.
pub(crate) fn check_owner(socket: &Socket, url: &ServerUrl) -> Result<()> {
    let made_by = socket_peercred(socket)
        .map_err(|error| Error::io(format!("asking who listens at {url}"), error.into()))?;

    check_user(made_by.uid.as_raw(), geteuid().as_raw(), url)
}

fn check_user(user: u32, own: u32, url: &ServerUrl) -> Result<()> {
    if user == own || user == 0 {
        return Ok(());
    }

    let text = format!(
        "the server at {url} belongs to the user {user}, and neither to you nor to root, so nothing was sent"
    );
    Err(Error::new(ErrorKind::Untrusted, text).hint(
        "is it the right socket? A server of another user is reached over https://; --insecure trusts this one",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_user_and_root_are_trusted() {
        let url = "unix:@skep".parse().unwrap();
        assert!(check_user(1000, 1000, &url).is_ok());
        assert!(check_user(0, 1000, &url).is_ok());
        for (user, own) in [(1001, 1000), (1000, 0), (65534, 1000)] {
            let error = check_user(user, own, &url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Untrusted);
        }
    }
}
