// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The first steps of a start, in an order in which one that fails leaves nothing behind: the addresses are
//! bound before anything is made.

use std::io;

use crate::address::ListenAddress;
use crate::config::Config;
use crate::edge::Listener;
use crate::error::{Error, ErrorKind, Result};
use crate::node::server_password::unwritable;
use crate::stop::Stop;
use crate::store::{Store, StoreEvents};
use crate::{disk, home};

/// Binds all addresses of a node, and takes its sockets over.
///
/// # Errors
/// `AlreadyRunning` if another server has the model directory, otherwise as [`Listener::bind`].
pub(super) fn listener(config: &Config, addresses: &[ListenAddress]) -> Result<Listener> {
    let sockets = config.sockets.iter().map(|socket| socket.try_clone());
    let sockets = sockets
        .collect::<io::Result<_>>()
        .map_err(|error| Error::io("cannot take over a socket", error))?;

    Listener::bind(addresses, sockets, config.unsaid_scheme(), Stop::new())
        .map_err(|error| other_server(config).unwrap_or(error))
}

/// Makes the home, and opens the model directory. A home that is made for a start that fails goes again.
///
/// # Errors
/// `Usage` if either cannot be used, and as [`Store::open`].
pub(super) fn store(config: &Config, events: StoreEvents) -> Result<Store> {
    let has_home = config.home.exists();
    disk::create_directory(&config.home)
        .map_err(|error| unwritable(&config.home, Error::io("it cannot be created", error)))?;

    let opened = Store::open_with(&config.directory, config.store.clone(), events);
    let store = opened.inspect_err(|_| {
        if !has_home {
            disk::remove_empty_directory(&config.home);
        }
    })?;

    // A home that is only read may do all the same.
    if let Err(error) = home::prepare(&config.home) {
        log::debug!("{error}");
    }

    Ok(store)
}

/// That another server has the model directory, which says more than that it has an address.
fn other_server(config: &Config) -> Option<Error> {
    // Where no server ever was, nothing is made to find that out.
    if !config.directory.join(".skep").is_dir() {
        return None;
    }
    Store::open(&config.directory, config.store.clone())
        .err()
        .filter(|error| error.kind() == ErrorKind::AlreadyRunning)
}
