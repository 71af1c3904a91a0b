// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server is its whole key: a pin that differs in one bit is another server, wherever the pin is from.

use std::fs;

use skep::client::{Client, ClientOptions, FirstUse, Trust};
use skep::{Digest, ErrorKind, Pin};

use crate::support::liar::Liar;
use crate::support::process::Place;

/// The pins that differ from one in a single bit, one for each byte.
fn neighbours(pin: Pin) -> Vec<Pin> {
    let bytes = *pin.digest().as_bytes();
    let neighbour = |place: usize| {
        let mut bytes = bytes;
        bytes[place] ^= 1 << (place % 8);
        Pin::from(Digest::from_bytes(bytes))
    };
    (0..bytes.len()).map(neighbour).collect()
}

/// What comes of a question to a server that is recognised so.
fn ask(liar: &Liar, trust: Trust, place: &Place) -> skep::Result<()> {
    let mut options = ClientOptions::new(liar.url.parse().unwrap());
    options.trust = trust;
    options.home = Some(place.home());
    Client::new(options)?.list().map(drop)
}

fn liar() -> Liar {
    Liar::of_keys(1, |question| {
        let body = b"{\"schema\":1,\"models\":[]}";
        question.answer("200 OK", "Content-Type: application/json\r\n", body)
    })
}

#[test]
fn a_pin_counts_in_all_its_bytes() {
    let (liar, place) = (liar(), Place::new());
    let right = liar.pins[0];
    ask(&liar, Trust::Pinned(right), &place).unwrap();
    let asked = liar.heads().len();
    for pin in neighbours(right) {
        let error = ask(&liar, Trust::Pinned(pin), &place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{pin}: {error}");
    }
    assert_eq!(
        liar.heads().len(),
        asked,
        "a request went to another server"
    );
}

#[test]
fn a_known_server_counts_in_all_its_bytes() {
    let (liar, place) = (liar(), Place::new());
    let right = liar.pins[0];
    let file = place.home().join("known_servers");
    let authority = &liar.url["https://".len()..];
    fs::write(&file, format!("{authority} {right}\n")).unwrap();
    ask(&liar, Trust::Known(FirstUse::Refuse), &place).unwrap();
    let asked = liar.heads().len();
    for pin in neighbours(right) {
        let line = format!("{authority} {pin}\n");
        fs::write(&file, &line).unwrap();
        for first_use in [
            FirstUse::Refuse,
            FirstUse::Accept,
            FirstUse::Ask(Box::new(|_, _| true)),
        ] {
            let error = ask(&liar, Trust::Known(first_use), &place).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{pin}: {error}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), line);
    }
    assert_eq!(
        liar.heads().len(),
        asked,
        "a request went to another server"
    );
}

#[test]
fn the_certificate_of_this_device_counts_for_its_own_key_only() {
    let (liar, place) = (liar(), Place::new());
    // Another certificate of the same form, as a server of this home would have it.
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["liar".to_owned()]).unwrap();
    let other = params.self_signed(&key).unwrap();
    fs::write(place.home().join("server.crt"), other.pem()).unwrap();
    let error = ask(&liar, Trust::Known(FirstUse::Refuse), &place).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    assert_eq!(liar.heads(), [""; 0]);
}
