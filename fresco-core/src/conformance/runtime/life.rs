//! Starting, stopping, removing, listing.

use std::time::{Duration, Instant};

use super::{answers, done, ensured, eventually, listed, serving, spec, started, the_one};
use crate::conformance::support::refused;
use crate::conformance::{ExampleApp, RuntimeFixture};
use crate::{ErrorKind, Guarantee, InstanceId, InstanceState, Limits};

const GRACE: Duration = Duration::from_secs(10);

/// The id of a container that was there and is gone.
async fn unknown<F: RuntimeFixture + ?Sized>(fixture: &F) -> InstanceId {
    let instance = ensured(fixture, ExampleApp::Serves).await;
    done("remove", fixture.runtime().remove(&instance.id).await);
    instance.id
}

/// Starting a running one changes nothing.
pub async fn start_twice_changes_nothing<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, made) = (fixture.runtime(), ensured(fixture, ExampleApp::Serves).await);
    let first = done("start", runtime.start(&made.id).await);
    assert!(first.is_running(), "after start it should run: {first:?}");
    assert!(first.endpoint.is_some(), "what runs has an address: {first:?}");
    assert_eq!(first.id, made.id, "start should return the container that it was asked for");
    let second = done("start again", runtime.start(&made.id).await);
    assert_eq!(second, first, "the second start should change nothing");
    assert_eq!(the_one(&runtime, made.tenant).await, first, "list should tell the same as start");
}

/// A stopped one runs again with the same environment and the same id.
pub async fn start_runs_a_stopped_one_again<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, first) = (fixture.runtime(), serving(fixture, ExampleApp::Serves).await);
    let environment = fixture.environment_of(&first.id).await;
    done("stop", runtime.stop(&first.id, GRACE).await);
    let second = done("start", runtime.start(&first.id).await);
    assert_eq!(second.id, first.id, "it should be the same container");
    assert!(second.is_running(), "it should run again: {second:?}");
    assert_eq!(fixture.environment_of(&first.id).await, environment, "its environment");
    answers(fixture, &second).await;
}

/// An unknown one is `NotFound`.
pub async fn start_refuses_an_unknown_one<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let id = unknown(fixture).await;
    refused("start of an unknown one", fixture.runtime().start(&id).await, ErrorKind::NotFound);
}

/// When it returns, the container does not run.
pub async fn stop_ends_it<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, instance) = (fixture.runtime(), serving(fixture, ExampleApp::Serves).await);
    let begun = Instant::now();
    done("stop", runtime.stop(&instance.id, GRACE).await);
    let stopped = the_one(&runtime, instance.tenant).await;
    assert!(matches!(stopped.state, InstanceState::Exited { .. }), "after stop: {stopped:?}");
    assert_eq!(stopped.endpoint, None, "what does not run can't be reached");
    // An app that ends when it is asked to needs no part of the grace: the request reached it.
    assert!(begun.elapsed() < GRACE, "it was not asked to end: stop took {:?}", begun.elapsed());
}

/// One that ignores the request is ended after the grace.
pub async fn stop_ends_one_that_ignores_it<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, grace) = (fixture.runtime(), fixture.shortest_grace());
    let instance = serving(fixture, ExampleApp::IgnoresStop).await;
    let begun = Instant::now();
    done("stop", runtime.stop(&instance.id, grace).await);
    let took = begun.elapsed();
    let stopped = the_one(&runtime, instance.tenant).await;
    assert!(matches!(stopped.state, InstanceState::Exited { .. }), "after stop: {stopped:?}");
    assert!(took >= grace.mul_f64(0.9), "it was given {took:?} instead of {grace:?}");
}

/// Stopping one that does not run, or an unknown one, is success.
pub async fn stop_tolerates_what_does_not_run<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let created = ensured(fixture, ExampleApp::Serves).await;
    done("stop of one that never ran", runtime.stop(&created.id, GRACE).await);

    let ended = started(fixture, ExampleApp::ExitsAtBoot).await;
    eventually("an app that exits at boot should be seen as exited with code 3", async || {
        match the_one(&runtime, ended.tenant).await.state {
            InstanceState::Exited { code: 3, out_of_memory: false } => Ok(()),
            state => Err(state),
        }
    })
    .await;
    done("stop of one that ended", runtime.stop(&ended.id, GRACE).await);
    done("stop of one that ended, again", runtime.stop(&ended.id, GRACE).await);

    let gone = unknown(fixture).await;
    done("stop of an unknown one", runtime.stop(&gone, GRACE).await);
}

/// Afterwards it is not listed.
pub async fn remove_takes_it_off_the_list<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let idle = ensured(fixture, ExampleApp::Serves).await;
    let running = started(fixture, ExampleApp::Serves).await;
    for instance in [idle, running] {
        done("remove", runtime.remove(&instance.id).await);
        assert_eq!(listed(&runtime, instance.tenant).await, [], "it should be gone");
    }
}

/// Removing an unknown one is success.
pub async fn remove_tolerates_an_unknown_one<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let gone = unknown(fixture).await;
    done("remove of an unknown one", fixture.runtime().remove(&gone).await);
}

/// Another platform's container is `Conflict` and is left alone.
pub async fn remove_refuses_another_platforms<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, other) = (fixture.runtime(), fixture.other_platform());
    let spec = spec(fixture, ExampleApp::Serves).await;
    let theirs = done("ensure by the other platform", other.ensure(&spec).await);
    refused("remove of theirs", runtime.remove(&theirs.id).await, ErrorKind::Conflict);
    assert_eq!(the_one(&other, spec.tenant).await, theirs, "theirs should be as it was");
}

/// Stopped ones are listed too.
pub async fn list_includes_stopped_ones<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let created = ensured(fixture, ExampleApp::Serves).await;
    let stopped = started(fixture, ExampleApp::Serves).await;
    let running = started(fixture, ExampleApp::Serves).await;
    done("stop", runtime.stop(&stopped.id, GRACE).await);
    let all = done("list", runtime.list(None).await);
    for (what, instance, runs) in
        [("created", &created, false), ("stopped", &stopped, false), ("running", &running, true)]
    {
        let found = all.iter().find(|one| one.id == instance.id);
        let found = found.unwrap_or_else(|| panic!("the {what} one is not listed: {all:?}"));
        assert_eq!(found.is_running(), runs, "the {what} one, as listed: {found:?}");
        assert_eq!(the_one(&runtime, instance.tenant).await.id, instance.id, "list by tenant");
    }
    assert_eq!(all.len(), 3, "only these three should be listed: {all:?}");
}

/// The limits that hold for each are told, or none at all.
pub async fn list_tells_the_limits<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let created = ensured(fixture, ExampleApp::Serves).await;
    let running = started(fixture, ExampleApp::Serves).await;
    let asked = Limits::for_app(&fixture.app());
    for instance in [created, running] {
        let listed = the_one(&runtime, instance.tenant).await;
        assert!(listed.keeps_within(&asked), "the limits of the spec: {listed:?}");
        let other = Limits { pids: asked.pids + 1, ..asked };
        let ignored = listed.unenforced.contains(&Guarantee::Pids);
        let told = listed.limits.is_some() && !ignored;
        assert_eq!(listed.keeps_within(&other), !told, "not the limits of the spec: {listed:?}");
    }
}

/// Other platforms' are not listed.
pub async fn list_leaves_out_other_platforms<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, other) = (fixture.runtime(), fixture.other_platform());
    let ours = ensured(fixture, ExampleApp::Serves).await;
    let spec = spec(fixture, ExampleApp::Serves).await;
    let theirs = done("ensure by the other platform", other.ensure(&spec).await);
    fixture.make_unmarked(crate::TenantId::new()).await;
    assert_eq!(done("list", runtime.list(None).await), [ours], "only ours should be listed");
    assert_eq!(listed(&runtime, spec.tenant).await, [], "theirs by its tenant");
    assert_eq!(done("list", other.list(None).await), [theirs], "only theirs is listed there");
}
