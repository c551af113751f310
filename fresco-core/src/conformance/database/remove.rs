//! Removing everything.

use super::{ensured, fence, get, issued, listed, locked_out, login, put, spec, the_one};
use crate::conformance::DatabaseFixture;
use crate::conformance::support::{done, eventually, refused, soon};
use crate::{ErrorKind, TenantId};

/// Afterwards it is not listed, and its credentials no longer work.
pub async fn remove_leaves_nothing<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let credentials = issued(fixture, tenant, 1).await;
    let session = login(fixture, &credentials).await;
    put(&*session, "secret", "value").await;
    session.close().await;
    done("remove", database.remove(fence(tenant, 1)).await);
    assert_eq!(listed(&database, tenant).await, [], "nothing should be listed");
    locked_out("after removal", fixture, &credentials).await;
    // Whoever gets the tenant's names again finds nothing of it.
    done("ensure anew", database.ensure(&spec(fixture, fence(tenant, 2))).await);
    let session = login(fixture, &issued(fixture, tenant, 2).await).await;
    assert_eq!(get(&*session, "secret").await, None, "the data should be gone");
}

/// It works while the tenant's app is connected.
pub async fn remove_works_while_connected<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let credentials = issued(fixture, tenant, 1).await;
    let (idle, busy) = (login(fixture, &credentials).await, login(fixture, &credentials).await);
    put(&*busy, "key", "value").await;
    done("a lock of the tenant's", busy.lock().await);
    done("remove", soon("remove", database.remove(fence(tenant, 1))).await);
    assert_eq!(listed(&database, tenant).await, [], "nothing should be listed");
    eventually("the app's sessions should be ended", async || {
        let open = (idle.is_open().await, busy.is_open().await);
        if open == (false, false) { Ok(()) } else { Err(open) }
    })
    .await;
}

/// Removing an absent one is success.
pub async fn remove_tolerates_an_absent_one<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let database = fixture.database();
    done("remove of an unknown one", database.remove(fence(TenantId::new(), 1)).await);
    let tenant = ensured(fixture, 1).await;
    done("remove", database.remove(fence(tenant, 1)).await);
    done("remove again", database.remove(fence(tenant, 1)).await);
    for only_storage in [true, false] {
        let half = ensured(fixture, 1).await;
        if only_storage {
            fixture.drop_role(half).await;
        } else {
            fixture.drop_storage(half).await;
        }
        done("remove of a half", database.remove(fence(half, 1)).await);
        assert_eq!(listed(&database, half).await, [], "the half should be gone");
    }
}

/// A lower generation than one seen is `LeaseLost` and changes nothing.
pub async fn remove_refuses_a_lower_generation<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 5).await);
    let credentials = issued(fixture, tenant, 5).await;
    let session = login(fixture, &credentials).await;
    put(&*session, "kept", "value").await;
    let before = the_one(&database, tenant).await;
    refused("a late remove", database.remove(fence(tenant, 4)).await, ErrorKind::LeaseLost);
    assert_eq!(the_one(&database, tenant).await, before, "nothing should have changed");
    assert_eq!(get(&*session, "kept").await.as_deref(), Some("value"), "the tenant's data");
}

/// Another platform's is `Conflict` and is left alone.
pub async fn remove_refuses_another_platforms<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, other) = (fixture.database(), fixture.other_platform());
    let tenant = TenantId::new();
    done("ensure by the other platform", other.ensure(&spec(fixture, fence(tenant, 1))).await);
    let theirs = the_one(&other, tenant).await;
    let result = database.remove(fence(tenant, 2)).await;
    refused("remove of another platform's", result, ErrorKind::Conflict);
    assert_eq!(the_one(&other, tenant).await, theirs, "theirs should be as it was");
}
