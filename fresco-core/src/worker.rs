//! Workers: each takes a lease, walks the operation, keeps the lease alive meanwhile, and hands it
//! back at shutdown.
//!
//! A worker begins no effect once the lease that it last asked for may have ended: the walk is
//! dropped `lease_margin` before that, in the middle of a call if need be. Calls that take longer
//! than a lease (fetching an image, removing data, ending a slow app) are fine as long as the lease
//! is renewed under them. What a dropped call still brings about is a late effect like any other,
//! and refused by the fence or mended by the next worker.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backends::{Backends, call};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::WorkerId;
use crate::prove::{self, Proof};
use crate::reconcile;
use crate::run::{Ended, Run};
use crate::settings::Settings;
use crate::store::{Lease, LeaseTerms};
use crate::unreached::Unreached;
use crate::watch as database;

/// The pause before a task that panicked is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What all workers of a program share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) backends: Backends,
    pub(crate) settings: Settings,
    /// A hint that there is work; the store is asked regularly in any case.
    pub(crate) work: Notify,
    /// Whether tenants are kept apart.
    pub(crate) proof: Proof,
    pub(crate) unreached: Unreached,
    /// Since when the store has refused to give work.
    pub(crate) stalled: watch::Sender<Option<Instant>>,
}

/// The running workers of an orchestrator. Dropping it ends them at once, as a crash would: the
/// work is taken up again by the next program. [`Workers::shutdown`] hands it back in order.
#[derive(Debug)]
#[must_use = "dropping this ends the workers"]
pub struct Workers {
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl Workers {
    pub(crate) fn start(shop: &Arc<Shop>) -> Self {
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for _ in 0..shop.settings.workers {
            let (shop, token) = (shop.clone(), cancel.clone());
            tasks.spawn(again(cancel.clone(), move || work(shop.clone(), token.clone())));
        }
        let (proving, token) = (shop.clone(), cancel.clone());
        tasks.spawn(again(cancel.clone(), move || prove::keep(proving.clone(), token.clone())));
        let (own, token) = (shop.clone(), cancel.clone());
        tasks.spawn(again(cancel.clone(), move || reconcile::keep(own.clone(), token.clone())));
        let (own, token) = (shop.clone(), cancel.clone());
        tasks.spawn(again(cancel.clone(), move || database::keep(own.clone(), token.clone())));
        Self { tasks, cancel }
    }

    /// Takes no more work, lets steps under way end within the configured grace, and hands back
    /// what is not finished, so that another program goes on with it at once.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Runs a task until it ends by itself. A panic, of a backend most likely, must not end it for good.
async fn again<F: Future<Output = ()>>(cancel: CancellationToken, task: impl Fn() -> F) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        tracing::error!("a task of the platform panicked; it is started again");
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
    }
}

async fn work(shop: Arc<Shop>, cancel: CancellationToken) {
    let worker = WorkerId::new();
    let terms = LeaseTerms { ttl: shop.settings.lease_ttl, budget: shop.settings.operation_budget };
    while !cancel.is_cancelled() {
        let sent = Instant::now();
        let lease = shop.backends.store.lease(worker, &terms);
        let given = call("store.lease", shop.settings.call_deadline, lease).await;
        shop.stalled.send_if_modified(|since| {
            let changes = since.is_some() == given.is_ok();
            if changes {
                *since = given.is_err().then_some(sent);
            }
            changes
        });
        match given {
            Ok(Some(lease)) => {
                // There may be more: let another worker look while this one works.
                shop.work.notify_one();
                turn(&shop, &lease, sent, &cancel).await;
            }
            Ok(None) => idle(&shop, &cancel, shop.settings.work_interval).await,
            Err(error) => {
                tracing::error!(error = %error.chain(), "the store gives no work; trying again");
                idle(&shop, &cancel, shop.settings.work_interval).await;
            }
        }
    }
}

async fn idle(shop: &Shop, cancel: &CancellationToken, time: Duration) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = shop.work.notified() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// One worker's turn at an operation.
async fn turn(shop: &Shop, lease: &Lease, sent: Instant, cancel: &CancellationToken) {
    let (tenant, action) = (lease.tenant.id, lease.operation.action);
    tracing::info!(%tenant, %action, operation = %lease.operation.id, deaths = lease.deaths, "working");
    let run = Run::new(shop, lease, cancel).walk();
    // A backend that panics must not take this worker with it. It counts as a death: the work is
    // taken up again from what is stored, and given up after too many.
    let run = AssertUnwindSafe(run).catch_unwind().map(|ended| {
        ended.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a step panicked")))
    });
    let ended = tokio::select! {
        ended = run => ended,
        error = keep(shop, lease, sent) => Err(error),
        () = overtime(shop, cancel) => Ok(Ended::Later(Duration::ZERO)),
    };
    match ended {
        Ok(Ended::Finished) => tracing::info!(%tenant, %action, "finished"),
        Ok(Ended::Later(pause)) => {
            let release = shop.backends.store.release(lease, pause);
            if let Err(error) = call("store.release", shop.settings.call_deadline, release).await {
                tracing::warn!(%tenant, %action, error = %error.chain(), "could not hand back; the lease will end by itself");
            }
        }
        Err(error) => {
            tracing::warn!(%tenant, %action, error = %error.chain(), "stopped working; the work goes on from what is stored");
        }
    }
}

async fn overtime(shop: &Shop, cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(shop.settings.shutdown_grace).await;
}

/// Renews the lease; returns once it can no longer be counted on.
///
/// Its end is reckoned from the moment of *sending* the last request that succeeded, on this
/// program's own monotonic clock: the store's answer may have taken long.
async fn keep(shop: &Shop, lease: &Lease, sent: Instant) -> Error {
    let settings = &shop.settings;
    let valid = settings.lease_ttl.saturating_sub(settings.lease_margin);
    let mut end = sent + valid;
    let mut next = sent + valid / 3;
    loop {
        tokio::time::sleep_until(next.min(end)).await;
        let now = Instant::now();
        if now >= end {
            return Error::new(ErrorKind::LeaseLost, "the lease could not be renewed in time");
        }
        let renew = shop.backends.store.renew(lease, settings.lease_ttl);
        match call("store.renew", end - now, renew).await {
            Ok(()) => {
                end = now + valid;
                next = now + valid / 3;
            }
            Err(error) if error.is_retryable() => next = Instant::now() + settings.retry_min,
            Err(error) => return error,
        }
    }
}

/// Looks once whether the store answers at all, so that a wrong setting shows at the start.
pub(crate) async fn check(backends: &Backends, settings: &Settings) -> Result<()> {
    call("store.platform", settings.call_deadline, backends.store.platform()).await?;
    Ok(())
}
