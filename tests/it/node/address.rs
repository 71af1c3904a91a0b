// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every form of address can be bound, is reported as it is bound, and can be called.

#![allow(clippy::unwrap_used, reason = "a test may end by panic")]

use crate::support::process::{Place, run};
use crate::support::served::Served;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use skep::client::{Client, ClientOptions};
use skep::{
    Address, ErrorKind, Request, Response, Server, ServerHandle, ServerOptions, Status, TempServer,
};

use crate::http::embed::{self, get};

fn whoami(request: &mut Request<'_>) -> Response {
    Response::text(Status::OK, format!("{:?}", request.peer().unix))
}

fn start(address: &str) -> TempServer {
    embed::start(address, ServerOptions::default(), whoami)
}

fn refused(address: &str) -> skep::Error {
    let error = Server::bind(address, whoami).err().expect(address);
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    error
}

fn answers(server: &ServerHandle) -> bool {
    get(&mut embed::client_of(server), "/").status() == 200
}

#[test]
fn the_common_binds_resolve_port_0() {
    for (address, url) in [
        ("127.0.0.1:0", "http://127.0.0.1:"),
        ("0.0.0.0:0", "http://127.0.0.1:"),
        ("[::1]:0", "http://[::1]:"),
        ("[::]:0", "http://[::1]:"),
    ] {
        let server = start(address);
        let Address::Ip(bound) = server.address() else {
            panic!("{address}")
        };
        assert_ne!(bound.port(), 0);
        assert_eq!(server.url(), format!("{url}{}", bound.port()));
        assert!(answers(&server), "{address}");
        let again: Address = server.address().to_string().parse().unwrap();
        assert_eq!(again, *server.address());
        assert!(refused(&again.to_string()).message().contains("in use"));
    }
}

#[test]
#[cfg_attr(not(has_link_local), ignore = "no interface has such an address")]
fn a_link_local_address_needs_its_scope() {
    // Address, index, length of prefix, scope (0x20: link-local), flags and name (proc(5)).
    let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows
        .into_iter()
        .find(|row| row.len() == 6 && row[3] == "20")
        .unwrap();
    let bits = u128::from_str_radix(row[0], 16).unwrap();
    let (ip, name) = (std::net::Ipv6Addr::from_bits(bits), row[5]);
    let index = u32::from_str_radix(row[1], 16).unwrap();
    for scope in [name.to_owned(), index.to_string()] {
        let server = start(&format!("[{ip}%{scope}]:0"));
        let Address::Ip(bound) = server.address() else {
            panic!("{scope}")
        };
        assert!(
            bound.to_string().starts_with(&format!("[{ip}%{index}]:")),
            "{bound}"
        );
        let mut line = TcpStream::connect(bound).unwrap();
        line.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

        // What the server prints is what a client takes; the name is as good as the number.
        assert!(answers(&server), "{}", server.url());
        let by_name = format!("http://[{ip}%{name}]:{}", bound.port());
        let options = ClientOptions::new(by_name.parse().unwrap());
        let mut client = Client::new(options).unwrap();
        assert_eq!(get(&mut client, "/").status(), 200);
    }
}

#[test]
fn one_address_stands_for_all_of_both_families() {
    let who = |request: &mut Request<'_>| {
        Response::text(Status::OK, request.peer().address.unwrap().ip().to_string())
    };
    let server = embed::start("*:0", ServerOptions::default(), who);
    let url = server.url();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let port = url.rsplit(':').next().unwrap().to_owned();
    assert!(refused(&format!("*:{port}")).message().contains("in use"));

    let ask = |host: &str| {
        let options = ClientOptions::new(format!("http://{host}:{port}").parse().unwrap());
        let mut client = Client::new(options).unwrap();
        String::from_utf8(get(&mut client, "/").read_all(100).unwrap()).unwrap()
    };
    // A caller of IPv4 is not written as one of IPv6, whatever the socket is.
    assert_eq!(ask("127.0.0.1"), "127.0.0.1");
    match server.address() {
        Address::Everywhere(_) => assert_eq!(ask("[::1]"), "::1"),
        fallback => assert_eq!(fallback.to_string(), format!("0.0.0.0:{port}")),
    }
}

#[test]
fn a_socket_in_the_file_system_knows_its_callers_and_goes_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = format!("unix:{}", path.display());
    let server = start(&address);
    assert_eq!(server.address().to_string(), address);
    assert_eq!(server.url(), address);
    let told = get(&mut embed::client_of(&server), "/")
        .read_all(1000)
        .unwrap();
    let (process, user) = (std::process::id(), rustix::process::getuid().as_raw());
    let group = rustix::process::getgid().as_raw();
    let expected = skep::UnixCredentials {
        process: process.cast_signed(),
        user,
        group,
    };
    assert_eq!(
        String::from_utf8(told).unwrap(),
        format!("{:?}", Some(expected))
    );
    assert!(refused(&address).message().contains("listens"));
    assert!(answers(&server));
    drop(server);
    assert!(!path.exists());
}

#[test]
fn only_a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = format!("unix:{}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    assert!(answers(&start(&address)));
    fs::write(&path, "mine").unwrap();
    assert!(refused(&address).message().contains("something else"));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert!(
        refused("unix:/nowhere/at/all")
            .message()
            .contains("cannot listen on unix:/nowhere")
    );
}

#[test]
fn an_automatic_socket_has_a_folder_of_its_own() {
    let server = start("unix:auto");
    let Address::Unix(path) = server.address().clone() else {
        panic!()
    };
    assert!(answers(&server));
    let folder = path.parent().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&folder.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    drop(server);
    assert!(!folder.exists());
}

#[test]
fn abstract_names_are_given_or_chosen_by_the_kernel() {
    let name = format!("skep test {}", std::process::id());
    let server = start(&format!("unix:@{name}"));
    assert_eq!(
        *server.address(),
        Address::Abstract(name.clone().into_bytes())
    );
    assert_eq!(
        server.url(),
        format!("unix:@{}", name.replace(' ', r"\x20"))
    );
    assert!(
        refused(&format!("unix:@{name}"))
            .message()
            .contains("in use")
    );
    let (one, other) = (start("unix:@"), start("unix:@"));
    for chosen in [&one, &other] {
        // Five hexadecimal digits (unix(7), autobind).
        assert_eq!(chosen.url().len(), "unix:@00022".len(), "{}", chosen.url());
        assert!(answers(chosen));
    }
    assert_ne!(one.url(), other.url());
}

#[test]
fn several_addresses_are_served_by_one_server() {
    let addresses = ["127.0.0.1:0", "unix:@", "[::1]:0"].map(|text| text.parse().unwrap());
    let handed = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut options = ServerOptions::default();
    options.sockets = vec![handed];
    let server = Server::with_options(&addresses, options, whoami).unwrap();
    let urls = server.urls();
    assert_eq!(urls.len(), 4);
    let handle = server.start().unwrap();
    for url in urls {
        let mut client = Client::new(ClientOptions::new(url.parse().unwrap())).unwrap();
        assert_eq!(get(&mut client, "/").status(), 200, "{url}");
    }
    handle.shutdown();
    handle.join().unwrap();
}

#[test]
fn a_descriptor_is_taken_over_by_its_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = start(&format!("fd:{}", listener.as_raw_fd()));
    assert_eq!(
        server.url(),
        format!("http://{}", listener.local_addr().unwrap())
    );
    assert!(answers(&server));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = start(&format!("fd:{}", listener.as_raw_fd()));
    assert_eq!(server.url(), format!("unix:{}", path.display()));
    assert!(answers(&server));
    drop(server);
    // It was not ours to remove.
    assert!(path.exists());
}

#[test]
fn a_descriptor_that_does_not_do_is_refused() {
    let (connected, _other) = UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in [
        connected.as_raw_fd(),
        file.as_raw_fd(),
        datagrams.as_raw_fd(),
    ] {
        let error = refused(&format!("fd:{number}"));
        assert!(error.message().contains("is not a s"), "{error}");
    }
    assert!(
        refused("fd:999999")
            .message()
            .contains("cannot listen on fd:999999")
    );
}

/// The real server, started by a shell that puts what is its standard input where it belongs.
struct Started {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Started {
    fn new(shell: &str, socket: Stdio, home: &Path, more: &[&str]) -> Self {
        let mut child = Command::new("sh")
            .args([
                "-c",
                shell,
                env!("CARGO_BIN_EXE_skep"),
                "serve",
                "--plain",
                "--quiet",
            ])
            .args(more)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SKEP_HOME", home)
            .env("SKEP_DIR", home.join("models"))
            .stdin(socket)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The URL in the line that says that it is ready.
    fn url(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let url = line
            .strip_prefix("skep ready ")
            .and_then(|rest| rest.split(' ').next());
        url.unwrap_or_else(|| panic!("{line:?}")).to_owned()
    }

    fn end(&mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_healthy(url: &str) -> bool {
    let mut client = Client::new(ClientOptions::new(url.parse().unwrap())).unwrap();
    get(&mut client, "/healthz").status() == 200
}

/// What systemd does for a socket unit.
const ACTIVATE: &str =
    "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";

const AS_DESCRIPTOR_7: &str = "exec 7<&0 0</dev/null; exec \"$0\" \"$@\"";

const AS_IT_IS: &str = "exec \"$0\" \"$@\"";

#[test]
fn the_binary_takes_over_sockets() {
    for (shell, more) in [
        (ACTIVATE, &[][..]),
        (ACTIVATE, &["systemd:"]),
        (AS_DESCRIPTOR_7, &["fd:7"]),
        (AS_IT_IS, &["fd:0"]),
    ] {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Whoever calls before the server is up is answered once it is.
        let mut early = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        early.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
        let socket = OwnedFd::from(listener);
        let mut server = Started::new(shell, socket.into(), home.path(), more);
        assert_eq!(server.url(), url, "{more:?}");
        let mut answer = String::new();
        early.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(is_healthy(&url));
        server.end();
    }
}

#[test]
fn the_binary_takes_over_a_unix_socket_beside_an_address_and_tells_a_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("socket");
    let socket = OwnedFd::from(UnixListener::bind(&path).unwrap());
    let told = home.path().join("urls");
    let more = [
        "systemd:",
        "127.0.0.1:0",
        "unix:auto",
        "--write-addr",
        told.to_str().unwrap(),
    ];
    let mut server = Started::new(ACTIVATE, socket.into(), home.path(), &more);
    let first = server.url();
    assert!(first.starts_with("http://127.0.0.1:"), "{first}");
    let text = fs::read_to_string(told).unwrap();
    let urls: Vec<_> = text.lines().collect();
    assert_eq!((urls.len(), urls[0]), (3, &*first), "{text:?}");
    assert_eq!(urls[2], format!("unix:{}", path.display()));
    assert!(urls.iter().all(|url| is_healthy(url)));
    server.end();
    assert!(!Path::new(urls[1].strip_prefix("unix:").unwrap()).exists());
    assert!(path.exists());
}

#[test]
fn systemd_as_an_address_needs_systemd() {
    let home = tempfile::tempdir().unwrap();
    for wrong in [
        AS_IT_IS,
        "export LISTEN_FDS=1 LISTEN_PID=1; exec \"$0\" \"$@\"",
    ] {
        let more = ["systemd:"];
        let mut server = Started::new(wrong, Stdio::null(), home.path(), &more);
        assert_eq!(server.child.wait().unwrap().code(), Some(2));
    }
}

#[test]
fn one_node_speaks_plain_http_beside_tls() {
    let place = Place::new();
    place.file("m", b"m");
    let file = place.path("urls");
    let text = file.display().to_string();
    let server = Served::start_in(&place, &["http://127.0.0.1:0", "--write-addr", &text]);

    let urls = fs::read_to_string(&file).unwrap();
    let schemes: Vec<_> = urls
        .lines()
        .filter_map(|url| url.split(':').next())
        .collect();
    assert_eq!(schemes, ["https", "http"]);
    server.skep(&["put", "m"]).exits(0);
    for url in urls.lines() {
        server.skep(&["ls", "--server", url]).exits(0);
    }
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_unix_socket_speaks_what_its_address_says_and_nothing_else() {
    let place = Place::new();
    place.file("m", b"m");
    let sockets = ["bare", "http", "https"].map(|name| place.path(name));
    let addresses = ["", "http://", "https://"].map(|scheme| {
        let name = scheme.strip_suffix("://").unwrap_or("bare");
        format!("{scheme}unix:{}", place.path(name).display())
    });
    let server = Served::start_in(&place, &addresses.each_ref().map(String::as_str));
    assert!(server.url.starts_with("https://127.0.0.1:"));

    let status = |socket: &Path, url: &str| {
        let mut command = place.command("curl");
        command.args(["-q", "-s", "-k", "-o", "/dev/null", "-w", "%{http_code}"]);
        command.arg("--unix-socket").arg(socket);
        run(command.arg(format!("{url}/healthz"))).text()
    };
    for (socket, plain, tls) in [
        (&sockets[0], "200", "000"),
        (&sockets[1], "200", "000"),
        (&sockets[2], "400", "200"),
    ] {
        let name = socket.display();
        assert_eq!(status(socket, "http://localhost"), plain, "{name}");
        assert_eq!(status(socket, "https://localhost"), tls, "{name}");
    }
    // What the client takes is the same.
    for address in &addresses[..2] {
        server.skep(&["put", "m", "--server", address]).exits(0);
    }
    server.stop().exits(0);

    // Plain HTTP leads nobody past a certificate, unless the address says so.
    run(&mut place.skep(&["ca", "init"])).exits(0);
    let ca = place.home().join("ca/ca.crt").display().to_string();
    let asking = [&addresses[0], &addresses[1], "--client-ca", &ca];
    let server = Served::start_in(&place, &asking);
    assert_eq!(status(&sockets[0], "http://localhost"), "400");
    assert_eq!(status(&sockets[1], "http://localhost"), "200");
    server.stop().exits(0);
}
