// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The invited side of pairing: finds the server, makes sure that it is the one that invited, and has it
//! accept a token that is made here, of which it learns the public key only.

use std::path::Path;
use std::time::Duration;

use crate::access::{DerivedKey, Invitation, Password, Role, is_token, is_token_name};
use crate::address::{Scheme, ServerUrl};
use crate::client::api::{Payload, answers};
use crate::client::pairing::server_name::default_name;
use crate::client::pairing::servers::{PairedServer, Servers};
use crate::client::trust::{Elsewhere, KnownServers, Trust};
use crate::client::{Client, ClientOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::wire::{PairReply, PairRequest};

/// How a server and this device are to be called.
pub(crate) struct PairNames {
    /// The server, on this device.
    pub(crate) server: Option<String>,
    /// This device, on the server.
    pub(crate) device: String,
}

/// Redeems an invitation and keeps server, pin and token in a home. The first server that is kept
/// is the one that is taken when none is named.
///
/// The pin is remembered for the one address that answered with it. The others are what the invitation
/// says; they are kept with the server, and its pin is asked for wherever they lead.
///
/// # Errors
/// `Unreachable` if none of its addresses answers, `Untrusted` if somebody else does or another key is
/// known at one of them, `Forbidden` if the invitation is used or over, `Conflict` if another server has
/// that name, `Usage` if the home cannot be written; the invitation is not used up then.
pub(crate) fn pair(
    invitation: &Invitation,
    names: PairNames,
    home: &Path,
) -> Result<(PairedServer, PairReply)> {
    let urls = addresses(invitation)?;
    let servers = Servers::new(home);
    let known = KnownServers::new(home);
    let name_at = |url: &ServerUrl| names.server.clone().unwrap_or_else(|| default_name(url));

    // Checked before the server is asked, because an invitation can be used only once.
    for url in &urls {
        servers.check_name(&name_at(url), &urls)?;
        known.check_pin(&url.authority(), invitation.pin)?;
    }
    home::SERVERS.check_change(home)?;
    home::KNOWN_SERVERS.check_change(home)?;

    let own = Password::generate_token()?;
    let (url, reply) = ask(&urls, invitation, names.device.clone(), &own)?;
    let token = agreed(own, &reply)?;
    let others = urls.into_iter().filter(|other| *other != url);
    let saved = PairedServer {
        name: name_at(&url),
        token,
        elsewhere: Some(Elsewhere {
            pin: invitation.pin,
            urls: others.collect(),
        }),
        url,
    };

    // The token comes first: it is nowhere else, and the pin can be had again.
    servers.keep(&saved)?;
    known.add(&saved.url.authority(), invitation.pin)?;

    Ok((saved, reply))
}

/// The addresses of an invitation, each once.
fn addresses(invitation: &Invitation) -> Result<Vec<ServerUrl>> {
    let mut urls: Vec<ServerUrl> = Vec::new();

    for address in &invitation.addresses {
        let url: ServerUrl = address.parse()?;
        // Without TLS there is no key to recognise the server by.
        if url.scheme() != Scheme::Https {
            let text = format!("the invitation leads to {url}, where no server can be recognised");
            return Err(Error::new(ErrorKind::Usage, text).hint(ANEW));
        }
        if !urls.contains(&url) {
            urls.push(url);
        }
    }

    Ok(urls)
}

/// The token that this device is known by from now on, once all of the reply can be kept and shown: each
/// word of it comes from another device. It is this device's own, or the one of a server that is older than
/// keys.
fn agreed(own: Password, reply: &PairReply) -> Result<Password> {
    let is_name = is_token_name(&reply.name);
    let is_role = reply.role.parse::<Role>().is_ok();

    let token = match &reply.token {
        None => Some(own),
        Some(text) if is_token(text.as_bytes()) => Some(Password::new(text.clone())?),
        Some(_) => None,
    };

    token.filter(|_| is_name && is_role).ok_or_else(|| {
        let text = "the server's answer has a name, a role or a token that cannot be one; nothing was kept";
        Error::new(ErrorKind::NotImplemented, text).hint(ANEW)
    })
}

/// Tries one address after the other until one answers.
fn ask(
    urls: &[ServerUrl],
    invitation: &Invitation,
    device: String,
    own: &Password,
) -> Result<(ServerUrl, PairReply)> {
    let key = DerivedKey::of(own.text().as_bytes()).map(|key| key.public().to_string());
    let request = PairRequest {
        secret: invitation.secret.text().to_owned(),
        name: device,
        key,
    };

    let body = serde_json::to_vec(&request).map_err(|error| {
        Error::new(ErrorKind::Internal, "the request cannot be written").because(error)
    })?;

    let mut last = Error::new(ErrorKind::Usage, "the invitation has no address").hint(ANEW);

    for url in urls {
        let mut options = ClientOptions::new(url.clone());
        // Whoever else has the address by now must not get the secret.
        options.trust = Trust::Pinned(invitation.pin);
        options.connect_timeout = CONNECT;
        let mut client = Client::new(options)?;
        let fields = [("content-type", "application/json")];
        match client.request("POST", "/v1/pair", &fields, Payload::Bytes(&body)) {
            // Another device may have the address by now.
            Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Untrusted) => {
                last = error.hint(ELSEWHERE);
            }
            // The right server has decided, and its other addresses would say the same.
            Err(error) => return Err(error.hint(ANEW)),
            Ok(reply) => {
                let is_skep = |error: Error| match error.kind() {
                    ErrorKind::NotImplemented => error.hint(ELSEWHERE),
                    _ => error,
                };
                let reply = answers::reply(reply).map_err(is_skep)?;
                return Ok((url.clone(), reply));
            }
        }
    }

    Err(last)
}

/// Several addresses may have to be tried, and all of them are near.
const CONNECT: Duration = Duration::from_secs(8);

const ANEW: &str = "make a new invitation with 'skep invite' on the device of the server";

const ELSEWHERE: &str = "does the server run, and can this device reach it there? 'skep invite \
                         HOST:PORT' on its device makes an invitation for another address";

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(reply: &PairReply) -> Result<Password> {
        agreed(Password::generate_token().unwrap(), reply)
    }

    fn reply(name: &str, role: &str, token: &str) -> PairReply {
        PairReply {
            schema: 1,
            name: name.to_owned(),
            role: role.to_owned(),
            token: Some(token.to_owned()),
        }
    }

    #[test]
    fn nothing_of_a_reply_is_kept_that_would_break_a_line() {
        let token = format!("skep_{}", "a2".repeat(16));
        assert!(token_of(&reply("phone-2", "write", &token)).is_ok());
        for (name, role, token) in [
            ("phone", "write", "skep_a b"),
            ("phone", "write", "skep_"),
            ("phone", "write", "skep_a\nb"),
            ("phone", "write", "secret"),
            ("phone", "write", &format!("{token}\u{a0}")),
            ("phone", "write", &format!("{token}#")),
            ("phone", "write", &"skep_".repeat(1000)),
            ("\u{1b}[2J", "write", &token),
            ("phone", "root\n", &token),
            ("", "write", &token),
        ] {
            let error = token_of(&reply(name, role, token)).unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::NotImplemented,
                "{name} {role} {token}"
            );
        }
    }

    #[test]
    fn an_invitation_leads_to_keys() {
        let invitation = |addresses: &[&str]| Invitation {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            pin: crate::pin::Pin::from(crate::digest::Digest::of(b"key")),
            secret: Password::generate().unwrap(),
        };
        assert_eq!(
            addresses(&invitation(&["pi", "PI:8443", "[::1]:1"]))
                .unwrap()
                .len(),
            2
        );
        for bad in ["http://pi", "unix:@x", "a b"] {
            assert!(addresses(&invitation(&["pi", bad])).is_err(), "{bad}");
        }
    }
}
