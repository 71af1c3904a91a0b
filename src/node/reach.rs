// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a node is called, and where other devices reach it.

use std::net::SocketAddr;
use std::path::Path;

use crate::address::Address;
use crate::config::Config;
use crate::home::{self, RunningServer};
use crate::routes::HostNames;
use crate::tls::TlsFiles;

/// Notes where a server of this home listens, for whoever is invited to it.
pub(crate) fn note(home: &Path, directory: &Path, addresses: &[Address]) {
    let server = RunningServer::of_this_process(directory, invitable(addresses));
    if let Err(error) = home::note_server(home, &server) {
        log::debug!("{error}");
    }
}

/// Where other devices can reach these addresses, the best one first.
fn invitable(addresses: &[Address]) -> Vec<String> {
    let mut found = Vec::new();
    for address in addresses {
        // Nobody can connect to the wildcard address; the present address works now, and the name
        // for mDNS goes on working when the address changes.
        if let Some(port) = address.everywhere() {
            let outside = crate::tls::local_address().map(|ip| SocketAddr::new(ip, port));
            found.extend(outside.map(|outside| outside.to_string()));
            found.push(format!("{}.local:{port}", crate::tls::host_name()));
        } else if matches!(address, Address::Ip(_)) {
            found.push(address.authority());
        }
    }

    found
}

/// What this server is called: by its settings, its certificate and its system.
pub(crate) fn host_names(config: &Config, files: Option<&TlsFiles>) -> HostNames {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();

    // Callers may use these names in the `Host` field; all others are refused where no credentials
    // are shown.
    let own = [format!("{host}.local"), host];
    let certified = files.map(crate::tls::names).unwrap_or_default();

    HostNames::new(
        config
            .access
            .host_names
            .iter()
            .cloned()
            .chain(own)
            .chain(certified),
    )
}
