//! The cases of [`TenantDatabase`] and of its abilities.

mod ensure;
mod issue;
mod look;
mod metrics;
mod remove;

use std::sync::Arc;

pub use ensure::*;
pub use issue::*;
pub use look::*;
pub use metrics::*;
pub use remove::*;

use super::support::done;
use super::{DatabaseClient, DatabaseFixture};
use crate::{
    Credentials, DatabaseEntry, DatabaseSpec, Fence, Generation, TenantDatabase, TenantId,
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

async fn listed(database: &Arc<dyn TenantDatabase>, tenant: TenantId) -> Vec<DatabaseEntry> {
    done("list", database.list(Some(tenant)).await)
}

/// What is there of the tenant, which must be one entry.
async fn the_one(database: &Arc<dyn TenantDatabase>, tenant: TenantId) -> DatabaseEntry {
    let mut all = listed(database, tenant).await;
    assert_eq!(all.len(), 1, "the tenant should be listed once, but there is {all:?}");
    all.remove(0)
}
