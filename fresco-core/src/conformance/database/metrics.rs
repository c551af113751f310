//! Measuring.

use super::{ensured, issued, login, put};
use crate::conformance::DatabaseMetricsFixture;
use crate::conformance::support::{done, refused, soon};
use crate::{ErrorKind, TenantId};

/// Tables of the tenant are counted, and their bytes.
pub async fn measure_counts_tables_and_bytes<F: DatabaseMetricsFixture + ?Sized>(fixture: &F) {
    let (metrics, tenant) = (fixture.metrics(), ensured(fixture, 1).await);
    let empty = done("measure", metrics.measure(tenant).await);
    assert_eq!(empty.tables, 0, "a new tenant has no table: {empty:?}");
    let session = login(fixture, &issued(fixture, tenant, 1).await).await;
    put(&*session, "key", "value").await;
    let sample = done("measure", metrics.measure(tenant).await);
    assert!(sample.tables > 0, "the tenant has a table now: {sample:?}");
    assert!(sample.bytes > 0, "the table takes room: {sample:?}");
    assert!(sample.connections > 0, "the app is connected: {sample:?}");
}

/// It reads no relation that the tenant owns.
pub async fn measure_reads_nothing_of_the_tenants<F: DatabaseMetricsFixture + ?Sized>(fixture: &F) {
    let (metrics, tenant) = (fixture.metrics(), ensured(fixture, 1).await);
    let session = login(fixture, &issued(fixture, tenant, 1).await).await;
    put(&*session, "key", "value").await;
    done("a lock of the tenant's", session.lock().await);
    // Whoever reads what is locked waits for ever.
    let sample = soon("measuring past the tenant's lock", metrics.measure(tenant)).await;
    assert!(done("measure", sample).tables > 0, "the locked table should be counted");
}

/// An unknown tenant is `NotFound`.
pub async fn measure_refuses_an_unknown_tenant<F: DatabaseMetricsFixture + ?Sized>(fixture: &F) {
    let result = fixture.metrics().measure(TenantId::new()).await;
    refused("measure of an unknown tenant", result, ErrorKind::NotFound);
}
