//! Looks every few seconds at what tenants do to the database server that they share.
//!
//! The backend ends at once what is past a limit, and bars the tenant's role. What is left to do
//! here goes the way of every change of a tenant: a stop is asked for, by the platform itself. The
//! bar outlives this program, so a stop that can't be asked for now (another operation is under
//! way) is asked for at the next look, by whichever program looks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backends::call;
use crate::database_watch::DatabaseOffence;
use crate::error::{ErrorKind, Result};
use crate::operation::{Actor, NewOperation, Target};
use crate::reconcile;
use crate::step::Action;
use crate::tenant::DesiredState;
use crate::worker::Shop;

/// Until it is looked again after a failure: a server that comes back should be watched before a
/// tenant is there to harm it.
const SOON: Duration = Duration::from_millis(100);
/// How often failures are told of.
const TELL: Duration = Duration::from_secs(10);

/// Looks again and again, where the database can be watched.
pub(crate) async fn keep(shop: Arc<Shop>, cancel: CancellationToken) {
    let Some(interval) = shop.settings.watch_interval else { return };
    if shop.backends.database_watch.is_none() {
        return;
    }
    let keep_on = async {
        let mut told: Option<Instant> = None;
        loop {
            let pause = match once(&shop).await {
                Ok(_) => interval,
                Err(error) => {
                    if told.is_none_or(|at| at.elapsed() > TELL) {
                        tracing::warn!(error = %error.chain(), "could not watch the tenants' database");
                        told = Some(Instant::now());
                    }
                    SOON.min(interval)
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = keep_on => {}
    }
}

/// One look. It tells of what was ended; whoever is barred, now or earlier, is stopped.
pub(crate) async fn once(shop: &Shop) -> Result<Vec<DatabaseOffence>> {
    let Some(watch) = &shop.backends.database_watch else { return Ok(Vec::new()) };
    let deadline = shop.settings.call_deadline;
    let found = call("database_watch.inspect", deadline, watch.inspect()).await;
    for offence in found.as_deref().unwrap_or_default() {
        tracing::warn!(tenant = %offence.tenant, "ended what a tenant did in the database: {offence}");
    }
    // Also when the look failed: what was barred before is known all the same.
    for offence in call("database_watch.barred", deadline, watch.barred(None)).await? {
        if let Err(error) = stop(shop, &offence).await {
            tracing::warn!(tenant = %offence.tenant, error = %error.chain(), "could not ask for the stop of a barred tenant");
        }
    }
    found
}

/// Asks for the stop of a barred tenant, unless it is stopped or not the store's.
async fn stop(shop: &Shop, offence: &DatabaseOffence) -> Result<()> {
    let Some(tenant) = reconcile::tenant(shop, offence.tenant).await? else { return Ok(()) };
    // What was never active is being created, or its creation failed: there is nothing to stop.
    if tenant.state.desired != DesiredState::Running || tenant.state.first_active_at.is_none() {
        return Ok(());
    }
    let target = Target { spec: tenant.spec.clone(), image: tenant.state.image.clone() };
    let operation = NewOperation::new(Action::Stop, Actor::System, target);
    let request = shop.backends.store.request(tenant.id, tenant.generation, &operation);
    match call("store.request", shop.settings.call_deadline, request).await {
        Ok(_) => {
            tracing::warn!(tenant = %tenant.id, "stopping a tenant: {offence}");
            shop.work.notify_one();
            Ok(())
        }
        // Something is under way; it is looked at again soon.
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}
