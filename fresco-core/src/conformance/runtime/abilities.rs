//! Measuring, watching, resizing.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;

use super::{done, ensured, started, the_one};
use crate::conformance::support::{refused, soon};
use crate::conformance::{
    ExampleApp, RuntimeEventsFixture, RuntimeMetricsFixture, RuntimeResizeFixture,
};
use crate::{ErrorKind, Limits, RuntimeEventKind};

/// All are measured side by side: many take about as long as one.
pub async fn sample_measures_side_by_side<F: RuntimeMetricsFixture + ?Sized>(fixture: &F) {
    let metrics = fixture.metrics();
    let running = join_all((0..6).map(|_| started(fixture, ExampleApp::Serves))).await;
    let ids: Vec<_> = running.into_iter().map(|instance| instance.id).collect();
    // The sum of single measurements, and not the first of them: an engine that measures on a tick
    // of its own answers some at once and lets others wait.
    let begun = Instant::now();
    for id in &ids {
        done("sample of one", metrics.sample(std::slice::from_ref(id)).await);
    }
    let one_by_one = begun.elapsed();
    let begun = Instant::now();
    let samples = done("sample of six", metrics.sample(&ids).await);
    let together = begun.elapsed();
    assert_eq!(samples.len(), ids.len(), "each running container should be measured: {samples:?}");
    let limit = one_by_one / 2 + Duration::from_millis(500);
    assert!(together < limit, "six together took {together:?}, one by one {one_by_one:?}");
}

/// A running container uses memory and has at least one process.
pub async fn sample_finds_use<F: RuntimeMetricsFixture + ?Sized>(fixture: &F) {
    let running = started(fixture, ExampleApp::Serves).await;
    let idle = ensured(fixture, ExampleApp::Serves).await;
    let asked = [running.id.clone(), idle.id];
    let samples = done("sample", fixture.metrics().sample(&asked).await);
    assert_eq!(samples.len(), 1, "what does not run is left out: {samples:?}");
    let (id, sample) = &samples[0];
    assert_eq!(*id, running.id, "the sample should be the running container's");
    assert!(sample.memory_bytes > 0, "a running container uses memory: {sample:?}");
    assert!(sample.pids > 0, "a running container has a process: {sample:?}");
    let limit = Limits::for_app(&fixture.app()).memory_bytes();
    assert_eq!(sample.memory_limit_bytes, limit, "the limit of the spec");
}

/// A container's start, end and removal are told.
pub async fn watch_tells_start_end_and_removal<F: RuntimeEventsFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let mut stream = done("watch", fixture.events().watch().await);
    let instance = started(fixture, ExampleApp::Serves).await;
    done("stop", runtime.stop(&instance.id, Duration::from_secs(10)).await);
    done("remove", runtime.remove(&instance.id).await);
    for kind in [RuntimeEventKind::Started, RuntimeEventKind::Exited, RuntimeEventKind::Removed] {
        loop {
            let event = soon(&format!("the event {kind:?}"), stream.next()).await;
            let event =
                done("an event", event.expect("the stream ended while the runtime is there"));
            if event.instance == instance.id && event.kind == kind {
                assert_eq!(event.tenant, instance.tenant, "the tenant of {event:?}");
                break;
            }
        }
    }
}

/// The new limits hold at once and are told, and the container keeps its id.
pub async fn resize_holds_at_once<F: RuntimeResizeFixture + ?Sized>(fixture: &F) {
    let instance = started(fixture, ExampleApp::Serves).await;
    let before = fixture.limits_of(&instance.id).await;
    let wanted = Limits {
        memory_mb: before.memory_mb + 64,
        cpus: before.cpus + 0.25,
        pids: before.pids + 16,
    };
    done("resize", fixture.resize().resize(&instance.id, &wanted).await);
    assert_eq!(fixture.limits_of(&instance.id).await, wanted, "the limits that hold now");
    let now = the_one(&fixture.runtime(), instance.tenant).await;
    assert!(now.limits.is_none() || !now.keeps_within(&before), "not the old ones: {now:?}");
    assert_eq!(now.id, instance.id, "the container should be the same");
    assert!(now.keeps_within(&wanted), "the list should tell the new limits: {now:?}");
    assert!(now.is_running(), "the container should run on: {now:?}");
}

/// An unknown container is `NotFound`.
pub async fn resize_refuses_an_unknown_one<F: RuntimeResizeFixture + ?Sized>(fixture: &F) {
    let instance = ensured(fixture, ExampleApp::Serves).await;
    done("remove", fixture.runtime().remove(&instance.id).await);
    let limits = Limits::for_app(&fixture.app());
    let result = fixture.resize().resize(&instance.id, &limits).await;
    refused("resize of an unknown one", result, ErrorKind::NotFound);
}
