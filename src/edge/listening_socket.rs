// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One listening socket of any family: bound by us, or inherited from whoever started us.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, sockopt,
};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};

use crate::address::{Address, Scheme};
use crate::disk::{self, PrivateDirectory, SocketFile};
use crate::edge::socket::{Socket, UNSENT_BYTES_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Peer, UnixCredentials};

/// A socket that listens, and the address it really has.
pub(crate) struct Door {
    listener: Family,
    address: Address,
    scheme: Scheme,
    /// What goes from the disk with this socket, in this order.
    _files: (Option<SocketFile>, Option<PrivateDirectory>),
}

enum Family {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    /// The same socket, on which this is spoken.
    pub(crate) fn speaking(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// What is spoken on it.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Binds an address, or takes over the socket that it names.
    ///
    /// # Errors
    /// `Usage` with the reason.
    pub(crate) fn open(address: &Address) -> Result<Self> {
        let explained = |error: io::Error| cannot_listen(address, error);
        match address {
            Address::Ip(ip) => bind_ip(*ip, FamilySet::Own)
                .and_then(|socket| Self::new(Family::Tcp(socket)))
                .map_err(explained),
            Address::Everywhere(port) => Self::everywhere(*port).map_err(explained),
            Address::Unix(path) => Self::at_path(path).map_err(explained),
            Address::UnixAuto => {
                let (folder, mut door) = in_new_folder().map_err(explained)?;
                door._files.1 = Some(folder);
                Ok(door)
            }
            Address::Abstract(name) => {
                let listener = bind_abstract(name).map_err(explained)?;
                Self::new(Family::Unix(listener)).map_err(explained)
            }
            Address::Descriptor(number) => Self::adopt(inherited(*number).map_err(explained)?)
                .map_err(|error| {
                    let text = format!("cannot listen on {address}: {}", error.message());
                    Error::new(ErrorKind::Usage, text)
                }),
        }
    }

    /// Takes over a socket that listens already. It is made non-blocking, also for others that have
    /// it open.
    ///
    /// # Errors
    /// `Usage` if it is not a listening stream socket of a family that is known here.
    pub(crate) fn adopt(socket: OwnedFd) -> Result<Self> {
        let unfit = |why: &str| {
            Error::new(
                ErrorKind::Usage,
                format!("the inherited descriptor is not {why}"),
            )
        };

        let family = sockopt::socket_domain(&socket).map_err(|_| unfit("a socket"))?;
        if sockopt::socket_type(&socket) != Ok(SocketType::STREAM)
            || sockopt::socket_acceptconn(&socket) != Ok(true)
        {
            return Err(unfit("a stream socket that listens"));
        }

        let listener = match family {
            AddressFamily::INET | AddressFamily::INET6 => Family::Tcp(socket.into()),
            AddressFamily::UNIX => Family::Unix(socket.into()),
            _ => return Err(unfit("a socket for IPv4, IPv6 or local callers")),
        };

        Self::new(listener).map_err(|error| Error::io("taking over a socket", error))
    }

    fn new(listener: Family) -> io::Result<Self> {
        let address = match &listener {
            Family::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                // Connections inherit it (tcp(7)), which saves a system call for each of them.
                sockopt::set_tcp_nodelay(listener, true)?;
                // It works without, only that slow readers then cost more memory.
                let _ = SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
                Address::Ip(listener.local_addr()?)
            }
            Family::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let bound = SocketAddrUnix::try_from(rustix::net::getsockname(listener)?)?;
                match (bound.abstract_name(), bound.path_bytes()) {
                    (Some(name), _) => Address::Abstract(name.to_vec()),
                    (None, Some(path)) => Address::Unix(path_of(path)),
                    (None, None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
                }
            }
        };

        Ok(Self {
            listener,
            address,
            // Whoever opens it says what is spoken.
            scheme: Scheme::Http,
            _files: (None, None),
        })
    }

    /// Listens on all addresses: on one socket of IPv6, which takes callers of IPv4 as well.
    fn everywhere(port: u16) -> io::Result<Self> {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));

        match bind_ip(both, FamilySet::Both) {
            Ok(socket) => {
                let port = socket.local_addr()?.port();
                let door = Self::new(Family::Tcp(socket))?;
                Ok(Self {
                    address: Address::Everywhere(port),
                    ..door
                })
            }
            // Without IPv6 in the kernel, or with IPv6 switched off, as containers often have it.
            Err(error) if knows_no_ipv6(&error) => {
                log::debug!("there is no IPv6: {error}");
                let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                Self::new(Family::Tcp(bind_ip(all, FamilySet::Own)?))
            }
            Err(error) => Err(error),
        }
    }

    fn at_path(path: &Path) -> io::Result<Self> {
        let (listener, file) = SocketFile::bind(path, |path| UnixListener::bind(path))?;
        let door = Self::new(Family::Unix(listener))?;
        Ok(Self {
            _files: (Some(file), None),
            ..door
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The socket itself.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.listener {
            Family::Tcp(listener) => listener.as_fd(),
            Family::Unix(listener) => listener.as_fd(),
        }
    }

    /// Accepts a connection, whose reads and writes do not wait.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Peer)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (accepted, address) = acceptfrom_with(self.descriptor(), flags)?;

        match &self.listener {
            Family::Tcp(_) => {
                let address = SocketAddr::try_from(address.ok_or(Errno::CONNABORTED)?)?;
                let peer = Peer {
                    // A caller of IPv4 is the same one on a socket of both families.
                    address: Some(canonical(address)),
                    ..Peer::default()
                };
                Ok((Socket::Tcp(accepted.into()), peer))
            }
            Family::Unix(_) => {
                let stream = UnixStream::from(accepted);
                let peer = Peer {
                    unix: credentials(&stream),
                    ..Peer::default()
                };
                Ok((Socket::Unix(stream), peer))
            }
        }
    }
}

/// Which callers a socket of IPv6 takes.
#[derive(Clone, Copy, PartialEq)]
enum FamilySet {
    /// What the system says (bindv6only).
    Own,
    /// Those of IPv4, too.
    Both,
}

fn bind_ip(address: SocketAddr, families: FamilySet) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;

    if families == FamilySet::Both {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;

    Ok(socket.into())
}

fn knows_no_ipv6(error: &io::Error) -> bool {
    const REASONS: &[Errno] = &[
        Errno::AFNOSUPPORT,
        Errno::ADDRNOTAVAIL,
        Errno::PROTONOSUPPORT,
        Errno::NOPROTOOPT,
        Errno::INVAL,
    ];

    REASONS
        .iter()
        .any(|reason| error.raw_os_error() == Some(reason.raw_os_error()))
}

/// An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) as what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        // The interface of a link-local address stays.
        IpAddr::V6(_) => address,
    }
}

fn path_of(bytes: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

fn in_new_folder() -> io::Result<(PrivateDirectory, Door)> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in disk::temporary_folders(Vec::new()) {
        let made = PrivateDirectory::create(&folder).and_then(|folder| {
            Door::at_path(&folder.path().join("socket")).map(|door| (folder, door))
        });
        match made {
            Ok(made) => return Ok(made),
            Err(error) => last = error,
        }
    }

    Err(last)
}

/// Binds a name that has no file; an empty one is chosen by the kernel (autobind, unix(7)).
fn bind_abstract(name: &[u8]) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = match name {
        [] => SocketAddrUnix::new_unnamed(),
        name => SocketAddrUnix::new_abstract_name(name)?,
    };
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// A descriptor of this process by its number, as a duplicate, since a number alone does not say who
/// owns it: the one that was inherited stays open as long as this process runs. Standard input can
/// always be had; for others Linux 5.6 is needed (`pidfd_getfd`), and that no filter of system calls
/// forbids it, as those of Android and of many systemd units do.
fn inherited(number: i32) -> io::Result<OwnedFd> {
    match number {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        _ => duplicate(number),
    }
}

#[cfg(target_os = "linux")]
fn duplicate(number: i32) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn duplicate(_: i32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

fn credentials(stream: &UnixStream) -> Option<UnixCredentials> {
    let of = sockopt::socket_peercred(stream).ok()?;
    Some(UnixCredentials {
        process: of.pid.as_raw_nonzero().get(),
        user: of.uid.as_raw(),
        group: of.gid.as_raw(),
    })
}

fn cannot_listen(address: &Address, error: io::Error) -> Error {
    let is_ip = matches!(address, Address::Ip(_) | Address::Everywhere(_));
    let own_words = error.get_ref().map(ToString::to_string);

    let (reason, hint) = match error.kind() {
        io::ErrorKind::AddrInUse if is_ip => (
            "it is in use already",
            "stop the other program, or choose another port with --port (0 takes a free one)",
        ),
        io::ErrorKind::AddrInUse => (
            own_words.as_deref().unwrap_or("it is in use already"),
            "stop that server, or choose another name (unix:auto makes one)",
        ),
        io::ErrorKind::ResourceBusy => (
            "another server is starting there",
            "try again, or choose another name",
        ),
        io::ErrorKind::PermissionDenied if is_ip => (
            "permission denied",
            "ports below 1024 are for the system; try --port 8443",
        ),
        io::ErrorKind::AddrNotAvailable if is_ip => (
            "this device has no such address",
            "* listens on all addresses",
        ),
        _ => {
            let inner = Error::io(format!("cannot listen on {address}"), error);
            let error = Error::new(ErrorKind::Usage, inner.message());
            return match address {
                Address::Descriptor(_) => error
                    .hint("is it open? Linux 5.6 is needed; fd:0 (standard input) always works"),
                _ => error,
            };
        }
    };

    Error::new(
        ErrorKind::Usage,
        format!("cannot listen on {address}: {reason}"),
    )
    .hint(hint)
    .because(error)
}

/// How many callers wait to be accepted. The one for whom there is no room tries again after a second, so
/// there is room for those who come at once; the kernel keeps to its own bound (`somaxconn`).
const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn no_connection_is_handed_to_children_or_waited_for() {
        let door = Door::open(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Ip(address) = door.address() else {
            panic!("another address");
        };
        let _far = TcpStream::connect(address).unwrap();
        let (socket, _) = door.accept().unwrap();
        let flags = rustix::io::fcntl_getfd(socket.descriptor()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let flags = rustix::fs::fcntl_getfl(socket.descriptor()).unwrap();
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
    }

    #[test]
    fn a_port_that_is_taken_for_ipv6_is_not_opened_for_the_other_family_alone() {
        let taken = RawSocket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
        taken.set_only_v6(true).unwrap();
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        taken.bind(&any.into()).unwrap();
        taken.listen(1).unwrap();
        let port = taken.local_addr().unwrap().as_socket().unwrap().port();
        let error = Door::everywhere(port).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn without_ipv6_the_other_family_is_enough() {
        assert!(knows_no_ipv6(&Errno::AFNOSUPPORT.into()));
        assert!(knows_no_ipv6(&Errno::ADDRNOTAVAIL.into()));
        assert!(!knows_no_ipv6(&Errno::ADDRINUSE.into()));
        assert!(!knows_no_ipv6(&Errno::ACCESS.into()));
    }

    #[test]
    fn why_an_address_cannot_be_had_is_told_with_what_helps() {
        let ip = Address::Ip("127.0.0.1:80".parse().unwrap());
        let socket = Address::Unix("/s".into());
        let in_words = || io::Error::new(io::ErrorKind::AddrInUse, "the server 7 has it");
        for (address, error, reason, hint) in [
            (&ip, Errno::ADDRINUSE.into(), "in use already", "--port"),
            (
                &Address::Everywhere(1),
                Errno::ADDRINUSE.into(),
                "in use already",
                "--port",
            ),
            (
                &socket,
                Errno::ADDRINUSE.into(),
                "in use already",
                "unix:auto",
            ),
            (&socket, in_words(), "the server 7 has it", "unix:auto"),
            (
                &socket,
                Errno::BUSY.into(),
                "another server is starting",
                "try again",
            ),
            (
                &ip,
                Errno::ACCESS.into(),
                "permission denied",
                "--port 8443",
            ),
            (
                &ip,
                Errno::ADDRNOTAVAIL.into(),
                "no such address",
                "all addresses",
            ),
            (
                &Address::Descriptor(3),
                Errno::BADF.into(),
                "fd:3",
                "is it open?",
            ),
        ] {
            let ours = cannot_listen(address, error);
            assert_eq!(ours.kind(), ErrorKind::Usage);
            assert!(ours.message().contains(reason), "{ours}");
            assert!(ours.hint_text().unwrap().contains(hint), "{ours}");
        }
        let foreign = cannot_listen(&socket, Errno::ACCESS.into());
        assert_eq!(
            (foreign.kind(), foreign.hint_text()),
            (ErrorKind::Usage, None)
        );
    }

    #[test]
    fn a_caller_of_ipv4_is_one_whatever_socket_takes_it() {
        let shown = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(shown("[::ffff:192.0.2.1]:7"), "192.0.2.1:7");
        assert_eq!(shown("192.0.2.1:7"), "192.0.2.1:7");
        assert_eq!(shown("[fe80::1%3]:7"), "[fe80::1%3]:7");
    }
}
