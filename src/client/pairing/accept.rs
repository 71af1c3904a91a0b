// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The invited side of pairing: finds the server, makes sure that it is the one that invited, and has it
//! accept a token that is made here, of which it learns the public key only.

use std::path::Path;
use std::time::Duration;

use crate::access::{DerivedKey, Invitation, Password};
use crate::address::ServerUrl;
use crate::client::api::{Payload, answers};
use crate::client::pairing::servers::{PairedServer, Servers};
use crate::client::trust::{KnownServers, Trust};
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

/// Redeems an invitation and keeps server, pins and token in a home. The first server that is kept
/// is the one that is taken when none is named.
///
/// # Errors
/// `Unreachable` if none of its addresses answers, `Untrusted` if somebody else does, `Forbidden` if
/// the invitation is used or over, `Conflict` if another server has that name, `Usage` if the home
/// cannot be written; the invitation is not used up then.
pub(crate) fn pair(
    invitation: &Invitation,
    names: PairNames,
    home: &Path,
) -> Result<(PairedServer, PairReply)> {
    let mut urls = Vec::new();
    for address in &invitation.addresses {
        urls.push(address.parse::<ServerUrl>()?);
    }

    let servers = Servers::new(home);
    let name = names.server.unwrap_or_else(|| Servers::name_for(&urls[0]));
    // Checked before the server is asked, because an invitation can be used only once.
    servers.check_name(&name, &urls)?;
    home::SERVERS.check_change(home)?;
    home::KNOWN_SERVERS.check_change(home)?;
    let own = Password::generate_token()?;
    let (url, reply) = ask(&urls, invitation, names.device, &own)?;
    let token = agreed(own, &reply)?;

    // The token comes first: it is nowhere else, and the pin can be had again.
    let saved = PairedServer { name, url, token };
    servers.keep(&saved)?;

    // All addresses lead to the same server, so its key is trusted at each of them from now on.
    let known = KnownServers::new(home);
    for url in &urls {
        known.replace(&url.authority(), invitation.pin)?;
    }

    Ok((saved, reply))
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

    let mut last = Error::new(ErrorKind::Usage, "the invitation has no address");

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
                last = error;
            }
            // The right server has decided, and its other addresses would say the same.
            Err(error) => return Err(error),
            Ok(reply) => return answers::reply(reply).map(|reply| (url.clone(), reply)),
        }
    }

    Err(last)
}

/// The token that this device is known by from now on: its own, or the one of a server that is older than
/// keys. That one came from the server that invited, over TLS, and has to have the form of a token.
fn agreed(own: Password, reply: &PairReply) -> Result<Password> {
    let Some(text) = &reply.token else {
        return Ok(own);
    };

    let given = Password::new(text.clone()).ok();
    given.filter(Password::is_made).ok_or_else(|| {
        let text = "the server answered with something that is not a token";
        Error::new(ErrorKind::NotImplemented, text)
    })
}

/// Several addresses may have to be tried, and all of them are near.
const CONNECT: Duration = Duration::from_secs(8);
