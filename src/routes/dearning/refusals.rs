// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the dearning API says to those it refuses, in the words of the genuine server.

use crate::access::{Principal, Right};
use crate::error::{Error, ErrorKind, Result};
use crate::routes::allowance::{BodyTally, payer};
use crate::routes::api::Api;
use crate::transport::Peer;

pub(crate) fn invalid_password() -> Error {
    Error::new(ErrorKind::Unauthenticated, "invalid password")
}

/// Who has this password of a JSON body. A server started with a number takes that number, as
/// dearning's own example has it. The body is theirs from here on.
pub(crate) fn opened(
    (api, peer): (&Api, &Peer),
    tally: Option<&BodyTally>,
    password: &str,
    right: Right,
) -> Result<Principal> {
    let principal = match api.guard.secret(peer, password.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::Unauthenticated => return Err(invalid_password()),
        other => other?,
    };
    principal.needs(right)?;
    if let (Some(tally), Some(caller)) = (tally, payer(peer, &principal)) {
        tally.belongs_to(caller)?;
    }
    Ok(principal)
}
