// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A wire between a client and a server that counts what passes and can be cut.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

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
    /// How many bytes will have passed, in both directions together, at the cuts that are still to come.
    cuts: Mutex<VecDeque<u64>>,
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

    /// Will cut all connections each time so many bytes more have passed, so often. The relay counts and
    /// cuts by itself, so that nothing depends on how soon a test looks.
    pub(crate) fn cut_each(&self, bytes: u64, times: u64) {
        let (up, down) = self.passed();
        let mut cuts = self.shared.cuts.lock().unwrap();
        *cuts = (1..=times).map(|time| up + down + time * bytes).collect();
    }

    /// How many of those cuts are still to come.
    pub(crate) fn cuts_left(&self) -> usize {
        self.shared.cuts.lock().unwrap().len()
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        self.shared.cut();
    }
}

impl Shared {
    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Cuts if it is time for that.
    fn look(&self) {
        let passed = self.up.load(Ordering::SeqCst) + self.down.load(Ordering::SeqCst);
        let mut cuts = self.cuts.lock().unwrap();
        if cuts.front().is_some_and(|cut| passed >= *cut) {
            cuts.pop_front();
            self.cut();
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
        let counts = Arc::clone(shared);
        std::thread::spawn(move || pass(from, to, &counts, |shared| &shared.up));
        let counts = Arc::clone(shared);
        std::thread::spawn(move || pass(server, client, &counts, |shared| &shared.down));
    }
}

/// Passes bytes on in small pieces, so that little is under way when the wire is cut.
fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, count: fn(&Shared) -> &AtomicU64) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        count(shared).fetch_add(length as u64, Ordering::SeqCst);
        shared.look();
        if to.write_all(&piece[..length]).is_err() {
            // What the other side still has to say goes the other way.
            let _ = from.shutdown(Shutdown::Read);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
