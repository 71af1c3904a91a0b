// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS sessions that are resumed, and certificates of callers that stop being good.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::process::{Place, run, until};
use crate::support::raw::PATIENCE;
use crate::support::served::Served;

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A client that remembers sessions, with a certificate of an authority in this place if it has one.
fn client(server: &Served, papers: Option<(&Place, &str)>) -> Arc<ClientConfig> {
    client_of(ALL_VERSIONS, server, papers)
}

/// The same for a client that speaks these versions of TLS.
fn client_of(
    versions: &[&'static SupportedProtocolVersion],
    server: &Served,
    papers: Option<(&Place, &str)>,
) -> Arc<ClientConfig> {
    let shown = CertificateDer::from_pem_file(server.place.home().join("server.crt")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(shown).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let Some((place, name)) = papers else {
        return Arc::new(config.with_no_client_auth());
    };

    let path = |kind: &str| place.path(&format!("{name}/{name}.{kind}"));
    let chain = CertificateDer::pem_file_iter(path("crt")).unwrap();
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
    Arc::new(config.with_client_auth_cert(chain, key).unwrap())
}

fn open(server: &Served, config: &Arc<ClientConfig>) -> Stream {
    let address = server.url.strip_prefix("https://").unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    StreamOwned::new(session, socket)
}

/// Whether a request is answered on this connection.
fn asks(stream: &mut Stream, path: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }

    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) => {
                let kinds = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                assert!(!kinds.contains(&error.kind()), "no answer and no end");
                return false;
            }
        }
        if answer.windows(4).any(|end| end == b"\r\n\r\n") {
            return answer.starts_with(b"HTTP/1.1 200");
        }
    }
}

#[test]
fn a_session_is_resumed_until_the_identity_changes() {
    let server = Served::start(&[]);
    let config = client(&server, None);
    let kinds: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = open(&server, &config);
            assert!(asks(&mut stream, "/healthz"));
            stream.conn.handshake_kind().unwrap()
        })
        .collect();
    let (full, resumed) = (HandshakeKind::Full, HandshakeKind::Resumed);
    assert_eq!(kinds, [full, resumed, resumed]);

    // The same files in new ones: the server reads them again, and forgets its sessions.
    for name in ["server.crt", "server.key"] {
        let path = server.place.home().join(name);
        let copy = path.with_extension("copy");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(&copy, &path).unwrap();
    }
    until(|| {
        let mut stream = open(&server, &config);
        assert!(asks(&mut stream, "/healthz"));
        stream.conn.handshake_kind() == Some(full)
    });
}

#[test]
fn a_caller_with_a_certificate_resumes_nothing() {
    let place = Place::new();
    run(&mut place.skep(&["ca", "init", "-q"])).exits(0);
    run(&mut place.skep(&["ca", "issue", "phone", "-q"])).exits(0);
    let ca = place.home().join("ca/ca.crt");
    let flags = ["--client-ca", ca.to_str().unwrap()];
    let server = Served::start_in(&place, &flags);

    // TLS 1.2 resumes by a number of the session, and TLS 1.3 by a ticket.
    for version in [&TLS12, &TLS13] {
        let config = client_of(&[version], &server, Some((&place, "phone")));
        for _ in 0..2 {
            let mut stream = open(&server, &config);
            assert!(asks(&mut stream, "/v1/models"));
            assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(stream.conn.tls13_tickets_received(), 0);
        }
    }
}

#[test]
fn a_revoked_certificate_ends_its_open_connections() {
    let place = Place::new();
    run(&mut place.skep(&["ca", "init", "-q"])).exits(0);
    for name in ["phone", "lost"] {
        run(&mut place.skep(&["ca", "issue", name, "-q"])).exits(0);
    }
    let ca = place.home().join("ca/ca.crt");
    let flags = ["--client-ca", ca.to_str().unwrap(), "--idle-timeout", "60s"];
    let server = Served::start_in(&place, &flags);
    let mut phone = open(&server, &client(&server, Some((&place, "phone"))));
    let lost_config = client(&server, Some((&place, "lost")));
    let mut lost = open(&server, &lost_config);
    assert!(asks(&mut phone, "/v1/models") && asks(&mut lost, "/v1/models"));

    run(&mut place.skep(&["ca", "revoke", "lost"])).exits(0);
    // The server looks at the list when somebody comes.
    until(|| !asks(&mut open(&server, &lost_config), "/v1/models"));
    assert!(
        !asks(&mut lost, "/v1/models"),
        "revoked, and still answered"
    );
    assert!(
        asks(&mut phone, "/v1/models"),
        "who was not revoked goes on"
    );
}
