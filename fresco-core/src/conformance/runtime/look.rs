//! Logs, probes, health.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::{answers, done, ensured, eventually, serving, started};
use crate::conformance::support::{refused, soon};
use crate::conformance::{ExampleApp, RuntimeFixture};
use crate::{
    ContainerRuntime, ErrorKind, Instance, InstanceId, LogLine, LogQuery, LogStream, Reach,
};

async fn lines(runtime: &Arc<dyn ContainerRuntime>, id: &InstanceId) -> Vec<LogLine> {
    let stream = done("logs", runtime.logs(id, &LogQuery::last(1000)).await);
    done("reading the logs", soon("the end of the logs", stream.try_collect()).await)
}

/// A container that wrote both its lines, which it proves.
async fn printed<F: RuntimeFixture + ?Sized>(fixture: &F) -> Instance {
    let (runtime, instance) = (fixture.runtime(), started(fixture, ExampleApp::Prints).await);
    eventually("both lines should be in the logs, each of its own stream", async || {
        let lines = lines(&runtime, &instance.id).await;
        if has_both(&lines) { Ok(()) } else { Err(lines) }
    })
    .await;
    instance
}

fn has_both(lines: &[LogLine]) -> bool {
    let has = |text: &str, stream| lines.iter().any(|l| l.text == text && l.stream == stream);
    has("to stdout", LogStream::Stdout) && has("to stderr", LogStream::Stderr)
}

/// Standard output and error are told apart.
pub async fn logs_tell_the_streams_apart<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let instance = printed(fixture).await;
    let lines = lines(&fixture.runtime(), &instance.id).await;
    assert!(lines.is_sorted_by_key(|line| line.at), "the oldest should come first: {lines:?}");
}

/// Of a stopped container the lines are still there.
pub async fn logs_outlive_a_stop<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, instance) = (fixture.runtime(), printed(fixture).await);
    done("stop", runtime.stop(&instance.id, Duration::from_secs(10)).await);
    let lines = lines(&runtime, &instance.id).await;
    assert!(has_both(&lines), "after the stop both lines should still be there: {lines:?}");
}

/// An unknown one is `NotFound`.
pub async fn logs_refuse_an_unknown_one<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, instance) = (fixture.runtime(), ensured(fixture, ExampleApp::Serves).await);
    done("remove", runtime.remove(&instance.id).await);
    let result = runtime.logs(&instance.id, &LogQuery::last(10)).await;
    refused("logs of an unknown one", result.map(|_| "a stream"), ErrorKind::NotFound);
}

/// A running app that answers gives its status.
pub async fn probe_gives_the_status<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let instance = started(fixture, ExampleApp::Serves).await;
    answers(fixture, &instance).await;
}

/// One that takes the connection and never answers is `Silent`, which is no error.
pub async fn probe_of_one_that_hangs_is_silent<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, app) = (fixture.runtime(), fixture.app());
    let id = started(fixture, ExampleApp::Hangs).await.id;
    eventually("the app should take connections", async || {
        let reach = done("probe", runtime.probe(&id, app.port, &app.health_path).await);
        match reach {
            Reach::Silent(_) => Ok(()),
            Reach::Unreachable(why) => Err(why),
            Reach::Status(status) => panic!("one that never answers answered with {status}"),
        }
    })
    .await;
}

/// One that does not listen, or does not run, is `Unreachable`, which is no error.
pub async fn probe_of_one_that_does_not_listen_is_unreachable<F: RuntimeFixture + ?Sized>(
    fixture: &F,
) {
    let (runtime, app) = (fixture.runtime(), fixture.app());
    let unreachable = async |what: &str, id: &InstanceId, port: u16| {
        let reach = done(what, soon(what, runtime.probe(id, port, &app.health_path)).await);
        assert!(matches!(reach, Reach::Unreachable(_)), "{what}: {reach:?}");
    };
    let created = ensured(fixture, ExampleApp::Serves).await;
    unreachable("probe of one that never ran", &created.id, app.port).await;
    let running = serving(fixture, ExampleApp::Serves).await;
    // Port 1 needs rights that no app has.
    unreachable("probe of a port where nobody listens", &running.id, 1).await;
    done("stop", runtime.stop(&running.id, Duration::from_secs(10)).await);
    unreachable("probe of a stopped one", &running.id, app.port).await;
}

/// An unknown container is `NotFound`.
pub async fn probe_refuses_an_unknown_one<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let (runtime, app) = (fixture.runtime(), fixture.app());
    let instance = ensured(fixture, ExampleApp::Serves).await;
    done("remove", runtime.remove(&instance.id).await);
    let result = runtime.probe(&instance.id, app.port, &app.health_path).await;
    refused("probe of an unknown one", result, ErrorKind::NotFound);
}

/// It names the runtime and its version.
pub async fn health_names_the_runtime<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let health = done("health", fixture.runtime().health().await);
    crate::conformance::support::names_a_version(&health);
}
