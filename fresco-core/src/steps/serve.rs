//! The steps that wait until the app serves people: ready, route.

use tokio::time::Instant;

use crate::backends::call;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::{Instance, InstanceState};
use crate::router::RouteState;
use crate::run::{Detail, Run};
use crate::runtime::Reach;
use crate::stage::Direction;
use crate::tenant::ContainerRef;

/// Waits until the app answers as a ready one and, if it should, holds a session in its database
/// that is newer than its start.
///
/// An app that ends while it starts is started once more, when its database answers: a database that
/// is away for a moment ends most apps, and is no reason to give up a tenant.
pub(super) async fn ready(run: &mut Run<'_>) -> Result<Detail> {
    let container = run.container()?;
    let app = run.target().spec.app.clone();
    let begun = Instant::now();
    // A version that an update goes back to has its whole time, however long the update took.
    let end = match run.stage.direction {
        Direction::Forward => (begun + app.boot_deadline()).min(run.deadline),
        Direction::Undo => begun + app.boot_deadline(),
    };
    let mut ended_before = None;
    loop {
        // Asked before its state is looked at: one that ends under the question is seen to have ended.
        let answer = run.answer(&container).await?;
        let waiting_for = match (run.instance(&container).await?.state, answer) {
            (InstanceState::Exited { code, out_of_memory }, _) => {
                if out_of_memory || ended_before.is_some() {
                    return Err(ended(run, code, out_of_memory));
                }
                let health = run.backends.database.health();
                match call("database.health", run.settings.call_deadline, health).await {
                    Ok(_) => {
                        ended_before = Some(code);
                        let start = run.backends.runtime.start(&container.id);
                        call("runtime.start", run.settings.call_deadline, start).await?;
                        "it starts".to_owned()
                    }
                    Err(error) => error.message().to_owned(),
                }
            }
            (_, Reach::Status(status)) if status == app.health_status => {
                if !app.session_required || run.has_session().await? {
                    return Ok(Some(format!("after {:.1} s", begun.elapsed().as_secs_f32())));
                }
                "it answers, but holds no session in its database".to_owned()
            }
            (_, Reach::Status(status)) => {
                format!(
                    "it answers {} with {status} instead of {}",
                    app.health_path, app.health_status
                )
            }
            (_, Reach::Silent(why) | Reach::Unreachable(why)) => why,
        };
        if Instant::now() >= end {
            let before = ended_before.map_or_else(String::new, |code| {
                format!(" (it had ended with exit code {code}, and was started again)")
            });
            let message = format!(
                "The app was not ready within {} s: {waiting_for}{before}",
                begun.elapsed().as_secs()
            );
            return Err(Error::new(ErrorKind::TimedOut, message).permanent());
        }
        tokio::time::sleep(run.settings.poll_interval).await;
    }
}

fn ended(run: &Run<'_>, code: i64, out_of_memory: bool) -> Error {
    if out_of_memory {
        let limit = run.target().spec.limits.memory_mb;
        let message = format!(
            "The app was ended while it started: it used more than its {limit} MB of memory"
        );
        return Error::new(ErrorKind::Exhausted, message);
    }
    let message = format!("The app ended with exit code {code} while it started");
    Error::new(ErrorKind::Unavailable, message).permanent()
}

/// Publishes the route and waits until a request through the proxy reaches the container.
///
/// An app that has ended meanwhile is waited for once more: a runtime that is started anew ends all
/// that runs on it.
pub(super) async fn route(run: &mut Run<'_>) -> Result<Detail> {
    let container = run.container()?;
    let deadline = run.settings.call_deadline;
    let route = run.route_to(container.generation).await?;
    let mut end = Instant::now() + run.settings.route_deadline;
    let (mut tried_again, mut published) = (false, None);
    loop {
        let Some(endpoint) = run.instance(&container).await?.endpoint else {
            if tried_again {
                let what = "The app ended before it could be reached";
                return Err(Error::new(ErrorKind::Unavailable, what).permanent());
            }
            tried_again = true;
            ready(run).await?;
            end = Instant::now() + run.settings.route_deadline;
            continue;
        };
        // It may have another address than before.
        if published.as_ref() != Some(&endpoint) {
            call("router.publish", deadline, run.backends.router.publish(&route, &endpoint))
                .await?;
            published = Some(endpoint);
        }
        let state = call("router.probe", deadline, run.backends.router.probe(&route)).await?;
        let why = match state {
            RouteState::Live => return Ok(Some(run.backends.router.plan(&route).url)),
            RouteState::Absent => "the proxy does not know the route".to_owned(),
            RouteState::Pending(why) => why,
        };
        if Instant::now() >= end {
            let message = format!(
                "The app is ready, but could not be reached through the proxy within {} s: {why}",
                run.settings.route_deadline.as_secs()
            );
            return Err(Error::new(ErrorKind::TimedOut, message).permanent());
        }
        tokio::time::sleep(run.settings.poll_interval).await;
    }
}

impl Run<'_> {
    fn container(&self) -> Result<ContainerRef> {
        self.stage.instance.clone().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "no container was made before it was waited for")
        })
    }

    async fn instance(&self, container: &ContainerRef) -> Result<Instance> {
        let instances = self.instances().await?;
        instances.into_iter().find(|i| i.id == container.id).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "The app's container was removed while it started")
        })
    }

    async fn answer(&self, container: &ContainerRef) -> Result<Reach> {
        let app = &self.target().spec.app;
        let probe = self.backends.runtime.probe(&container.id, app.port, &app.health_path);
        match call("runtime.probe", self.settings.call_deadline, probe).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Reach::Unreachable("its container was removed".into()))
            }
            answer => answer,
        }
    }

    async fn has_session(&self) -> Result<bool> {
        let activity = self.backends.database.activity(self.lease.tenant.id);
        let activity = call("database.activity", self.settings.call_deadline, activity).await?;
        Ok(activity.newest_session >= self.stage.started_after && activity.newest_session.is_some())
    }
}
