// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Conversations over a transport whose every step is written down beforehand.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::answer_end::AnswerEnd;
use super::caller::{After, HttpCaller, Visit};
use super::draining::Draining;
use super::exchange::Exchange;
use super::http_shared::HttpShared;
use crate::crew::Crew;
use crate::error::ErrorKind;
use crate::http::answer_head::Persistence;
use crate::http::answer_pace::AnswerPace;
use crate::http::body::{BodyProgress, BodyReader};
use crate::http::connection::{Connection, HeadReading, HeadStep};
use crate::http::head::{Head, Method, Version};
use crate::http::large_answer::{AnswerStep, LargeAnswer};
use crate::http::pool::{BodyPlaces, HeldPlaces};
use crate::http::request::{Body, Request, Session};
use crate::http::response::{Content, Response, Status};
use crate::http::{Handler, RequestSender};
use crate::limits::{Limits, LiveLimits};
use crate::logging::LineBudget;
use crate::stop::Stop;
use crate::threads::lock;
use crate::transport::{Peer, TimeLimit, Transport};
use crate::waiting::{Full, Place, Rank, Seat, Waiter};

const DEADLINE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a read finds.
enum Step {
    Bytes(Vec<u8>),
    Nothing,
    Signal,
    Reset,
    End,
}

/// What a transport was told to do, and how much went over it.
#[derive(Default)]
struct Seen {
    read: usize,
    written: Vec<u8>,
    is_finished: bool,
    is_aborted: bool,
    /// What was written waits for room.
    has_unsent: bool,
    read_until: Option<Instant>,
}

/// A transport that does one step after the other, and then nothing more.
struct Scripted {
    steps: VecDeque<Step>,
    seen: Arc<Mutex<Seen>>,
    peer: Peer,
    /// How many times it has no room for anything.
    full: usize,
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.steps.pop_front() {
            Some(Step::Bytes(mut bytes)) => {
                let count = (&bytes[..]).read(buffer)?;
                lock(&self.seen).read += count;
                if count < bytes.len() {
                    self.steps.push_front(Step::Bytes(bytes.split_off(count)));
                }
                Ok(count)
            }
            None | Some(Step::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
            Some(Step::Signal) => Err(io::ErrorKind::Interrupted.into()),
            Some(Step::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Step::End) => Ok(0),
        }
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full > 0 {
            self.full -= 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        lock(&self.seen).written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.has_unsent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}

impl Transport for Scripted {
    fn set_read_limit(&mut self, limit: TimeLimit) {
        lock(&self.seen).read_until = limit.deadline;
    }

    fn set_write_limit(&mut self, _: TimeLimit) {}

    fn send_file(&mut self, file: &File, offset: u64, length: u64) -> io::Result<u64> {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        let count = file.read_at(&mut bytes, offset)?;
        self.write(&bytes[..count]).map(|count| count as u64)
    }

    fn has_more(&self) -> bool {
        false
    }

    fn expect_more(&mut self) {}

    fn has_unsent(&self) -> bool {
        lock(&self.seen).has_unsent
    }

    fn finish(&mut self) {
        lock(&self.seen).is_finished = true;
    }

    fn abort(&mut self) {
        lock(&self.seen).is_aborted = true;
    }

    fn taken(&self) -> u64 {
        lock(&self.seen).written.len() as u64
    }

    fn held_when_full(&self) -> u64 {
        0
    }

    fn widen(&mut self) {}

    fn set_patience(&mut self, _: Option<Duration>) {}

    fn wait_for_room(&self, _: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn is_left(&self) -> bool {
        false
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        Box::new(|| {})
    }
}

struct QuietSeat(Mutex<Sender<Box<dyn Waiter>>>);

impl Seat for QuietSeat {
    fn put_back(self: Arc<Self>, waiting: Box<dyn Waiter>) {
        lock(&self.0).send(waiting).unwrap();
    }

    fn heed_room(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn ignore_room(&self, _: BorrowedFd<'_>) {}

    fn watch(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, _: BorrowedFd<'_>) {}
}

struct OnlyPlace;

impl Place for OnlyPlace {
    fn begin(&mut self) -> Result<(), Full> {
        Ok(())
    }

    fn end(&mut self) -> bool {
        true
    }

    fn resume(&mut self) {}

    fn rank(&mut self, _: Rank) -> Result<(), Full> {
        Ok(())
    }

    fn vouch(&mut self) {}
}

fn transport(steps: impl IntoIterator<Item = Step>) -> (Scripted, Arc<Mutex<Seen>>) {
    let seen = Arc::default();
    let scripted = Scripted {
        steps: steps.into_iter().collect(),
        seen: Arc::clone(&seen),
        peer: Peer::default(),
        full: 0,
    };
    (scripted, seen)
}

fn connection(steps: impl IntoIterator<Item = Step>, limits: Limits) -> Connection {
    Connection::new(Box::new(transport(steps).0), Arc::new(limits))
}

/// A server whose workers cannot be started, with one caller.
struct Called {
    shared: Arc<HttpShared>,
    caller: HttpCaller,
    seen: Arc<Mutex<Seen>>,
    back: Receiver<Box<dyn Waiter>>,
}

fn called(
    steps: impl IntoIterator<Item = Step>,
    set: impl FnOnce(&mut Limits),
    handler: impl Handler,
) -> Called {
    let mut limits = Limits::default();
    set(&mut limits);
    let shared = Arc::new(HttpShared {
        engine: OnceLock::from(None),
        handler: Arc::new(handler),
        limits: Arc::new(LiveLimits::new(limits)),
        metrics: Arc::default(),
        places: BodyPlaces::among(8),
        writers: Crew::new("test", 1),
        stop: Stop::new(),
        refusals: LineBudget::new("tests"),
    });

    let (transport, seen) = transport(steps);
    let (sender, back) = channel();
    let seat = Arc::new(QuietSeat(Mutex::new(sender)));
    let caller = shared.caller(Box::new(transport), seat, Box::new(OnlyPlace));
    Called {
        shared,
        caller,
        seen,
        back,
    }
}

fn nobody(_: &mut Request<'_>) -> Response {
    Response::new(Status::OK)
}

fn pieces(count: usize) -> impl Iterator<Item = Step> {
    (0..count).map(|_| Step::Bytes(vec![b'x'; 100]))
}

fn head(text: &str) -> Head {
    Head::parse(text.as_bytes()).unwrap()
}

fn waiter(after: After) -> Box<dyn Waiter> {
    after.waiting().expect("it waits")
}

fn status(seen: &Mutex<Seen>) -> String {
    let line = lock(seen).written.iter().take(12).copied().collect();
    String::from_utf8(line).unwrap()
}

#[test]
fn after_the_last_answer_so_much_is_read_and_not_a_byte_more() {
    let place = called(pieces(100), |limits| limits.drain_bytes_max = 150, nobody);
    let farewell = waiter(place.caller.say_farewell(None));
    assert!(lock(&place.seen).is_finished, "the sending half is closed");
    assert!(farewell.has_more() && farewell.heeds_end());

    let farewell = farewell.ready().expect("the caller may still be sending");
    assert_eq!(lock(&place.seen).read, 150);
    assert!(!farewell.heeds_end(), "nothing is read any more");
    let farewell = farewell.ready().expect("it has the time to see the answer");
    assert_eq!(lock(&place.seen).read, 150);
    assert!(!farewell.has_more() && farewell.expired().is_none());

    // Others have their turn, and what was read does not end the time of those who send much.
    let place = called(pieces(100), |_| {}, nobody);
    let farewell = waiter(place.caller.say_farewell(Some(2_000)));
    let until = farewell.deadline();
    let farewell = farewell.ready().unwrap();
    assert!(farewell.has_more() && farewell.heeds_end());
    assert_eq!(farewell.deadline(), until);
    let farewell = farewell.ready().unwrap();
    assert_eq!(lock(&place.seen).read, 2_000);
    assert!(farewell.deadline() < until && farewell.deadline() > Instant::now());
}

#[test]
fn a_farewell_ends_with_the_caller_and_a_stop_shortens_it() {
    for (step, goes_on) in [
        (Step::Nothing, true),
        (Step::Reset, false),
        (Step::End, false),
    ] {
        let place = called([step], |_| {}, nobody);
        let farewell = waiter(place.caller.say_farewell(None)).ready();
        assert_eq!(farewell.is_some(), goes_on);
        assert!(farewell.is_none_or(|farewell| !farewell.has_more()));
    }

    let place = called([], |_| {}, nobody);
    let farewell = waiter(place.caller.say_farewell(Some(1_000)));
    let until = farewell.deadline();
    let farewell = farewell.stopped().expect("the answer may still arrive");
    assert!(farewell.deadline() < until && farewell.deadline() > Instant::now());

    // Somebody who was told all there is to say sees that as well.
    let place = called([], |_| {}, nobody);
    assert!(place.caller.dismiss().is_some() && lock(&place.seen).is_finished);
}

#[test]
fn what_is_read_away_earns_time_and_ends_where_the_body_does() {
    let set = |limits: &mut Limits| {
        limits.body_timeout = HOUR;
        limits.rate_min = 1;
    };
    let place = called(pieces(100), set, nobody);
    let draining = waiter(Draining::begin(place.caller, 3_000));
    let until = draining.deadline();
    let draining = draining.ready().unwrap();
    assert!(draining.has_more(), "others have their turn");
    assert!(draining.deadline() > until, "what arrives is not slow");
    draining.ready().unwrap();
    assert_eq!(lock(&place.seen).read, 3_000, "what follows is a request");

    for (step, goes_on) in [
        (Step::Nothing, true),
        (Step::Reset, false),
        (Step::End, false),
    ] {
        let place = called([step], |_| {}, nobody);
        let draining = waiter(Draining::begin(place.caller, 3_000)).ready();
        assert_eq!(draining.is_some(), goes_on);
        assert!(draining.is_none_or(|draining| !draining.has_more()));
    }

    let place = called([], |_| {}, nobody);
    let draining = waiter(Draining::begin(place.caller, 3_000));
    assert!(draining.stopped().is_none() && lock(&place.seen).is_finished);
}

#[test]
fn how_a_connection_ends_depends_on_what_its_caller_may_still_send() {
    let ended = |text: &str, requests_max, status| {
        let set = |limits: &mut Limits| limits.requests_per_connection_max = requests_max;
        let Called {
            mut caller,
            shared,
            seen,
            ..
        } = called([], set, nobody);
        caller.requests = 1;
        let head = head(text);
        let progress = BodyProgress::new(&head);
        let mut end = AnswerEnd::new(caller, head, progress, shared, Instant::now());
        end.note(&mut Response::new(status));
        (end.after(Ok(0)), seen)
    };
    let lingers = |after: After| {
        let until = after.waiting().map(|waiting| waiting.deadline());
        until.map(|until| until > Instant::now() + DEADLINE / 6)
    };

    let closing = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (after, seen) = ended(closing, 100, Status::OK);
    assert!(matches!(after, After::Gone) && lock(&seen).is_finished);

    // Whoever may send another request, or the rest of a body, would get a reset.
    let going_on = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let (after, _) = ended(going_on, 1, Status::OK);
    assert_eq!(lingers(after), Some(false));
    let sending = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99\r\n\r\n";
    let (after, _) = ended(sending, 100, Status::OK);
    assert_eq!(lingers(after), Some(true));

    // Whoever is locked out costs little.
    let (after, _) = ended(sending, 100, Status::TOO_MANY_REQUESTS);
    assert_eq!(lingers(after), Some(false));
    assert!(matches!(ended(going_on, 100, Status::OK).0, After::Idle(_)));
}

/// Answers each request at once, and takes its time for `Slow` ones.
struct Quick;

impl Handler for Quick {
    fn handle(&self, _: &mut Request<'_>) -> Response {
        Response::new(Status::OK)
    }

    fn methods(&self) -> &[Method] {
        &[Method::Get]
    }

    fn handle_at_once(&self, request: &mut Request<'_>) -> Option<Response> {
        (request.path() == "/").then(|| Response::new(Status::OK))
    }

    fn sender(&self, _: &mut Request<'_>) -> RequestSender {
        RequestSender::Slow
    }

    fn look_long(&self, _: &mut Request<'_>) -> Option<Response> {
        Some(Response::new(Status::FORBIDDEN))
    }
}

#[test]
fn a_handler_is_asked_for_its_own_methods_only_and_what_takes_long_is_heard() {
    let answered = |line: &str| {
        let place = called([], |_| {}, Quick);
        let head = head(&format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let after = Exchange::begin(place.caller, head, place.shared);
        if matches!(after, After::Gone) {
            place.back.recv_timeout(DEADLINE).unwrap();
        }
        status(&place.seen)
    };

    assert_eq!(answered("GET /"), "HTTP/1.1 200");
    assert_eq!(answered("GET /long"), "HTTP/1.1 403");
    // There is no worker that could say 405.
    assert_eq!(answered("POST /"), "HTTP/1.1 503");
}

#[test]
fn a_small_body_that_is_under_way_when_the_server_stops_is_waited_for() {
    let text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n";
    let steps = || [Step::Bytes(b"ab".to_vec()), Step::Nothing];
    let rest = Step::Bytes(b"cd".to_vec());
    let place = called(steps().into_iter().chain([rest]), |_| {}, nobody);
    let waiting = waiter(Exchange::begin(place.caller, head(text), place.shared));
    assert!(waiting.deadline() > Instant::now());
    let waiting = waiting.stopped().expect("it was running before");
    assert!(waiting.ready().is_none());

    // There is no worker here.
    place.back.recv_timeout(DEADLINE).unwrap();
    assert_eq!(status(&place.seen), "HTTP/1.1 503");

    // What arrives earns time, and a connection that breaks is not waited for.
    let set = |limits: &mut Limits| {
        limits.body_timeout = HOUR;
        limits.rate_min = 1;
    };
    let more = [Step::Bytes(b"c".to_vec()), Step::Nothing];
    let place = called(steps().into_iter().chain(more), set, nobody);
    let waiting = waiter(Exchange::begin(place.caller, head(text), place.shared));
    let until = waiting.deadline();
    let waiting = waiting.ready().expect("some of it lacks");
    assert!(waiting.deadline() > until && !waiting.has_more());
    let broken = [Step::Bytes(b"ab".to_vec()), Step::Reset];
    let place = called(broken, |_| {}, nobody);
    waiter(Exchange::begin(place.caller, head(text), place.shared));
    assert!(!lock(&place.seen).written.is_empty(), "it was refused");
}

#[test]
fn whoever_waits_for_its_next_request_is_said_goodbye_at_a_stop() {
    let place = called([], |_| {}, nobody);
    let visit = Visit::new(place.caller);
    assert!(visit.stopped().is_none() && lock(&place.seen).is_finished);

    // A head that is under way gets a word when its time is over, and silence gets none.
    let begun = Step::Bytes(b"GE".to_vec());
    for (step, words) in [(begun, "HTTP/1.1 408"), (Step::Nothing, "")] {
        let place = called([step, Step::Nothing], |_| {}, nobody);
        let visit = (Visit::new(place.caller) as Box<dyn Waiter>).ready();
        let after = visit.and_then(|visit| visit.expired());
        assert_eq!(after.is_some(), !words.is_empty());
        assert_eq!(status(&place.seen), words);
    }
}

#[test]
fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
    let text = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n";
    let read = |head_bytes_max| {
        let limits = Limits {
            head_bytes_max,
            ..Limits::default()
        };
        let mut connection = connection([Step::Bytes(text.to_vec())], limits);
        connection.next_head(&mut HeadReading::default())
    };
    assert!(matches!(read(text.len()), Ok(HeadStep::Head(_))));
    let error = read(text.len() - 1).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::FieldsTooLarge);

    let limits = Limits {
        head_bytes_max: 2048,
        ..Limits::default()
    };
    let mut line = connection([Step::Bytes(vec![b'a'; 4096])], limits);
    let error = line.next_head(&mut HeadReading::default()).err().unwrap();
    assert_eq!(error.message(), "the request line is longer than 2 KiB");
}

#[test]
fn a_signal_ends_nothing_and_a_broken_connection_does() {
    let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let read = |steps: Vec<Step>| {
        let mut connection = connection(steps, Limits::default());
        connection.next_head(&mut HeadReading::default()).unwrap()
    };
    let interrupted = read(vec![Step::Signal, Step::Bytes(text)]);
    assert!(matches!(interrupted, HeadStep::Head(_)));
    assert!(matches!(read(vec![Step::Nothing]), HeadStep::Pending));
    assert!(matches!(read(vec![Step::Reset]), HeadStep::End));
    assert!(matches!(read(vec![Step::End]), HeadStep::End));

    let head = head("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    let steps = [b"ab", b"cd"].map(|bytes| Step::Bytes(bytes.to_vec()));
    let [first, second] = steps;
    let mut connection = connection([first, Step::Signal, second], Limits::default());
    let mut progress = BodyProgress::new(&head);
    let mut body = Vec::new();
    let mut reader = BodyReader::new(&mut connection, &mut progress);
    assert_eq!(reader.read(&mut []).unwrap(), 0, "no room is no end");
    reader.read_to_end(&mut body).unwrap();
    assert_eq!((&body[..], progress.received()), (&b"abcd"[..], 4));
}

#[test]
fn what_is_wrong_with_a_body_is_told_as_it_is() {
    let read = |framing: &str, steps: Vec<Step>| {
        let head = head(&format!("PUT / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
        let mut connection = connection(steps, Limits::default());
        let mut progress = BodyProgress::new(&head);
        let mut reader = BodyReader::new(&mut connection, &mut progress);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        (ErrorKind::from_io(&error), error.to_string())
    };
    let bytes = |text: &str| Step::Bytes(text.as_bytes().to_vec());

    let (kind, text) = read(
        "Content-Length: 9",
        vec![bytes("ab"), bytes("c"), Step::End],
    );
    let wanted = "the body ended early: 3 bytes arrived, at least 6 are missing";
    assert_eq!((kind, &text[..]), (ErrorKind::BadRequest, wanted));

    let chunked = "Transfer-Encoding: chunked";
    let (kind, text) = read(chunked, vec![bytes("2\r\nabc\r\n")]);
    let wanted = "a chunk is longer than its size says";
    assert_eq!((kind, &text[..]), (ErrorKind::BadRequest, wanted));
    for steps in [vec![bytes("2\r\nab"), Step::Nothing], vec![bytes("2\r\na")]] {
        assert_eq!(read(chunked, steps).0, ErrorKind::RequestTimeout);
    }
}

/// Sends all of an answer; how much content that was.
fn sent(content: Content) -> io::Result<(u64, Vec<u8>)> {
    let (mut transport, seen) = transport([]);
    // There is room for every other write only.
    transport.full = 1;
    let response = Response::new(Status::OK).content(content);
    let mut answer = LargeAnswer::new(response, Version::Http10, Persistence::Close);
    let mut pace = AnswerPace::new(Arc::new(Limits::default()), &transport);
    for _ in 0..1_000 {
        match answer.step(&mut transport, &mut pace, 1_000)? {
            AnswerStep::Done => {
                let written = std::mem::take(&mut lock(&seen).written);
                let head = written.windows(4).position(|four| four == b"\r\n\r\n");
                return Ok((answer.sent(), written[head.unwrap() + 4..].to_vec()));
            }
            AnswerStep::More => transport.full = 1,
            AnswerStep::Full | AnswerStep::Quiet => {}
        }
    }
    panic!("it has no end");
}

/// Is interrupted before each piece.
struct Interrupted(VecDeque<&'static [u8]>, bool);

impl Read for Interrupted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.0.pop_front() {
            Some(mut piece) => piece.read(buffer),
            None => Ok(0),
        }
    }
}

#[test]
fn what_was_sent_of_an_answer_is_counted_and_what_lacks_is_an_error() {
    let reader = || Interrupted([&b"abc"[..], b"de"].into(), false);
    for content in [
        Content::Chunked(Box::new(reader())),
        Content::Reader(5, Box::new(reader())),
        Content::Bytes(b"abcde".to_vec()),
    ] {
        assert_eq!(sent(content).unwrap(), (5, b"abcde".to_vec()));
    }
    assert!(sent(Content::Reader(6, Box::new(reader()))).is_err());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, vec![b'x'; 2_500]).unwrap();
    let file = |length| Content::File {
        file: File::open(&path).unwrap(),
        offset: 0,
        length,
    };
    assert_eq!(sent(file(2_500)).unwrap(), (2_500, vec![b'x'; 2_500]));
    assert_eq!(sent(file(0)).unwrap(), (0, Vec::new()));
    // It has become shorter since its length was told.
    let error = sent(file(2_501)).unwrap_err();
    assert!(error.to_string().contains("ended before its length"));
}

/// Has no place for whoever shows who it is.
struct TakenPlace;

impl Place for TakenPlace {
    fn begin(&mut self) -> Result<(), Full> {
        Ok(())
    }

    fn end(&mut self) -> bool {
        true
    }

    fn resume(&mut self) {}

    fn rank(&mut self, _: Rank) -> Result<(), Full> {
        Err(Full::Own)
    }

    fn vouch(&mut self) {}
}

#[test]
fn whoever_has_all_of_its_places_is_told_so_once_it_is_known_who_it_is() {
    let (head, peer) = (head("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Peer::default());
    let rank = |places: Option<&mut HeldPlaces>| {
        let (mut session, mut nothing) = (Session::default(), io::empty());
        let body = Body::new(&mut nothing, Some(0));
        let request = Request::new(&head, &peer, &mut session, body);
        match places {
            Some(places) => request.holding(places).rank(Rank::Holder(1)),
            None => { request }.rank(Rank::Holder(1)),
        }
    };
    assert!(rank(None).is_ok());
    assert!(rank(Some(&mut HeldPlaces::new(Box::new(OnlyPlace)))).is_ok());
    let taken = rank(Some(&mut HeldPlaces::new(Box::new(TakenPlace))));
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::TooManyRequests);
}

#[test]
fn an_answer_that_waits_for_room_is_not_over() {
    let place = called([], |_| {}, Quick);
    lock(&place.seen).has_unsent = true;
    let head = head("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let after = Exchange::begin(place.caller, head, place.shared);
    assert!(
        matches!(after, After::Waiting(..)),
        "its rest is to be sent"
    );
    let answering = waiter(after).ready().expect("there is still no room");
    assert!(!answering.heeds_end(), "who closes its half may still read");
    lock(&place.seen).has_unsent = false;
    assert!(
        answering.ready().is_some(),
        "the next request is waited for"
    );
    assert!(!lock(&place.seen).is_aborted);

    // Whoever is refused and takes nothing is cut.
    let place = called([], |_| {}, nobody);
    lock(&place.seen).has_unsent = true;
    assert!(place.caller.refuse_busy().is_none());
    assert!(lock(&place.seen).is_aborted);
}

#[test]
fn a_body_earns_time_by_its_bytes_and_by_one_record() {
    let head = head("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n");
    let limits = Limits {
        body_timeout: Duration::from_secs(1),
        rate_min: 1024,
        ..Limits::default()
    };
    let (transport, seen) = transport(pieces(90));
    let mut connection = Connection::new(Box::new(transport), Arc::new(limits));
    let mut progress = BodyProgress::new(&head);
    let mut reader = BodyReader::new(&mut connection, &mut progress);
    reader.read_exact(&mut [0; 2_000]).unwrap();
    let until = lock(&seen).read_until.unwrap();
    assert!(until < Instant::now() + DEADLINE, "2,000 bytes are 2 s");
}
