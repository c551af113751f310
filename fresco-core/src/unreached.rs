//! Tenants that run and take no connection: the app has stopped to listen, or the way to its
//! container is broken.
//!
//! An app that takes connections and answers none may be busy; it is left alone. Several tenants of
//! which none can be reached tell that this machine's way to them is broken, which no restart mends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::backends::call;
use crate::ids::{Generation, TenantId};
use crate::instance::Instance;
use crate::runtime::Reach;
use crate::tenant::Tenant;
use crate::worker::Shop;

/// So long, and at so many looks, nobody reached it.
const TIME: Duration = Duration::from_secs(60);
const LOOKS: u32 = 3;
/// However often comparisons are made, tenants are asked no more often than this.
const PAUSE: Duration = Duration::from_secs(10);
/// How many tenants are asked side by side.
const SIDE_BY_SIDE: usize = 16;

/// Who could not be reached when this program last looked. Nothing depends on it but how soon one is
/// restarted: another program, or this one after a restart, counts anew.
#[derive(Debug, Default)]
pub(crate) struct Unreached(Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    last: Option<Instant>,
    missed: BTreeMap<TenantId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    generation: Generation,
    since: Instant,
    looks: u32,
}

/// Asks each of these tenants once, unless that was done a moment ago, and gives those that nobody has
/// reached for long.
pub(crate) async fn look(shop: &Shop, running: Vec<(&Tenant, &Instance)>) -> BTreeSet<TenantId> {
    let Ok(mut looks) = shop.unreached.0.try_lock() else { return BTreeSet::new() };
    if looks.last.is_some_and(|last| last.elapsed() < PAUSE) {
        return BTreeSet::new();
    }
    looks.last = Some(Instant::now());
    let asked = running.len();
    let asks = running.into_iter().map(|(tenant, own)| ask(shop, tenant, own).boxed());
    let asks: Vec<BoxFuture<'_, _>> = asks.collect();
    let missed: Vec<_> = stream::iter(asks).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let missed: Vec<&Tenant> = missed.into_iter().flatten().collect();
    let mut now = BTreeMap::new();
    for tenant in &missed {
        let seen = looks.missed.get(&tenant.id).filter(|seen| seen.generation == tenant.generation);
        let new = Seen { generation: tenant.generation, since: Instant::now(), looks: 0 };
        let seen = seen.copied().unwrap_or(new);
        now.insert(tenant.id, Seen { looks: seen.looks + 1, ..seen });
    }
    let is_long = |seen: &Seen| seen.looks >= LOOKS && seen.since.elapsed() >= TIME;
    let long: BTreeSet<_> = now.iter().filter(|(_, s)| is_long(s)).map(|(id, _)| *id).collect();
    looks.missed = now;
    if !long.is_empty() && asked > 1 && missed.len() == asked {
        tracing::error!(
            tenants = asked,
            "no tenant's app can be reached from this machine, although all run: look at its firewall and at Docker's network"
        );
        return BTreeSet::new();
    }
    long
}

/// The tenant, if its app takes no connection.
pub(crate) async fn ask<'a>(shop: &Shop, tenant: &'a Tenant, own: &Instance) -> Option<&'a Tenant> {
    let app = &tenant.spec.app;
    let probe = shop.backends.runtime.probe(&own.id, app.port, &app.health_path);
    match call("runtime.probe", shop.settings.call_deadline, probe).await {
        Ok(Reach::Unreachable(why)) => {
            tracing::debug!(tenant = %tenant.id, why, "a tenant's app takes no connection");
            Some(tenant)
        }
        // What failed tells nothing of the app.
        Ok(Reach::Status(_) | Reach::Silent(_)) | Err(_) => None,
    }
}
