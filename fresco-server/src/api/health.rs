//! Whether the platform can do its work.

use std::sync::Arc;
use std::time::Duration;

use fresco_core::{Error, ErrorKind, Guarantee, Health, IsolationState};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::api::Tag;
use crate::platform::Platform;

/// How long a part may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// An accepted operation waits for so long before that is told: a store that is restarted is back sooner.
const STALLED: Duration = Duration::from_secs(5);
/// However many ask, the parts are asked no more often than this: anybody may ask.
const FRESH: Duration = Duration::from_secs(1);

/// Whether all parts can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum HealthStatus {
    Ok,
    Unavailable,
}

/// A part of the platform.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "camelCase")]
pub(super) enum PartName {
    Store,
    Accounts,
    Docker,
    TenantDatabase,
    Traefik,
    /// That what was accepted is being worked on.
    Work,
    /// That tenants are kept apart, as it was last proved.
    Isolation,
}

/// A part, and whether it can be used.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct HealthPart {
    /// Which part.
    name: PartName,
    /// Whether it can be used.
    healthy: bool,
    /// How long it took to answer, in milliseconds.
    latency_ms: u64,
}

/// The platform's health.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct HealthReport {
    /// Whether all parts can be used.
    status: HealthStatus,
    /// The parts.
    parts: Vec<HealthPart>,
}

#[derive(ApiResponse)]
enum Checkup {
    /// Every part can be used.
    #[oai(status = 200)]
    Ok(Json<HealthReport>),
    /// At least one part can't be used. Why is in the platform's log.
    #[oai(status = 503)]
    Unavailable(Json<HealthReport>),
}

#[derive(Clone, Debug)]
pub(crate) struct HealthApi {
    platform: Platform,
    last: Arc<Mutex<Option<(Instant, HealthReport)>>>,
}

impl HealthApi {
    pub(crate) fn new(platform: Platform) -> Self {
        Self { platform, last: Arc::default() }
    }

    /// Whoever asks while the parts are being asked waits for the same answer.
    async fn report(&self) -> HealthReport {
        let mut last = self.last.lock().await;
        if let Some((_, report)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return report.clone();
        }
        let report = ask(&self.platform).await;
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

/// The parts that can't be used now.
pub(super) async fn unhealthy(platform: &Platform) -> Vec<PartName> {
    let parts = ask(platform).await.parts.into_iter();
    parts.filter(|part| !part.healthy).map(|part| part.name).collect()
}

async fn ask(platform: &Platform) -> HealthReport {
    let backends = platform.orchestrator.backends();
    let calls: [(PartName, BoxFuture<'_, fresco_core::Result<Health>>); 5] = [
        (PartName::Store, backends.store.health().boxed()),
        (PartName::Accounts, platform.accounts.health().boxed()),
        (PartName::Docker, backends.runtime.health().boxed()),
        (PartName::TenantDatabase, backends.database.health().boxed()),
        (PartName::Traefik, backends.router.health().boxed()),
    ];
    let mut parts = join_all(calls.map(|(name, call)| async move {
        let start = Instant::now();
        let late = |_| Err(Error::new(ErrorKind::TimedOut, "no answer within 3 s"));
        let answer = timeout(DEADLINE, call).await.unwrap_or_else(late);
        if let Err(error) = &answer {
            tracing::warn!(part = ?name, error = %error.chain(), "a part can't be used");
        }
        let latency_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        HealthPart { name, healthy: answer.is_ok(), latency_ms }
    }))
    .await;
    parts.push(work(platform));
    parts.extend(isolation(platform));
    let all = parts.iter().all(|part| part.healthy);
    HealthReport { status: if all { HealthStatus::Ok } else { HealthStatus::Unavailable }, parts }
}

/// A store may answer and yet refuse to give work, such as one whose table of locks is full.
fn work(platform: &Platform) -> HealthPart {
    let stalled = platform.orchestrator.stalled().filter(|time| *time >= STALLED);
    if let Some(time) = stalled {
        tracing::warn!(part = ?PartName::Work, seconds = time.as_secs(), "a part can't be used");
    }
    HealthPart { name: PartName::Work, healthy: stalled.is_none(), latency_ms: 0 }
}

/// Known from the last proof; nothing is asked. While it fails no new tenant is let in.
fn isolation(platform: &Platform) -> Option<HealthPart> {
    let allowed = platform.orchestrator.settings().allow_unenforced.contains(&Guarantee::Network);
    let fails = match platform.orchestrator.isolation()? {
        IsolationState::Fails(why) if !allowed => {
            tracing::warn!(part = ?PartName::Isolation, why, "a part can't be used");
            true
        }
        _ => false,
    };
    Some(HealthPart { name: PartName::Isolation, healthy: !fails, latency_ms: 0 })
}

#[OpenApi(tag = "Tag::System")]
impl HealthApi {
    /// Whether the platform can do its work.
    ///
    /// Every part is asked, at once and for at most 3 seconds; the answer is at most a second old.
    #[oai(path = "/health", method = "get", operation_id = "health")]
    async fn health(&self) -> Checkup {
        let report = Json(self.report().await);
        match report.status {
            HealthStatus::Ok => Checkup::Ok(report),
            HealthStatus::Unavailable => Checkup::Unavailable(report),
        }
    }
}
