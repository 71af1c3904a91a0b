// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The server that a command means, as far as this device is paired with it, and what errors advise then.

use crate::access::Password;
use crate::cli::terminal::Output;
use crate::client::{PairedServer, Servers};
use crate::error::{Error, ErrorKind, Result};
use crate::home;

/// The same error for a verb that has no `--server`: a hint that names the flag gives way to this one.
pub(crate) fn without_server(error: Error, hint: &str) -> Error {
    if error
        .hint_text()
        .is_some_and(|old| old.contains("--server"))
    {
        error.hint(hint)
    } else {
        error
    }
}

/// The paired server that is meant; says what else may have been meant where there is none.
///
/// # Errors
/// Those of the file of paired servers.
pub(crate) fn paired(named: Option<&str>, output: &Output) -> Result<Option<PairedServer>> {
    // Without a home nothing was paired, but a URL still works.
    let Ok(home) = home::directory() else {
        return Ok(None);
    };

    let servers = Servers::new(&home);
    let found = servers.find(named)?;

    if found.is_none() && named.is_none() {
        output
            .advice
            .give(ErrorKind::Unreachable, None, UNNAMED.to_owned());
    }
    if let (None, Some(name)) = (&found, named)
        && let Some(near) = servers.near(name)?
    {
        let hint = format!("did you mean --server {near}, which is paired here?");
        output.advice.give(ErrorKind::Unreachable, None, hint);
    }

    Ok(found)
}

/// What helps where no server is named and none runs here.
const UNNAMED: &str = "no server was named, so this device was asked: 'skep serve' starts a server here, and \
                       --server ADDRESS (SKEP_SERVER) names another one";

/// The token of a pairing, and what is said where it does not count any more.
pub(crate) fn token_of(saved: PairedServer, output: &Output) -> Password {
    let name = &saved.name;
    output.advice.give(
        ErrorKind::Unauthenticated,
        Some(format!("the server does not accept the token of the pairing '{name}': it has ended, or was removed")),
        format!("pair again: 'skep invite' there, 'skep pair INVITATION --name {name}' here"),
    );
    saved.token
}

/// Refuses to send a password that was given to a server that may not be the one that is meant: its
/// token goes nowhere else, but such a password is a secret of whichever server the user had in mind.
pub(crate) fn check_meaning(saved: &PairedServer, named: Option<&str>) -> Result<()> {
    let Some(other) = saved.other_meaning(named) else {
        return Ok(());
    };

    let PairedServer { name, url, .. } = saved;
    let text = format!(
        "'{name}' may mean {url}, which was paired under that name, or {other}; the password was \
         not sent"
    );
    Err(Error::new(ErrorKind::Usage, text).hint(format!(
        "write --server {url} or --server {other}; without SKEP_PASSWORD the token of the pairing is used"
    )))
}
