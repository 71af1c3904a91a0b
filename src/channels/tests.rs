// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tests of channels: nothing is lost without being counted, and nobody who left is remembered.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;
use crate::bell::is_readable;
use crate::error::ErrorKind;
use crate::event::{Event, Happening, MODELS, SERVER, UPLOADS};
use crate::stop::{Reason, Stop, Waited};
use crate::threads::{lock, spawn};

/// Longer than any test takes.
const DEADLINE: Duration = Duration::from_secs(60);

const FIRST_ID: u64 = 1_000_000;

fn channels() -> Channels {
    let start = SystemTime::UNIX_EPOCH + Duration::from_micros(FIRST_ID);
    Channels::new(start, 8)
}

fn event(number: usize) -> Event {
    let address = number.to_string();
    Event::new(
        SystemTime::UNIX_EPOCH,
        Happening::ListenerOpened { address },
    )
}

/// `3` for an event of that number, `missed 2`, `gap`.
fn word(received: &Received) -> String {
    match received {
        Received::Missed(count) => format!("missed {count}"),
        Received::Gap => "gap".to_owned(),
        Received::Event(delivery) => match &delivery.event.what {
            Happening::ListenerOpened { address } => address.clone(),
            other => format!("{other:?}"),
        },
    }
}

/// All that is there, in words.
fn words(subscription: &Subscription) -> String {
    let received = std::iter::from_fn(|| subscription.try_next());
    let words: Vec<_> = received.map(|received| word(&received)).collect();
    words.join(" ")
}

fn last_id(subscription: &Subscription) -> u64 {
    let received = std::iter::from_fn(|| subscription.try_next());
    let ids = received.filter_map(|received| match received {
        Received::Event(delivery) => Some(delivery.id),
        _ => None,
    });
    ids.last().unwrap()
}

#[test]
fn where_nobody_listens_no_event_is_made() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    let other = channels.open(UPLOADS, 0).unwrap();
    let elsewhere = channels.subscribe(&[UPLOADS], 4).unwrap();

    publisher.publish(|| unreachable!("nobody listens"));
    Publisher::default().publish(|| unreachable!("there is no channel"));
    assert!(!publisher.is_heard() && !Publisher::default().is_heard());

    other.publish(|| event(1));
    assert_eq!(words(&elsewhere), "1");
    drop(elsewhere);
    other.publish(|| unreachable!("nobody listens any more"));
}

#[test]
fn subscribers_get_what_they_asked_for_in_order() {
    let channels = channels();
    let models = channels.open(MODELS, 0).unwrap();
    let uploads = channels.open(UPLOADS, 0).unwrap();
    let all = channels.subscribe(&[], 9).unwrap();
    let one = channels.subscribe(&[MODELS, MODELS], 9).unwrap();

    models.publish(|| event(1));
    uploads.clone().publish(|| event(2));
    channels.open(MODELS, 0).unwrap().publish(|| event(3));
    assert_eq!(words(&one), "1 3");
    let Some(Received::Event(first)) = all.try_next() else {
        panic!("an event is there");
    };
    assert_eq!((first.id, &*first.channel), (FIRST_ID + 1, MODELS));
    assert_eq!(words(&all), "2 3");
}

#[test]
fn a_full_inbox_loses_the_oldest_and_says_how_many() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    let slow = channels.subscribe(&[MODELS], 2).unwrap();
    let quick = channels.subscribe(&[MODELS], 8).unwrap();
    let least = channels.subscribe(&[MODELS], 0).unwrap();

    (0..5).for_each(|number| publisher.publish(|| event(number)));
    assert_eq!(words(&slow), "missed 3 3 4");
    assert_eq!(words(&quick), "0 1 2 3 4");
    assert_eq!(words(&least), "missed 4 4");

    publisher.publish(|| event(5));
    assert_eq!(words(&slow), "5");
}

#[test]
fn an_observer_sees_everything_until_it_is_dropped() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&seen);
    let function = move |event: &Event| lock(&observer).push(event.clone());
    let observation = channels.observe(MODELS, Box::new(function)).unwrap();
    let small = channels.subscribe(&[MODELS], 1).unwrap();

    (0..100).for_each(|number| publisher.publish(|| event(number)));
    assert_eq!(*lock(&seen), (0..100).map(event).collect::<Vec<_>>());
    assert_eq!(words(&small), "missed 99 99");

    drop(small);
    publisher.publish(|| event(100));
    assert_eq!(lock(&seen).len(), 101);
    drop(observation);
    assert!(!publisher.is_heard());
    assert_eq!(Arc::strong_count(&seen), 1);
}

#[test]
fn an_observer_that_panics_harms_nobody_and_may_publish_itself() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    let other = channels.open(SERVER, 0).unwrap();
    let watching = channels.subscribe(&[MODELS, SERVER], 4).unwrap();
    let bad = |_: &Event| panic!("a test");
    let _bad = channels.observe(MODELS, Box::new(bad)).unwrap();
    let echo = move |_: &Event| other.publish(|| event(2));
    let _echo = channels.observe(MODELS, Box::new(echo)).unwrap();

    publisher.publish(|| event(1));
    assert_eq!(words(&watching), "2 1");
}

#[test]
fn a_subscription_goes_on_after_the_last_event_it_had() {
    let channels = channels();
    let models = channels.open(MODELS, 3).unwrap();
    let uploads = channels.open(UPLOADS, 3).unwrap();
    models.publish(|| event(1));
    uploads.publish(|| event(2));
    models.publish(|| event(3));

    let resume = |after| words(&channels.resume(&[], 9, after).unwrap());
    assert_eq!(resume(FIRST_ID), "1 2 3");
    assert_eq!(resume(FIRST_ID + 1), "2 3");
    assert_eq!(resume(FIRST_ID + 3), "");
    // Neither an earlier process nor one whose clock was ahead can be gone on from.
    assert_eq!(resume(5), "gap 1 2 3");
    assert_eq!(resume(FIRST_ID + 4), "gap 1 2 3");

    (4..7).for_each(|number| models.publish(|| event(number)));
    assert_eq!(resume(FIRST_ID + 3), "4 5 6");
    assert_eq!(resume(FIRST_ID + 2), "gap 4 5 6");
    let one = channels.resume(&[UPLOADS], 9, FIRST_ID + 1).unwrap();
    assert_eq!(words(&one), "2");
    let small = channels.resume(&[MODELS], 2, FIRST_ID + 3).unwrap();
    assert_eq!(words(&small), "missed 1 5 6");
}

#[test]
fn a_channel_without_history_cannot_tell_what_was_missed() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    publisher.publish(|| unreachable!("nobody listens"));
    let watching = channels.resume(&[MODELS], 4, FIRST_ID).unwrap();
    publisher.publish(|| event(1));
    assert_eq!(words(&watching), "gap 1");

    channels.open(MODELS, 2).unwrap();
    channels.open(MODELS, 0).unwrap();
    drop(watching);
    publisher.publish(|| event(2));
    let resume = |after| words(&channels.resume(&[MODELS], 4, after).unwrap());
    assert_eq!(resume(FIRST_ID + 1), "2");
    assert_eq!(resume(FIRST_ID), "gap 2");
}

#[test]
fn names_and_numbers_have_bounds_and_clear_errors() {
    let channels = channels();
    for name in ["", "Models", "a b", "a\n", &"a".repeat(65)] {
        let error = channels.open(name, 0).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    channels.open(MODELS, 0).unwrap();
    channels.open(UPLOADS, 0).unwrap();
    let error = channels.subscribe(&[MODELS, "x"], 1).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "there is no channel 'x'; the channels are: models, uploads"
    );
    let observed = channels.observe("x", Box::new(|_| ())).map(drop);
    assert_eq!(observed.unwrap_err().kind(), ErrorKind::NotFound);

    let mut held: Vec<_> = (0..8)
        .map(|_| channels.subscribe(&[], 1).unwrap())
        .collect();
    let error = channels.subscribe(&[], 1).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    held.pop();
    channels.subscribe(&[], 1).unwrap();

    for number in 2..256 {
        channels.open(&format!("n{number}"), 0).unwrap();
    }
    assert_eq!(channels.names().len(), 256);
    assert!(channels.open("one-more", 0).is_err() && channels.open("n255", 0).is_ok());
}

#[test]
fn a_wait_ends_with_an_event_a_stop_or_the_time() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    let watching = channels.subscribe(&[MODELS], 4).unwrap();
    let (stop, never) = (Stop::new(), Stop::new());
    let timed = watching.next_timeout(&never, Duration::from_millis(1));
    assert_eq!(timed.map(|_| ()), Err(Waited::TimedOut));

    let (told, heard) = channel();
    let waiting = stop.child();
    let work = move || {
        while let Some(received) = watching.next(&waiting) {
            told.send(word(&received)).unwrap();
        }
        told.send("stopped".to_owned()).unwrap();
        told.send(words(&watching)).unwrap();
    };
    spawn("watching", work).unwrap();
    for number in 0..3 {
        publisher.publish(|| event(number));
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), number.to_string());
    }
    stop.trigger(Reason::Asked);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), "stopped");
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), "");
}

#[test]
fn a_stop_comes_before_what_is_there() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    let watching = channels.subscribe(&[MODELS], 4).unwrap();
    let stop = Stop::new();
    publisher.publish(|| event(1));
    stop.trigger(Reason::Shutdown);

    assert!(watching.next(&stop).is_none());
    let waited = watching.next_timeout(&stop, DEADLINE).map(|_| ());
    assert_eq!(waited, Err(Waited::Stopped));
    assert_eq!(words(&watching), "1");
}

#[test]
fn a_descriptor_is_readable_while_something_is_there() {
    let channels = channels();
    let publisher = channels.open(MODELS, 1).unwrap();
    let early = channels.subscribe(&[MODELS], 1).unwrap();
    let late = channels.subscribe(&[MODELS], 1).unwrap();
    // Asking for a descriptor once more would ring it.
    let held = early.descriptor().unwrap();
    assert!(!is_readable(held));

    (0..2).for_each(|number| publisher.publish(|| event(number)));
    assert!(is_readable(held));
    for subscription in [&early, &late] {
        let readable = || is_readable(subscription.descriptor().unwrap());
        assert!(readable());
        assert_eq!(word(&subscription.try_next().unwrap()), "missed 1");
        assert!(readable());
        assert_eq!(word(&subscription.try_next().unwrap()), "1");
        assert!(!readable() && subscription.try_next().is_none());
    }
    let resumed = channels.resume(&[MODELS], 1, 0).unwrap();
    assert!(is_readable(resumed.descriptor().unwrap()));
    assert_eq!(words(&resumed), "gap 1");
    assert!(!is_readable(resumed.descriptor().unwrap()));
}

#[test]
fn of_eight_publishers_four_subscribers_get_or_miss_every_event() {
    const PUBLISHERS: u64 = 8;
    const EACH: usize = 2000;
    let channels = channels();
    let stop = Stop::new();
    let (done, ended) = channel();
    let observed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&observed);
    channels.open(MODELS, 16).unwrap();
    let function = move |_: &Event| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let _observation = channels.observe(MODELS, Box::new(function)).unwrap();

    for capacity in [1, 7, 64, 100_000] {
        let subscription = channels.subscribe(&[MODELS], capacity).unwrap();
        let (done, stop) = (done.clone(), stop.child());
        let work = move || {
            let waited = std::iter::from_fn(|| subscription.next(&stop));
            let (mut received, mut missed, mut last_id) = (0_u64, 0_u64, 0_u64);
            let mut take = |what| match what {
                Received::Event(delivery) => {
                    assert!(delivery.id > last_id, "out of order");
                    last_id = delivery.id;
                    received += 1;
                }
                Received::Missed(count) => missed += count,
                Received::Gap => panic!("nothing is resumed"),
            };
            waited.for_each(&mut take);
            std::iter::from_fn(|| subscription.try_next()).for_each(&mut take);
            done.send((capacity, received, missed)).unwrap();
        };
        spawn("watching", work).unwrap();
    }

    let (published, all) = channel();
    for _ in 0..PUBLISHERS {
        let publisher = channels.open(MODELS, 0).unwrap();
        let published = published.clone();
        let work = move || {
            (0..EACH).for_each(|number| publisher.publish(|| event(number)));
            published.send(()).unwrap();
        };
        spawn("publishing", work).unwrap();
    }
    (0..PUBLISHERS).for_each(|_| all.recv_timeout(DEADLINE).unwrap());
    stop.trigger(Reason::Shutdown);

    let total = PUBLISHERS * EACH as u64;
    for _ in 0..4 {
        let (capacity, received, missed) = ended.recv_timeout(DEADLINE).unwrap();
        assert_eq!(received + missed, total, "of capacity {capacity}");
        assert!(capacity != 100_000 || missed == 0);
    }
    assert_eq!(observed.load(Ordering::Relaxed) as u64, total);
    let resumed = channels
        .resume(&[MODELS], 99, FIRST_ID + total - 16)
        .unwrap();
    assert_eq!(last_id(&resumed), FIRST_ID + total);
}

#[test]
fn nothing_is_left_of_whoever_went() {
    let channels = channels();
    let publisher = channels.open(MODELS, 0).unwrap();
    for _ in 0..100 {
        let stop = Stop::new();
        let subscription = channels.subscribe(&[MODELS], 1).unwrap();
        publisher.publish(|| event(1));
        assert_eq!(words(&subscription), "1");
        let waited = subscription.next_timeout(&stop, Duration::ZERO);
        assert_eq!(waited.map(drop), Err(Waited::TimedOut));
    }
    assert!(!publisher.is_heard());

    drop(publisher);
    assert_eq!(Arc::strong_count(&channels.0), 1);
}
