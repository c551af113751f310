//! Watching.

use super::{ensured, fence, get, issued, listed_as_barred, locked_out, login, put};
use crate::conformance::DatabaseWatchFixture;
use crate::conformance::support::{done, eventually, refused};
use crate::{Credentials, DatabaseExcess, DatabaseOffence, TenantId};

/// More data than a tenant may keep. No two pieces of it are alike, so that it is not made smaller.
fn too_much<F: DatabaseWatchFixture + ?Sized>(fixture: &F) -> String {
    let mut text = String::new();
    while text.len() <= fixture.too_many_bytes() {
        text.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    text
}

/// A tenant that was found to keep too much, and what was told of it.
async fn offender<F: DatabaseWatchFixture + ?Sized>(
    fixture: &F,
    generation: i64,
) -> (TenantId, Credentials, DatabaseOffence) {
    let tenant = ensured(fixture, generation).await;
    let credentials = issued(fixture, tenant, generation).await;
    let session = login(fixture, &credentials).await;
    put(&*session, "key", "value").await;
    put(&*session, "all", &too_much(fixture)).await;
    let found = done("inspect", fixture.watch().inspect().await);
    let told: Vec<_> = found.into_iter().filter(|offence| offence.tenant == tenant).collect();
    assert_eq!(told.len(), 1, "the tenant keeps too much and should be told of once: {told:?}");
    eventually("the offender's session should be over", async || {
        if session.is_open().await { Err("it is open") } else { Ok(()) }
    })
    .await;
    (tenant, credentials, told[0])
}

/// Whoever keeps more data than allowed is told of, with the measure and the limit.
pub async fn inspect_tells_who_keeps_too_much<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (_, _, offence) = offender(fixture, 1).await;
    assert_eq!(offence.excess, DatabaseExcess::Bytes);
    assert!(offence.measured > offence.limit, "{offence:?}");
    assert!(offence.limit <= fixture.too_many_bytes() as u64, "{offence:?}");
}

/// Afterwards its sessions are over, and it can't log in.
pub async fn inspect_locks_the_offender_out<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (_, credentials, _) = offender(fixture, 1).await;
    locked_out("after the offence", fixture, &credentials).await;
}

/// Tenants within their limits are not told of, and keep their sessions.
pub async fn inspect_leaves_others_alone<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    let session = login(fixture, &issued(fixture, tenant, 1).await).await;
    put(&*session, "key", "value").await;
    let (bad, ..) = offender(fixture, 1).await;
    let again = done("inspect", fixture.watch().inspect().await);
    assert!(again.iter().all(|offence| offence.tenant != tenant), "{again:?}");
    assert!(again.iter().all(|offence| offence.tenant != bad), "told of once: {again:?}");
    assert_eq!(get(&*session, "key").await.as_deref(), Some("value"));
    assert_eq!(listed_as_barred(fixture, tenant).await, None);
}

/// Another platform's tenants are neither told of nor touched.
pub async fn inspect_leaves_out_other_platforms<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (other, tenant) = (fixture.other_platform(), TenantId::new());
    let spec = super::spec(fixture, fence(tenant, 1));
    done("ensure of another platform's", other.ensure(&spec).await);
    let credentials = done("issue of another platform's", other.issue(fence(tenant, 1)).await);
    let session = login(fixture, &credentials).await;
    put(&*session, "all", &too_much(fixture)).await;
    let found = done("inspect", fixture.watch().inspect().await);
    assert!(found.iter().all(|offence| offence.tenant != tenant), "{found:?}");
    assert!(session.is_open().await, "another platform's session was ended");
    assert_eq!(listed_as_barred(fixture, tenant).await, None);
}

/// Whoever was barred is listed from then on, by every program.
pub async fn barred_lists_offenders<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (tenant, _, offence) = offender(fixture, 1).await;
    for watch in [fixture.watch(), fixture.second_watch()] {
        let one = done("barred", watch.barred(Some(tenant)).await);
        assert_eq!(one, [offence]);
        let all = done("barred", watch.barred(None).await);
        assert!(all.contains(&offence), "{all:?}");
    }
}

/// Without an offence nobody is.
pub async fn barred_is_empty_at_first<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    assert_eq!(listed_as_barred(fixture, tenant).await, None);
    assert_eq!(listed_as_barred(fixture, TenantId::new()).await, None);
}

/// A removed tenant no longer is.
pub async fn barred_forgets_removed_tenants<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (tenant, ..) = offender(fixture, 1).await;
    done("remove of a barred tenant", fixture.database().remove(fence(tenant, 2)).await);
    assert_eq!(listed_as_barred(fixture, tenant).await, None);
}

/// Its credentials work again, and it is barred no more.
pub async fn admit_lets_it_in_again<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, _) = offender(fixture, 1).await;
    done("admit", fixture.watch().admit(fence(tenant, 2)).await);
    assert_eq!(listed_as_barred(fixture, tenant).await, None);
    let session = login(fixture, &credentials).await;
    assert_eq!(get(&*session, "key").await.as_deref(), Some("value"));
}

/// New credentials end it as well.
pub async fn admit_comes_with_new_credentials<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (tenant, ..) = offender(fixture, 1).await;
    let credentials = issued(fixture, tenant, 2).await;
    login(fixture, &credentials).await;
    assert_eq!(listed_as_barred(fixture, tenant).await, None);
}

/// For a tenant that is not barred it changes nothing.
pub async fn admit_tolerates_who_is_not_barred<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    let credentials = issued(fixture, tenant, 1).await;
    let session = login(fixture, &credentials).await;
    done("admit", fixture.watch().admit(fence(tenant, 2)).await);
    assert!(session.is_open().await, "the session should go on");
    login(fixture, &credentials).await;
}

/// A lower generation than one seen is `LeaseLost`, and the tenant stays barred.
pub async fn admit_refuses_a_lower_generation<F: DatabaseWatchFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, offence) = offender(fixture, 5).await;
    let late = fixture.watch().admit(fence(tenant, 4)).await;
    refused("admit of a lower generation", late, crate::ErrorKind::LeaseLost);
    assert_eq!(listed_as_barred(fixture, tenant).await, Some(offence));
    locked_out("after a late admit", fixture, &credentials).await;
}
