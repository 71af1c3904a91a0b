// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The listening sockets of a server: bound together or not at all.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::address::{Address, ListenAddress, Scheme, UnsaidScheme};
use crate::edge::listening_socket::Door;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::Stop;

/// Sockets that are bound, with the addresses they really have.
pub(crate) struct Listener {
    doors: Vec<Door>,
    stop: Stop,
}

impl Listener {
    /// Binds all addresses, and takes over sockets that listen already. Where an address does not say
    /// what is spoken, `unsaid` does. Accepting ends with `stop`.
    ///
    /// # Errors
    /// `Usage` if one cannot be had, with the reason, or if there is none at all.
    pub(crate) fn bind(
        addresses: &[ListenAddress],
        sockets: Vec<OwnedFd>,
        unsaid: UnsaidScheme,
        stop: Stop,
    ) -> Result<Self> {
        // An inherited socket has its address only now.
        let speaking = |door: Door, said: Option<Scheme>| {
            let scheme = said.unwrap_or_else(|| unsaid.at(door.address()));
            door.speaking(scheme)
        };

        let opened = addresses
            .iter()
            .map(|listen| Ok(speaking(Door::open(&listen.address)?, listen.scheme)));
        let adopted = sockets
            .into_iter()
            .map(|socket| Ok(speaking(Door::adopt(socket)?, None)));

        let doors: Vec<_> = opened.chain(adopted).collect::<Result<_>>()?;

        if doors.is_empty() {
            let text = "there is no address to listen on";
            return Err(Error::new(ErrorKind::Usage, text));
        }

        Self { doors, stop }.prepared()
    }

    /// The same sockets, on which accepting ends with another token.
    ///
    /// # Errors
    /// If the system has no descriptor to give.
    pub(crate) fn ending_with(self, stop: Stop) -> Result<Self> {
        Self { stop, ..self }.prepared()
    }

    /// The poller waits for the token, and has to begin whatever runs out later.
    fn prepared(self) -> Result<Self> {
        self.stop
            .descriptor()
            .map_err(|error| Error::io("preparing to listen", error))?;
        Ok(self)
    }

    /// The sockets that listen.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.doors.iter().map(Door::descriptor).collect()
    }

    /// The addresses as they are bound, and what is spoken there.
    pub(crate) fn bound(&self) -> Vec<(Address, Scheme)> {
        self.doors
            .iter()
            .map(|door| (door.address().clone(), door.scheme()))
            .collect()
    }

    /// The sockets themselves, and what ends accepting.
    pub(crate) fn into_doors(self) -> (Vec<Door>, Stop) {
        (self.doors, self.stop)
    }
}
