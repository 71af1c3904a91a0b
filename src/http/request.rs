// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request as a handler sees it.

use std::any::Any;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use super::head::{Fields, Head, Method, Version};
use super::pool::HeldPlaces;
use super::response::Status;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Peer;
use crate::waiting::Rank;

/// A request: its head, who sent it, the session of its connection, and its body.
///
/// It can be made of parts, so that a handler is tested without a socket:
///
/// ```
/// use skep::{Body, Head, Peer, Request, Session};
///
/// let head = Head::parse(b"GET /a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
/// let (peer, mut session, mut nothing) = (Peer::default(), Session::default(), std::io::empty());
/// let request = Request::new(&head, &peer, &mut session, Body::new(&mut nothing, Some(0)));
/// assert_eq!(request.segments(), ["a", "b"]);
/// assert_eq!(request.query(), Some("c=d"));
/// ```
pub struct Request<'a> {
    head: &'a Head,
    segments: Vec<&'a str>,
    /// How many of them lead to the handler.
    mounted: usize,
    peer: &'a Peer,
    /// For whom the peer calls.
    stands_for: Option<Box<Peer>>,
    session: &'a mut Session,
    /// What it holds of the server; `None` if it was made of parts.
    places: Option<&'a mut HeldPlaces>,
    body: Body<'a>,
}

impl<'a> Request<'a> {
    /// A request made of its parts.
    pub fn new(head: &'a Head, peer: &'a Peer, session: &'a mut Session, body: Body<'a>) -> Self {
        let segments = head.segments.iter().map(String::as_str).collect();
        Self {
            head,
            segments,
            mounted: 0,
            peer,
            stands_for: None,
            session,
            places: None,
            body,
        }
    }

    /// The request of somebody who holds places.
    pub(crate) fn holding(mut self, places: &'a mut HeldPlaces) -> Self {
        self.places = Some(places);
        self
    }

    /// Says whose places it holds from now on.
    ///
    /// # Errors
    /// `TooManyRequests` if that caller has too many already.
    pub(crate) fn rank(&mut self, rank: Rank) -> Result<()> {
        match &mut self.places {
            Some(places) => places.rank(rank),
            None => Ok(()),
        }
    }

    /// The body, and the places that are held while it is read.
    pub(crate) fn body_and_places(&mut self) -> (&mut Body<'a>, Option<&mut HeldPlaces>) {
        (&mut self.body, self.places.as_deref_mut())
    }

    /// The method; the server turns HEAD into GET and sends no body.
    pub fn method(&self) -> Method {
        match self.head.method {
            Method::Head => Method::Get,
            other => other,
        }
    }

    /// Whether the caller sent HEAD, which [`Request::method`] shows as GET.
    pub(crate) fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    /// The target in origin form: path and query as they were sent.
    pub fn target(&self) -> &'a str {
        &self.head.target
    }

    /// The path as it was sent.
    pub fn path(&self) -> &'a str {
        self.head.target.split('?').next().unwrap_or_default()
    }

    /// The decoded segments of the path: `/a/b%20c` is `["a", "b c"]`, and `/` is `[""]`. Those that
    /// [`Request::shift`] has taken are not among them.
    pub fn segments(&self) -> &[&'a str] {
        &self.segments[self.mounted..]
    }

    /// The segments that lead to the handler which looks at the request now: those that
    /// [`Request::shift`] has taken, as CGI's `SCRIPT_NAME` has them (RFC 3875 section 4.1.13).
    pub fn script(&self) -> &[&'a str] {
        &self.segments[..self.mounted]
    }

    /// Takes the first segment of the path over into [`Request::script`], for a handler that is mounted
    /// below it; `None` if no segment is left.
    pub fn shift(&mut self) -> Option<&'a str> {
        let segment = *self.segments.get(self.mounted)?;
        self.mounted += 1;
        Some(segment)
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&'a str> {
        self.head.target.split_once('?').map(|(_, query)| query)
    }

    /// The fields.
    pub fn fields(&self) -> &'a Fields {
        &self.head.fields
    }

    /// Who sent it; behind a proxy that the handler trusts, whom that calls for.
    pub fn peer(&self) -> &Peer {
        self.stands_for.as_deref().unwrap_or(self.peer)
    }

    /// Who is at the other end of the connection, a proxy or not.
    pub(crate) fn connected_peer(&self) -> &'a Peer {
        self.peer
    }

    /// Has somebody else count as the caller.
    pub(crate) fn stand_for(&mut self, caller: Peer) {
        self.stands_for = Some(Box::new(caller));
    }

    /// The socket of the connection, for example to read its options or to wait until the caller leaves;
    /// `None` if the request was made of parts. Bytes that are read from it or written to it are lost
    /// to HTTP and, with TLS, break the connection.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.body.source {
            BodySource::Wire(wire) => wire.descriptor(),
            BodySource::Reader(_) => None,
        }
    }

    /// What this connection's requests share.
    pub fn session(&mut self) -> &mut Session {
        self.session
    }

    /// Writes an interim response (RFC 9110 section 15.2), where the caller can understand one and the
    /// request came over a connection; says whether it did. Control characters must not be in the
    /// values.
    ///
    /// # Errors
    /// Those of the connection, which is then of no use any more.
    pub(crate) fn inform(&mut self, status: Status, fields: &[(&str, String)]) -> io::Result<bool> {
        // A caller that speaks HTTP/1.0 would take an interim response for the answer.
        let wire = match &mut self.body.source {
            BodySource::Wire(wire) if self.head.version == Version::Http11 => wire,
            _ => return Ok(false),
        };

        let mut head = format!("HTTP/1.1 {} {}\r\n", status.0, status.reason());
        for (name, value) in fields {
            head.extend([*name, ": ", value, "\r\n"]);
        }

        head.push_str("\r\n");

        wire.inform(&head).map(|()| true)
    }

    /// What ends the reads of the body from another thread; `None` if there is no connection.
    pub(crate) fn interrupter(&self) -> Option<Box<dyn Fn() + Send>> {
        match &self.body.source {
            BodySource::Wire(wire) => Some(wire.interrupter()),
            BodySource::Reader(_) => None,
        }
    }

    /// The body. A caller that waits for a 100 (`Expect: 100-continue`) sends it when this is first
    /// read, so whatever can be refused without the body is checked before.
    pub fn body(&mut self) -> &mut Body<'a> {
        &mut self.body
    }
}

/// Where a body comes from.
enum BodySource<'a> {
    Reader(&'a mut (dyn Read + 'a)),
    Wire(&'a mut (dyn Wire + 'a)),
}

/// A connection as a handler may use it while it reads.
pub(crate) trait Wire: Read {
    /// Writes the head of an interim response.
    fn inform(&mut self, head: &str) -> io::Result<()>;

    /// The socket, if there is one.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// What ends the reads from another thread.
    fn interrupter(&self) -> Box<dyn Fn() + Send>;
}

/// The body of a request: a reader that fails rather than end early.
pub struct Body<'a> {
    source: BodySource<'a>,
    length: Option<u64>,
    left: u64,
    expected: Option<ExpectedContent>,
    when_read: Option<WhenRead>,
}

/// What is told how many bytes were read each time, and may have the body end in an error.
pub(crate) type WhenRead = Box<dyn FnMut(u64) -> Result<()>>;

/// The digest that the whole content must have, and that of what was read so far.
struct ExpectedContent {
    digest: Digest,
    hasher: Hasher,
    read: u64,
}

impl<'a> Body<'a> {
    /// A body that yields what `source` yields; its length, if that was announced.
    pub fn new(source: &'a mut (dyn Read + 'a), length: Option<u64>) -> Self {
        Self {
            source: BodySource::Reader(source),
            length,
            left: u64::MAX,
            expected: None,
            when_read: None,
        }
    }

    /// The body of a request that came over a connection.
    pub(crate) fn of_wire(wire: &'a mut (dyn Wire + 'a), length: Option<u64>) -> Self {
        Self {
            source: BodySource::Wire(wire),
            length,
            left: u64::MAX,
            expected: None,
            when_read: None,
        }
    }

    /// The announced length in bytes; `None` for a chunked body.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Has the content end in an error unless it has this digest: its last bytes, or its end where no
    /// length was announced, are given to nobody before it was compared. To be called before anything is
    /// read.
    pub(crate) fn expect_digest(&mut self, digest: Digest) {
        self.expected = Some(ExpectedContent {
            digest,
            hasher: Hasher::new(),
            read: 0,
        });
    }

    /// Has somebody told of all bytes that are read from here on.
    pub(crate) fn when_read(&mut self, told: WhenRead) {
        self.when_read = Some(told);
    }

    /// Refuses more than `bytes` from here on: at once if the announced length is larger, else when
    /// they have been read.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn limit(&mut self, bytes: u64) -> Result<()> {
        self.left = bytes;
        match self.length {
            Some(length) if length > bytes => Err(too_large()),
            _ => Ok(()),
        }
    }

    /// Reads all of the body, at most `bytes_max`.
    ///
    /// # Errors
    /// `TooLarge`, and those of reading.
    pub fn read_all(&mut self, bytes_max: usize) -> Result<Vec<u8>> {
        self.limit(bytes_max as u64)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.source {
            BodySource::Reader(reader) => reader.read(buffer)?,
            BodySource::Wire(wire) => wire.read(buffer)?,
        };

        if let Some(told) = &mut self.when_read {
            told(count as u64)?;
        }

        if let Some(expected) = &mut self.expected
            && !buffer.is_empty()
        {
            expected.take(&buffer[..count], self.length)?;
        }

        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => Err(too_large().into()),
        }
    }
}

impl ExpectedContent {
    /// Takes in what was read, and compares once that was all.
    fn take(&mut self, bytes: &[u8], length: Option<u64>) -> io::Result<()> {
        self.hasher.update(bytes);
        self.read += bytes.len() as u64;

        let is_end = bytes.is_empty() || length.is_some_and(|length| self.read >= length);
        if is_end && self.hasher.clone().finish() != self.digest {
            let text = "the content does not have the digest that its signature covers";
            return Err(Error::new(ErrorKind::Integrity, text).into());
        }

        Ok(())
    }
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        "the body is larger than this server allows",
    )
}

/// Left in a session once the caller has shown who it is: its connection does not make room for strangers.
pub(crate) struct Vouched;

/// What the requests of one connection share: at most one value of each type.
#[derive(Default)]
pub struct Session(Vec<Box<dyn Any + Send>>);

impl Session {
    /// Keeps a value, and returns the one of its type that was kept before.
    pub fn insert<T: Any + Send>(&mut self, value: T) -> Option<T> {
        if let Some(kept) = self.value_mut() {
            return Some(std::mem::replace(kept, value));
        }
        self.0.push(Box::new(value));
        None
    }

    /// The value of a type.
    pub fn value<T: Any + Send>(&self) -> Option<&T> {
        self.0.iter().find_map(|kept| kept.downcast_ref())
    }

    /// The value of a type, to be changed.
    pub fn value_mut<T: Any + Send>(&mut self) -> Option<&mut T> {
        self.0.iter_mut().find_map(|kept| kept.downcast_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_keeps_one_value_of_each_type() {
        let mut session = Session::default();
        assert_eq!(session.insert(1_u32), None);
        assert_eq!(session.insert(2_u32), Some(1));
        session.insert("text");
        *session.value_mut::<u32>().unwrap() += 1;
        assert_eq!(
            (session.value::<u32>(), session.value::<&str>()),
            (Some(&3), Some(&"text"))
        );
        assert_eq!(session.value::<u64>(), None);
    }

    #[test]
    fn a_limited_body_is_refused_as_soon_as_that_is_known() {
        let mut source = &b"12345"[..];
        assert!(Body::new(&mut source, Some(5)).limit(4).is_err());
        assert!(Body::new(&mut source, Some(5)).limit(5).is_ok());
        let mut chunked = Body::new(&mut source, None);
        let error = chunked.read_all(4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let mut source = &b"1234"[..];
        assert_eq!(Body::new(&mut source, None).read_all(4).unwrap(), b"1234");
    }

    #[test]
    fn content_of_another_digest_never_comes_to_its_end() {
        let read = |content: &[u8], length, digest| {
            let mut source = content;
            let mut body = Body::new(&mut source, length);
            body.expect_digest(digest);
            let mut given = Vec::new();
            let mut piece = [0; 2];
            loop {
                match body.read(&mut piece) {
                    Ok(0) => return (given, true),
                    Ok(count) => given.extend_from_slice(&piece[..count]),
                    Err(_) => return (given, false),
                }
            }
        };

        let digest = Digest::of(b"12345");
        for length in [Some(5), None] {
            assert_eq!(read(b"12345", length, digest), (b"12345".to_vec(), true));
        }
        // A reader that knows the length does not ask for the end.
        assert_eq!(read(b"1234x", Some(5), digest), (b"1234".to_vec(), false));
        assert_eq!(read(b"1234x", None, digest), (b"1234x".to_vec(), false));
        assert_eq!(read(b"", None, digest), (Vec::new(), false));
    }
}
