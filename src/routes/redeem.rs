// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pairing: whoever shows an open invitation gets a token of its own. The device makes it, and sends its
//! public key only.

use crate::access::secrets::invitations;
use crate::access::{CallerKey, can_be_named};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Happening};
use crate::http::{Request, Response, Status};
use crate::routes::api::{Api, Pairing};
use crate::wire::{PairReply, PairRequest};

/// Exchanges the secret of an invitation for a token: one that the device has made, or, for a device of an
/// older skep, one that the answer carries.
pub(crate) fn pair(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    // Before anything is read: the secret must not travel in the clear.
    if request.peer().tls.is_none() && !request.peer().is_local() {
        let text = "pairing needs HTTPS";
        return Err(Error::new(ErrorKind::Forbidden, text).hint("start the server without --plain"));
    }

    // Nobody knows who sends it, so it may neither be large nor keep others waiting.
    if request.body().length().is_none() {
        let text = "a pairing request has to say how long it is";
        return Err(Error::new(ErrorKind::LengthRequired, text)
            .hint("in HTTP: send it with a Content-Length and not in chunks"));
    }

    request.body().limit(BODY_BYTES_MAX as u64)?;
    let body = request.body().read_all(BODY_BYTES_MAX)?;

    let asked: PairRequest = serde_json::from_slice(&body).map_err(|error| {
        Error::new(
            ErrorKind::BadRequest,
            "the body is not a pairing request in JSON",
        )
        .because(error)
    })?;

    let key = asked
        .key
        .as_deref()
        .map(str::parse::<CallerKey>)
        .transpose()?;

    let Pairing { home, issue } = &api.pairing;

    // The token is issued while the invitations are locked: an invitation is used up only if its
    // token exists.
    let redeemed = invitations::redeem(home, &asked.secret, |role| {
        let wanted = named(&asked.name);
        // A device that is paired again has a token already, which stays until somebody removes it.
        for number in 1..=SAME_NAME_MAX {
            let name = if number == 1 {
                wanted.clone()
            } else {
                format!("{wanted}-{number}")
            };
            match issue(home, &name, role, key) {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                token => return Ok((name, role.to_owned(), token?)),
            }
        }
        let text = format!("{SAME_NAME_MAX} tokens with the name {wanted} exist already");
        Err(Error::new(ErrorKind::Conflict, text).hint("remove some, or pair under another name"))
    });

    let (name, role, token) = redeemed.map_err(|error| match error.kind() {
        // The secret of an invitation cannot be guessed, so a right one counts whoever guesses beside it.
        ErrorKind::Forbidden => api.guard.check(request.peer()).err().unwrap_or_else(|| {
            api.guard.fail(request.peer());
            error
        }),
        _ => error,
    })?;

    log::info!(
        "{} was paired as {name} with the role {role}",
        request.peer()
    );

    api.events.access.publish(|| {
        let happening = Happening::DevicePaired {
            name: name.clone(),
            role: role.clone(),
            peer: request.peer().to_string(),
        };
        Event::new(clock::now(), happening)
    });

    let reply = PairReply {
        schema: 1,
        name,
        role,
        token: token.map(|token| token.text().to_owned()),
    };

    // A cache must not keep a token.
    Ok(Response::json(Status::CREATED, &reply).field("cache-control", "no-store"))
}

/// What of a device's name can name a token.
fn named(name: &str) -> String {
    let is_letter = |letter: &char| letter.is_ascii_alphanumeric() || ".-_".contains(*letter);
    let name: String = name
        .chars()
        .filter(is_letter)
        .take(NAME_BYTES_MAX)
        .collect();

    if can_be_named(&name) {
        name
    } else {
        "device".to_owned()
    }
}

const BODY_BYTES_MAX: usize = 4096;

/// Leaves room for a number.
const NAME_BYTES_MAX: usize = 60;

const SAME_NAME_MAX: u32 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tokens_are_plain() {
        assert_eq!(named("pi 4\n\u{e9}"), "pi4");
        for nobody in ["\u{e9}", "-", "..", "owner", "Anonymous"] {
            assert_eq!(named(nobody), "device", "{nobody}");
        }
        assert_eq!(named(&"x".repeat(100)).len(), NAME_BYTES_MAX);
    }
}
