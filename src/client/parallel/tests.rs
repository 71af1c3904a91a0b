// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists of transfers without a server: who does what, what is told, and what ends what.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::client::ClientOptions;

fn client() -> Client {
    // Nothing connects.
    Client::new(ClientOptions::new("http://127.0.0.1:1".parse().unwrap())).unwrap()
}

fn failure(kind: ErrorKind) -> Error {
    Error::new(kind, "a test")
}

/// What was told: numbers that are done, and failures.
#[derive(Default)]
struct Heard {
    done: BTreeSet<usize>,
    failed: Vec<(usize, ErrorKind)>,
}

impl Heard {
    fn hear(&mut self, number: usize, news: TransferNews) -> ControlFlow<()> {
        match news {
            TransferNews::Done(Ok(())) => assert!(self.done.insert(number), "{number} twice"),
            TransferNews::Done(Err(error)) => self.failed.push((number, error.kind())),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn do_all(
    client: &mut Client,
    count: usize,
    connections: usize,
    work: &(dyn Fn(&mut Client, usize) -> Result<()> + Sync),
) -> (Result<()>, Heard) {
    let list = TransferList {
        count,
        connections,
        work: &|client, number, _| work(client, number),
        is_last: |error| error.kind() == ErrorKind::NoSpace,
    };
    let mut heard = Heard::default();
    let ended = client.do_all(&list, &mut |number, news| heard.hear(number, news));
    (ended, heard)
}

#[test]
fn as_many_go_at_a_time_as_was_said_and_each_once() {
    let mut client = client();
    // Nobody gets past it alone.
    let together = Barrier::new(4);
    let (ended, heard) = do_all(&mut client, 40, 4, &|_, _| {
        together.wait();
        Ok(())
    });
    ended.unwrap();
    assert_eq!(heard.done, (0..40).collect());

    // More connections than there is to do are not opened.
    let most = AtomicUsize::new(0);
    for (count, connections) in [(0, 4), (1, 4), (3, 1)] {
        let running = AtomicUsize::new(0);
        let (ended, heard) = do_all(&mut client, count, connections, &|_, _| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        });
        ended.unwrap();
        assert_eq!(heard.done.len(), count);
    }
    assert_eq!(most.into_inner(), 1);
}

#[test]
fn a_server_without_a_place_gets_fewer_connections_and_all_is_done() {
    for kind in [
        ErrorKind::Busy,
        ErrorKind::TooManyRequests,
        ErrorKind::Unreachable,
        ErrorKind::Interrupted,
    ] {
        let mut client = client();
        let (tries, spare_is_here) = (AtomicUsize::new(0), Barrier::new(4));
        let (ended, heard) = do_all(&mut client, 20, 4, &|client, _| {
            // Each has something when the spare ones give it back, the last thing included.
            if tries.fetch_add(1, Ordering::SeqCst) < 4 {
                spare_is_here.wait();
            }
            match client.role {
                ConnectionRole::First => Ok(()),
                ConnectionRole::Spare => Err(failure(kind)),
            }
        });
        ended.unwrap();
        assert_eq!(heard.done, (0..20).collect(), "{kind:?}");
        assert_eq!((heard.failed, tries.into_inner()), (vec![], 23));
    }

    // The first one has to say it, for nobody else would.
    let (ended, heard) = do_all(&mut client(), 2, 4, &|_, _| Err(failure(ErrorKind::Busy)));
    ended.unwrap();
    let busy = [(0, ErrorKind::Busy), (1, ErrorKind::Busy)];
    assert!(heard.failed.iter().all(|told| busy.contains(told)));
    assert_eq!(heard.failed.len(), 2);
}

#[test]
fn the_last_failure_stops_the_others_and_is_told_alone() {
    let mut client = client();
    let here = Barrier::new(4);
    let (ended, heard) = do_all(&mut client, 100, 4, &|client, number| {
        here.wait();
        if number == 2 {
            return Err(failure(ErrorKind::NoSpace));
        }
        // As a transfer that would take for ever.
        client.stop.wait();
        Err(stopped())
    });
    ended.unwrap();
    assert_eq!(heard.failed, [(2, ErrorKind::NoSpace)]);
    assert!(heard.done.is_empty());

    // The client goes on, and other failures end only what they are about.
    let (ended, heard) = do_all(&mut client, 9, 4, &|_, number| match number % 2 {
        0 => Ok(()),
        _ => Err(failure(ErrorKind::NotFound)),
    });
    ended.unwrap();
    assert_eq!((heard.done.len(), heard.failed.len()), (5, 4));
}

#[test]
fn a_stop_from_outside_ends_all_and_nothing_more_is_begun() {
    let mut client = client();
    let (begun, here) = (AtomicUsize::new(0), Barrier::new(5));
    let shutdown = client.shutdown();
    let (ended, heard) = std::thread::scope(|scope| {
        scope.spawn(|| {
            here.wait();
            shutdown.trigger();
        });
        do_all(&mut client, 100, 4, &|client, _| {
            begun.fetch_add(1, Ordering::SeqCst);
            here.wait();
            client.stop.wait();
            Err(stopped())
        })
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(heard.done.is_empty() && heard.failed.is_empty());
    assert_eq!(begun.into_inner(), 4);
}

#[test]
fn whoever_is_told_may_end_all_and_a_panic_ends_all() {
    let list = TransferList {
        count: 1000,
        connections: 4,
        work: &|client, number, _| {
            if number > 0 {
                client.stop.wait();
            }
            Ok(())
        },
        is_last: |_| true,
    };
    let mut told = 0;
    let mut client = client();
    client
        .do_all(&list, &mut |_, _| {
            told += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(told, 1);

    let (ended, _) = do_all(&mut client, 1000, 4, &|_, number| {
        assert!(number != 7, "a test");
        Ok(())
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Internal);
}
