// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A wire between a client and a server that counts what passes and can be cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::process::until;

/// A relay on a free port of the loopback device, until it is dropped.
pub(crate) struct Relay {
    /// Where clients find it, with the scheme of the server.
    pub(crate) url: String,
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
}

#[derive(Default)]
struct Shared {
    /// Where connections go, which may change.
    target: Mutex<String>,
    /// Bytes to the server and to the client.
    up: AtomicU64,
    down: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

impl Relay {
    /// A relay to the server at a URL.
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (scheme, _) = url.split_once("://").unwrap();
        let relay = Self {
            url: format!("{scheme}://{address}"),
            shared: Arc::default(),
            address,
        };
        relay.lead_to(url);
        let shared = Arc::clone(&relay.shared);
        std::thread::spawn(move || accept(&listener, &shared));
        relay
    }

    /// Has further connections go to another server.
    pub(crate) fn lead_to(&self, url: &str) {
        let (_, authority) = url.split_once("://").unwrap();
        *self.shared.target.lock().unwrap() = authority.to_owned();
    }

    /// Bytes that passed so far, to the server and to the client.
    pub(crate) fn passed(&self) -> (u64, u64) {
        (
            self.shared.up.load(Ordering::SeqCst),
            self.shared.down.load(Ordering::SeqCst),
        )
    }

    /// Waits until so many more bytes have passed in both directions together, and cuts all connections.
    pub(crate) fn cut_after(&self, bytes: u64) {
        let sum = |(up, down): (u64, u64)| up + down;
        let start = sum(self.passed());
        until(|| sum(self.passed()) >= start + bytes);
        self.cut();
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let target = shared.target.lock().unwrap().clone();
        // A server that is away is one that ends the connection at once.
        let Ok(server) = TcpStream::connect(target) else {
            continue;
        };
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        shared
            .open
            .lock()
            .unwrap()
            .extend([clone(&client), clone(&server)]);
        let (from, to) = (clone(&client), clone(&server));
        let count = Arc::clone(shared);
        std::thread::spawn(move || pass(from, to, &count.up));
        let count = Arc::clone(shared);
        std::thread::spawn(move || pass(server, client, &count.down));
    }
}

/// Passes bytes on in small pieces, so that little is under way when the wire is cut.
fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        count.fetch_add(length as u64, Ordering::SeqCst);
        if to.write_all(&piece[..length]).is_err() {
            // What the other side still has to say goes the other way.
            let _ = from.shutdown(Shutdown::Read);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
