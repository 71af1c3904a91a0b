// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS for embedders: who is let in by certificate, and that letting everybody in has to be said.

#![allow(clippy::unwrap_used, reason = "a test may end by panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use skep::client::{Client, ClientCertificate, ClientOptions, Payload, Trust};
use skep::{ErrorKind, Request, Response, Server, ServerOptions, Status, TempServer, TlsOptions};

use crate::http::embed::{self, get};

/// An authority, whose certificate is a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let file = directory.join(format!("{name}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A certificate and its key in files, and the certificate in DER.
    fn sign(&self, directory: &Path, name: &str) -> (ClientCertificate, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let cert_file = directory.join(format!("{name}.crt"));
        let key_file = directory.join(format!("{name}.key"));
        fs::write(&cert_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        (
            ClientCertificate {
                cert_file,
                key_file,
            },
            certificate.der().to_vec(),
        )
    }
}

struct World {
    directory: tempfile::TempDir,
    ours: Authority,
    other: Authority,
    server: ClientCertificate,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ours = Authority::new(directory.path(), "ours");
        let other = Authority::new(directory.path(), "other");
        let (server, _) = ours.sign(directory.path(), "server");
        Self {
            directory,
            ours,
            other,
            server,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// TLS with the certificate of the server and nothing said about callers.
    fn tls(&self) -> TlsOptions {
        let ClientCertificate {
            cert_file,
            key_file,
        } = self.server.clone();
        TlsOptions {
            cert_file,
            key_file,
            ..TlsOptions::default()
        }
    }
}

/// Answers with the certificate of the caller, or with their name.
fn whoami(request: &mut Request<'_>) -> Response {
    let tls = request.peer().tls.as_ref();
    if request.path() == "/name" {
        let name = tls.and_then(|tls| tls.name.clone());
        return Response::text(Status::OK, name.unwrap_or_default());
    }

    let certificate = tls.and_then(|tls| tls.certificate.clone());
    Response::new(Status::OK).content(skep::Content::Bytes(certificate.unwrap_or_default()))
}

fn start(tls: TlsOptions) -> TempServer {
    start_at("127.0.0.1:0", tls)
}

fn start_at(address: &str, tls: TlsOptions) -> TempServer {
    let mut options = ServerOptions::default();
    options.tls = Some(tls);
    embed::start(address, options, whoami)
}

fn client(server: &TempServer, certificate: Option<ClientCertificate>) -> Client {
    let mut options = ClientOptions::new(server.url().parse().unwrap());
    options.trust = Trust::Anything;
    options.certificate = certificate;
    Client::new(options).unwrap()
}

#[test]
fn callers_are_let_in_by_the_authorities_that_are_named() {
    let world = World::new();
    let (right, der) = world.ours.sign(world.path(), "right");
    let (wrong, _) = world.other.sign(world.path(), "wrong");
    let directory = world.path().join("authorities");
    fs::create_dir(&directory).unwrap();
    // An authority of the same name, which is not the same.
    let elsewhere = tempfile::tempdir().unwrap();
    let (forged, _) = Authority::new(elsewhere.path(), "ours").sign(elsewhere.path(), "forged");
    std::os::unix::fs::symlink(&world.ours.file, directory.join("12345678.0")).unwrap();
    fs::write(directory.join("README"), "Authorities of callers.\n").unwrap();
    let by_file = TlsOptions {
        ca_file: Some(world.ours.file.clone()),
        ..world.tls()
    };
    let by_path = TlsOptions {
        ca_path: Some(directory),
        ..world.tls()
    };
    for tls in [by_file, by_path] {
        let server = start(tls);
        assert!(server.url().starts_with("https://"));
        let mut known = client(&server, Some(right.clone()));
        assert_eq!(get(&mut known, "/").read_all(1 << 16).unwrap(), der);
        // The common name that rcgen gives to each certificate is another one.
        assert_eq!(get(&mut known, "/name").read_all(100).unwrap(), b"right");
        for stranger in [None, Some(wrong.clone()), Some(forged.clone())] {
            let mut stranger = client(&server, stranger);
            for payload in [Payload::Empty, Payload::Bytes(&[0; 40_000])] {
                let refused = stranger.request("POST", "/", &[], payload).err().unwrap();
                assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
            }
        }
        // Those that were refused took nothing with them.
        assert_eq!(get(&mut known, "/").status(), 200);
    }
}

#[test]
fn a_server_shows_its_tls_options() {
    let world = World::new();
    let mut options = ServerOptions::default();
    options.tls = Some(TlsOptions {
        ca_file: Some(world.ours.file.clone()),
        ..world.tls()
    });
    let given = options.tls.clone();
    let addresses = ["127.0.0.1:0".parse().unwrap()];
    let server = Server::with_options(&addresses, options, whoami).unwrap();
    assert_eq!(server.tls(), given.as_ref());
}

#[test]
fn a_ready_configuration_serves() {
    let world = World::new();
    let tls = world.tls();
    let certificate = CertificateDer::from_pem_file(&tls.cert_file).unwrap();
    let key = PrivateKeyDer::from_pem_file(&tls.key_file).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();

    let config = Arc::new(config);
    let mut options = ServerOptions::default();
    options.tls_config = Some(Arc::clone(&config));
    let addresses = ["127.0.0.1:0".parse().unwrap()];
    let hello = |_: &mut Request<'_>| Response::text(Status::OK, "ready");
    let server = Server::with_options(&addresses, options, hello).unwrap();
    assert!(server.url().starts_with("https://"));
    let server = TempServer::start(server).unwrap();
    let mut caller = client(&server, None);
    assert_eq!(get(&mut caller, "/").read_all(100).unwrap(), b"ready");

    let mut both = ServerOptions::default();
    both.tls = Some(TlsOptions {
        allow_unauthenticated_clients: true,
        ..world.tls()
    });
    both.tls_config = Some(config);
    let refused = Server::with_options(&["127.0.0.1:0".parse().unwrap()], both, hello);
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Usage);
}

#[test]
fn both_authorities_count() {
    let world = World::new();
    let directory = world.path().join("authorities");
    fs::create_dir(&directory).unwrap();
    fs::copy(&world.other.file, directory.join("other.pem")).unwrap();
    let (ca_file, ca_path) = (Some(world.ours.file.clone()), Some(directory));
    let server = start(TlsOptions {
        ca_file,
        ca_path,
        ..world.tls()
    });
    for authority in [&world.ours, &world.other] {
        let (certificate, der) = authority.sign(world.path(), "caller");
        let mut caller = client(&server, Some(certificate));
        assert_eq!(get(&mut caller, "/").read_all(1 << 16).unwrap(), der);
    }
}

#[test]
fn everybody_is_let_in_only_where_that_is_said() {
    let world = World::new();
    let server = start(TlsOptions {
        allow_unauthenticated_clients: true,
        ..world.tls()
    });
    let (certificate, _) = world.ours.sign(world.path(), "caller");
    for shown in [None, Some(certificate)] {
        let mut caller = client(&server, shown);
        // Nobody asked for it, so it was not shown.
        assert_eq!(get(&mut caller, "/").read_all(1 << 16).unwrap(), b"");
    }
}

#[test]
fn on_a_unix_socket_tls_is_only_for_those_who_have_to_show_something() {
    let world = World::new();
    let open = TlsOptions {
        allow_unauthenticated_clients: true,
        ..world.tls()
    };
    let server = start_at("unix:auto", open);
    assert_eq!(get(&mut embed::client_of(&server), "/").status(), 200);
    let closed = TlsOptions {
        ca_file: Some(world.ours.file.clone()),
        ..world.tls()
    };
    let server = start_at("unix:auto", closed);
    let answer = get(&mut embed::client_of(&server), "/");
    assert_eq!(answer.status(), 400);
    assert!(
        answer
            .read_all(1000)
            .unwrap()
            .starts_with(b"This port speaks HTTPS")
    );
}

#[test]
fn options_that_do_not_do_are_named() {
    let world = World::new();
    let open = TlsOptions {
        allow_unauthenticated_clients: true,
        ..world.tls()
    };
    let nowhere = || Some(world.path().join("nowhere"));
    let empty = world.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (stranger, _) = world.ours.sign(world.path(), "stranger");
    for (name, options) in [
        ("neither ca_file nor ca_path", world.tls()),
        (
            "contradicts",
            TlsOptions {
                ca_file: Some(world.ours.file.clone()),
                ..open.clone()
            },
        ),
        (
            "contradicts",
            TlsOptions {
                ca_path: Some(empty.clone()),
                ..open.clone()
            },
        ),
        (
            "cert_file is missing",
            TlsOptions {
                cert_file: PathBuf::new(),
                ..open.clone()
            },
        ),
        (
            "key_file is missing",
            TlsOptions {
                key_file: PathBuf::new(),
                ..open.clone()
            },
        ),
        (
            "cert_file",
            TlsOptions {
                cert_file: nowhere().unwrap(),
                ..open.clone()
            },
        ),
        (
            "key_file",
            TlsOptions {
                key_file: nowhere().unwrap(),
                ..open.clone()
            },
        ),
        (
            "key_file",
            TlsOptions {
                key_file: open.cert_file.clone(),
                ..open.clone()
            },
        ),
        (
            "cert_file",
            TlsOptions {
                cert_file: open.key_file.clone(),
                ..open.clone()
            },
        ),
        (
            "is not the key of",
            TlsOptions {
                key_file: stranger.key_file,
                ..open.clone()
            },
        ),
        (
            "ca_file",
            TlsOptions {
                ca_file: nowhere(),
                ..world.tls()
            },
        ),
        (
            "ca_file",
            TlsOptions {
                ca_file: Some(open.key_file.clone()),
                ..world.tls()
            },
        ),
        (
            "ca_path",
            TlsOptions {
                ca_path: nowhere(),
                ..world.tls()
            },
        ),
        (
            "ca_path",
            TlsOptions {
                ca_path: Some(empty),
                ..world.tls()
            },
        ),
    ] {
        let mut all = ServerOptions::default();
        all.tls = Some(options);
        let addresses = ["127.0.0.1:0".parse().unwrap()];
        let error = Server::with_options(&addresses, all, whoami)
            .err()
            .expect(name);
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
        assert!(error.message().contains(name), "{name}: {error}");
    }
}
