//! The cases of [`TenantDatabase`] and of its abilities.

mod dump;
mod ensure;
mod issue;
mod look;
mod metrics;
mod remove;
mod restore;
mod watch;

use std::sync::Arc;

pub use dump::*;
pub use ensure::*;
pub use issue::*;
pub use look::*;
pub use metrics::*;
pub use remove::*;
pub use restore::*;
pub use watch::*;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::support::{done, eventually, soon};
use super::{DatabaseClient, DatabaseFixture, DatabaseSnapshotsFixture, DatabaseWatchFixture};
use crate::{
    Credentials, DatabaseCopy, DatabaseEntry, DatabaseOffence, DatabaseSpec, Fence, Generation,
    Result, TenantDatabase, TenantId,
};

/// The names of all cases of this port, in order.
pub const CASES: &[&str] = &crate::__database_cases!(__conformance_names);

const fn fence(tenant: TenantId, generation: i64) -> Fence {
    Fence { tenant, generation: Generation::new(generation) }
}

fn spec<F: DatabaseFixture + ?Sized>(fixture: &F, fence: Fence) -> DatabaseSpec {
    DatabaseSpec::new(fence, fixture.isolation(), 10)
}

/// A tenant with role and storage, made in this generation.
async fn ensured<F: DatabaseFixture + ?Sized>(fixture: &F, generation: i64) -> TenantId {
    let tenant = TenantId::new();
    let spec = spec(fixture, fence(tenant, generation));
    done("ensure", fixture.database().ensure(&spec).await);
    tenant
}

async fn issued<F: DatabaseFixture + ?Sized>(
    fixture: &F,
    tenant: TenantId,
    generation: i64,
) -> Credentials {
    done("issue", fixture.database().issue(fence(tenant, generation)).await)
}

async fn login<F: DatabaseFixture + ?Sized>(
    fixture: &F,
    credentials: &Credentials,
) -> Box<dyn DatabaseClient> {
    done("a login with the tenant's credentials", fixture.connect(&credentials.direct).await)
}

/// Asserts that these credentials let nobody in.
async fn locked_out<F: DatabaseFixture + ?Sized>(what: &str, fixture: &F, old: &Credentials) {
    for url in [&old.direct, &old.pooled] {
        let login = fixture.connect(url).await;
        assert!(login.is_err(), "{what}: one should not be able to log in, but one can");
    }
}

async fn put(client: &dyn DatabaseClient, key: &str, value: &str) {
    done("keeping a value in the tenant's storage", client.put(key, value).await);
}

async fn get(client: &dyn DatabaseClient, key: &str) -> Option<String> {
    done("reading a value of the tenant's storage", client.get(key).await)
}

/// What a tenant is barred for, if it is.
async fn listed_as_barred<F: DatabaseWatchFixture + ?Sized>(
    fixture: &F,
    tenant: TenantId,
) -> Option<DatabaseOffence> {
    let mut barred = done("barred", fixture.watch().barred(Some(tenant)).await);
    assert!(barred.len() <= 1, "listed more than once: {barred:?}");
    barred.pop()
}

async fn listed(database: &Arc<dyn TenantDatabase>, tenant: TenantId) -> Vec<DatabaseEntry> {
    done("list", database.list(Some(tenant)).await)
}

/// What is there of the tenant, which must be one entry.
async fn the_one(database: &Arc<dyn TenantDatabase>, tenant: TenantId) -> DatabaseEntry {
    let mut all = listed(database, tenant).await;
    assert_eq!(all.len(), 1, "the tenant should be listed once, but there is {all:?}");
    all.remove(0)
}

/// A whole copy of the tenant's data.
async fn copied<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F, tenant: TenantId) -> Vec<u8> {
    let copy = done("dump", fixture.snapshots().dump(tenant).await);
    done("reading the copy", soon("reading the copy", copy.try_concat()).await)
}

/// Bytes as a stream of several parts.
fn parts(bytes: &[u8]) -> DatabaseCopy {
    let size = bytes.len().div_ceil(3).max(1);
    let parts: Vec<_> = bytes.chunks(size).map(|part| Ok(part.to_vec())).collect();
    stream::iter(parts).boxed()
}

async fn restored<F: DatabaseSnapshotsFixture + ?Sized>(
    fixture: &F,
    fence: Fence,
    copy: DatabaseCopy,
) -> Result<()> {
    soon("restore", fixture.snapshots().restore(fence, copy)).await
}

/// Asserts that copying leaves nothing.
async fn nothing_left<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    eventually("copying should leave nothing behind", async || {
        let left = fixture.leftovers().await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}
