//! Copying out.

use futures_util::{FutureExt, StreamExt};

use super::{copied, ensured, fence, get, issued, login, nothing_left, parts, put, restored, spec};
use crate::conformance::DatabaseSnapshotsFixture;
use crate::conformance::support::{done, refused, soon};
use crate::{ErrorKind, TenantId};

/// The copy is of one moment, also while the app writes.
pub async fn dump_is_of_one_moment<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    let credentials = issued(fixture, tenant, 1).await;
    let session = login(fixture, &credentials).await;
    for key in ["first", "second"] {
        put(&*session, key, "0").await;
    }
    // The second value is never ahead of the first, nor more than one write behind it.
    let mut copying = Box::pin(copied(fixture, tenant));
    let mut number = 0_u64;
    let copy = loop {
        number += 1;
        for key in ["first", "second"] {
            put(&*session, key, &number.to_string()).await;
        }
        if let Some(copy) = copying.as_mut().now_or_never() {
            break copy;
        }
        tokio::task::yield_now().await;
    };
    session.close().await;
    done("restore", restored(fixture, fence(tenant, 1), parts(&copy)).await);
    let session = login(fixture, &credentials).await;
    let mut values = Vec::new();
    for key in ["first", "second"] {
        let value = get(&*session, key).await.expect("the value is in the copy");
        values.push(value.parse::<u64>().expect("a number"));
    }
    let whole = values[0] == values[1] || values[0] == values[1] + 1;
    assert!(whole, "the copy mixes moments: {values:?} of {number}");
}

/// Nothing of another tenant is in it.
pub async fn dump_holds_nothing_of_others<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (mine, theirs) = (ensured(fixture, 1).await, ensured(fixture, 1).await);
    let (my_credentials, their_credentials) =
        (issued(fixture, mine, 1).await, issued(fixture, theirs, 1).await);
    let me = login(fixture, &my_credentials).await;
    let they = login(fixture, &their_credentials).await;
    put(&*me, "mine", "value").await;
    put(&*they, "theirs", "before").await;
    let copy = copied(fixture, mine).await;
    put(&*they, "theirs", "after").await;
    done("restore", restored(fixture, fence(mine, 1), parts(&copy)).await);
    let me = login(fixture, &my_credentials).await;
    assert_eq!(get(&*me, "mine").await.as_deref(), Some("value"), "the tenant's own data");
    assert_eq!(get(&*me, "theirs").await, None, "another tenant's data");
    // Their session was not touched, either.
    assert_eq!(get(&*they, "theirs").await.as_deref(), Some("after"), "as they left it");
}

/// A stream that is dropped before its end leaves nothing behind.
pub async fn dump_that_is_dropped_leaves_nothing<F: DatabaseSnapshotsFixture + ?Sized>(
    fixture: &F,
) {
    let tenant = ensured(fixture, 1).await;
    let session = login(fixture, &issued(fixture, tenant, 1).await).await;
    put(&*session, "key", &"value".repeat(1000)).await;
    drop(done("dump", fixture.snapshots().dump(tenant).await));
    nothing_left(fixture).await;
    let mut copy = done("dump", fixture.snapshots().dump(tenant).await);
    let first = soon("the first part of a copy", copy.next()).await.expect("a copy has parts");
    assert!(!done("reading", first).is_empty(), "the first part should hold something");
    drop(copy);
    nothing_left(fixture).await;
    // One that is read to its end does not, either.
    copied(fixture, tenant).await;
    nothing_left(fixture).await;
    assert_eq!(get(&*session, "key").await.map(|v| v.len()), Some(5000), "the data stays");
}

/// A tenant without a database is `NotFound`.
pub async fn dump_refuses_an_unknown_tenant<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let result = fixture.snapshots().dump(TenantId::new()).await.map(|_| ());
    refused("dump of an unknown tenant", result, ErrorKind::NotFound);
    let tenant = ensured(fixture, 1).await;
    fixture.drop_storage(tenant).await;
    let result = fixture.snapshots().dump(tenant).await.map(|_| ());
    refused("dump without a database", result, ErrorKind::NotFound);
    nothing_left(fixture).await;
}

/// Another platform's tenant is `Conflict`.
pub async fn dump_refuses_another_platforms<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, other) = (TenantId::new(), fixture.other_platform());
    done("ensure by the other platform", other.ensure(&spec(fixture, fence(tenant, 1))).await);
    let result = fixture.snapshots().dump(tenant).await.map(|_| ());
    refused("dump of another platform's", result, ErrorKind::Conflict);
    nothing_left(fixture).await;
}
