//! Making role and storage.

use futures_util::future::join_all;

use super::{done, ensured, fence, get, issued, listed, login, put, spec, the_one};
use crate::conformance::DatabaseFixture;
use crate::conformance::support::refused;
use crate::{DatabaseSpec, ErrorKind, Isolation, TenantId};

/// Afterwards role and storage are listed.
pub async fn ensure_makes_role_and_storage<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let database = fixture.database();
    assert!(database.supports(fixture.isolation()), "the backend should support this isolation");
    let tenant = ensured(fixture, 1).await;
    let entry = the_one(&database, tenant).await;
    assert_eq!(entry.tenant, tenant, "the entry's tenant");
    assert_eq!(entry.storage, Some(fixture.isolation()), "the entry's storage");
    assert!(entry.role, "the role should be there: {entry:?}");
    assert_eq!(entry.credential, None, "no credentials were issued yet");
}

/// Again with the same spec: nothing changes, and data and credentials stay.
pub async fn ensure_twice_changes_nothing<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let credentials = issued(fixture, tenant, 1).await;
    let session = login(fixture, &credentials).await;
    put(&*session, "kept", "value").await;
    let before = the_one(&database, tenant).await;
    for generation in [1, 2] {
        let spec = spec(fixture, fence(tenant, generation));
        done("ensure again", database.ensure(&spec).await);
    }
    assert_eq!(the_one(&database, tenant).await, before, "nothing should have changed");
    assert!(session.is_open().await, "the app's session should go on");
    let later = login(fixture, &credentials).await;
    assert_eq!(get(&*later, "kept").await.as_deref(), Some("value"), "the tenant's data");
}

/// Half of it there (only the role, only the storage): the rest is made.
pub async fn ensure_completes_halves<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let database = fixture.database();
    for only_storage in [true, false] {
        let tenant = ensured(fixture, 1).await;
        if only_storage {
            fixture.drop_role(tenant).await;
        } else {
            fixture.drop_storage(tenant).await;
        }
        done("ensure of the rest", database.ensure(&spec(fixture, fence(tenant, 2))).await);
        let entry = the_one(&database, tenant).await;
        let whole = entry.role && entry.storage == Some(fixture.isolation());
        assert!(whole, "role and storage should be there: {entry:?}");
        let session = login(fixture, &issued(fixture, tenant, 2).await).await;
        put(&*session, "works", "again").await;
        assert_eq!(get(&*session, "works").await.as_deref(), Some("again"), "the new storage");
    }
}

/// A lower generation than one seen is `LeaseLost` and changes nothing.
pub async fn ensure_refuses_a_lower_generation<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 5).await);
    let late = spec(fixture, fence(tenant, 4));
    refused("a late ensure", database.ensure(&late).await, ErrorKind::LeaseLost);
    // With a half missing it would have something to do.
    fixture.drop_storage(tenant).await;
    refused("a late ensure of a half", database.ensure(&late).await, ErrorKind::LeaseLost);
    assert_eq!(the_one(&database, tenant).await.storage, None, "it should have made nothing");
}

/// A lower generation is refused after the tenant was removed, too.
pub async fn ensure_refuses_a_lower_generation_after_removal<F: DatabaseFixture + ?Sized>(
    fixture: &F,
) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 5).await);
    done("remove", database.remove(fence(tenant, 6)).await);
    let late = spec(fixture, fence(tenant, 5));
    refused("a late ensure after removal", database.ensure(&late).await, ErrorKind::LeaseLost);
    assert_eq!(listed(&database, tenant).await, [], "it should have made nothing");
    done("a newer ensure", database.ensure(&spec(fixture, fence(tenant, 7))).await);
}

/// Something of the tenant's name that carries another platform's mark, or none, is
/// `Conflict` and is left alone.
pub async fn ensure_refuses_foreign_things<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, other) = (fixture.database(), fixture.other_platform());
    let first = TenantId::new();
    done("ensure by the other platform", other.ensure(&spec(fixture, fence(first, 1))).await);
    let theirs = the_one(&other, first).await;
    let result = database.ensure(&spec(fixture, fence(first, 2))).await;
    refused("ensure over another platform's", result, ErrorKind::Conflict);
    assert_eq!(the_one(&other, first).await, theirs, "theirs should be as it was");
    assert_eq!(listed(&database, first).await, [], "nothing of ours should be there");

    let second = TenantId::new();
    fixture.make_unmarked(second).await;
    let result = database.ensure(&spec(fixture, fence(second, 1))).await;
    refused("ensure over things without a mark", result, ErrorKind::Conflict);
    assert!(fixture.unmarked_is_there(second).await, "they should be left alone");
    assert_eq!(listed(&database, second).await, [], "what has no mark is not ours");
}

/// The other isolation than the one there is `Conflict`.
pub async fn ensure_refuses_the_other_isolation<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let before = the_one(&database, tenant).await;
    let other = match fixture.isolation() {
        Isolation::Schema => Isolation::Database,
        Isolation::Database => Isolation::Schema,
    };
    // A backend that knows one isolation only has another reason to refuse.
    let kind = if database.supports(other) { ErrorKind::Conflict } else { ErrorKind::Unsupported };
    let result = database.ensure(&DatabaseSpec::new(fence(tenant, 2), other, 10)).await;
    refused("ensure with the other isolation", result, kind);
    assert_eq!(the_one(&database, tenant).await, before, "nothing should have changed");
}

/// Many tenants may be made at the same time.
pub async fn ensure_of_many_at_once<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let database = fixture.database();
    let tenants: Vec<_> = (0..8).map(|_| TenantId::new()).collect();
    let results = join_all(tenants.iter().map(|tenant| {
        let (database, spec) = (database.clone(), spec(fixture, fence(*tenant, 1)));
        async move { database.ensure(&spec).await }
    }))
    .await;
    for (tenant, result) in tenants.into_iter().zip(results) {
        done("one of eight at once", result);
        let entry = the_one(&database, tenant).await;
        assert!(entry.role && entry.storage.is_some(), "one of eight is not whole: {entry:?}");
    }
}
