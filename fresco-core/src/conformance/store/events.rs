//! Streams of events.

use futures_util::future::join;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::{LONG, begun, created, done, leased, numbers, recorded, success, told};
use crate::conformance::StoreFixture;
use crate::conformance::support::{refused, soon};
use crate::{ErrorKind, Event, OperationId, PullProgress, Result, Step};

async fn collected(stream: BoxStream<'static, Result<Event>>) -> Vec<Event> {
    done("reading events", soon("the end of the events", stream.try_collect()).await)
}

/// No event is missed or told twice, whenever the stream was opened.
pub async fn events_are_told_once<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (_, operation) = created(&store).await;
    let lease = leased(&store, &LONG).await;
    let mut streams = Vec::new();
    for written in 0..10_u64 {
        // One stream from the beginning, and one from here.
        for after in [0, written] {
            let stream = done("events", store.events(operation.id, after).await);
            streams.push((after, stream));
        }
        recorded(&store, &lease, &begun(&lease, Step::Image)).await;
    }
    // These are read while the last ones are written.
    let reading = async {
        let mut all = Vec::new();
        for (after, stream) in streams {
            all.push((after, collected(stream).await));
        }
        all
    };
    let writing = async {
        for _ in 10..14 {
            recorded(&store, &lease, &begun(&lease, Step::Image)).await;
        }
        recorded(&store, &lease, &success(&lease)).await
    };
    let (all, ended) = join(reading, writing).await;
    for (after, events) in all {
        let expected: Vec<u64> = (after + 1..=15).collect();
        assert_eq!(numbers(&events), expected, "a stream that was opened after {after}");
        let last = Event::Done { seq: 15, operation: Box::new(ended.clone()) };
        assert_eq!(events.last(), Some(&last), "the last event");
    }
}

/// Of a finished operation it tells the rest and ends.
pub async fn events_of_a_finished_operation_end<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (_, operation) = created(&store).await;
    let lease = leased(&store, &LONG).await;
    recorded(&store, &lease, &begun(&lease, Step::Image)).await;
    recorded(&store, &lease, &begun(&lease, Step::Database)).await;
    recorded(&store, &lease, &success(&lease)).await;
    for after in 0..=3 {
        let expected: Vec<u64> = (after + 1..=3).collect();
        let events = told(&fixture.second(), operation.id, after).await;
        assert_eq!(numbers(&events), expected, "the events after {after}");
    }
}

/// What another program writes is told, too.
pub async fn events_of_other_programs_are_told<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, second) = (fixture.store(), fixture.second());
    let (_, operation) = created(&store).await;
    let lease = leased(&store, &LONG).await;
    let mut stream = done("events", second.events(operation.id, 0).await);
    for seq in 1..=3 {
        recorded(&store, &lease, &begun(&lease, Step::Image)).await;
        let event = soon("an event of another program", stream.next()).await;
        let event = done("an event", event.expect("the operation is not finished"));
        assert_eq!(event.seq(), Some(seq), "the event's number");
    }
    recorded(&store, &lease, &success(&lease)).await;
    assert_eq!(numbers(&collected(stream).await), [4], "the rest");
}

/// An unknown operation is `NotFound`.
pub async fn events_refuse_an_unknown_operation<F: StoreFixture + ?Sized>(fixture: &F) {
    let result = fixture.store().events(OperationId::new(), 0).await;
    refused("events of an unknown one", result.map(|_| "a stream"), ErrorKind::NotFound);
}

/// A stream that is open gets it.
pub async fn announce_reaches_open_streams<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (_, operation) = created(&store).await;
    let (_, other) = created(&store).await;
    let lease = leased(&store, &LONG).await;
    assert_eq!(lease.operation.id, operation.id, "the oldest should come first");
    let streams = [
        ("of the same program", done("events", store.events(operation.id, 0).await)),
        ("of another program", done("events", fixture.second().events(operation.id, 0).await)),
    ];
    let progress = |bytes| PullProgress { detail: "layer".into(), bytes, total_bytes: Some(9) };
    done("announce of another", store.announce(other.id, &progress(1)).await);
    done("announce", store.announce(operation.id, &progress(7)).await);
    for (what, mut stream) in streams {
        let event = soon(&format!("progress in a stream {what}"), stream.next()).await;
        let event = done("an event", event.expect("the operation is not finished"));
        assert_eq!(event, Event::Progress(progress(7)), "what the stream {what} told");
    }
    recorded(&store, &lease, &success(&lease)).await;
    assert_eq!(told(&store, operation.id, 0).await.len(), 1, "progress is not stored");
}
