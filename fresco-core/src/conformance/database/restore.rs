//! Copying in.

use futures_util::{StreamExt, stream};

use super::{
    copied, ensured, fence, get, issued, login, nothing_left, parts, put, restored, spec, the_one,
};
use crate::conformance::support::{done, refused};
use crate::conformance::{DatabaseClient, DatabaseSnapshotsFixture};
use crate::{Credentials, Error, ErrorKind, TenantId};

/// A tenant that keeps one value, and its app's credentials and session.
async fn with_a_value<F: DatabaseSnapshotsFixture + ?Sized>(
    fixture: &F,
    generation: i64,
    value: &str,
) -> (TenantId, Credentials, Box<dyn DatabaseClient>) {
    let tenant = ensured(fixture, generation).await;
    let credentials = issued(fixture, tenant, generation).await;
    let session = login(fixture, &credentials).await;
    put(&*session, "key", value).await;
    (tenant, credentials, session)
}

async fn value<F: DatabaseSnapshotsFixture + ?Sized>(
    fixture: &F,
    credentials: &Credentials,
    key: &str,
) -> Option<String> {
    get(&*login(fixture, credentials).await, key).await
}

/// What was changed or added since the copy is as it was then.
pub async fn restore_brings_back_what_was<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, session) = with_a_value(fixture, 1, "then\t\\.\n'ä'").await;
    put(&*session, "\\.", "\\N").await;
    let copy = copied(fixture, tenant).await;
    put(&*session, "key", "now").await;
    put(&*session, "added", "now").await;
    session.close().await;
    for _ in 0..2 {
        done("restore", restored(fixture, fence(tenant, 1), parts(&copy)).await);
        let then = value(fixture, &credentials, "key").await;
        assert_eq!(then.as_deref(), Some("then\t\\.\n'ä'"), "what was changed");
        assert_eq!(value(fixture, &credentials, "\\.").await.as_deref(), Some("\\N"), "odd names");
        assert_eq!(value(fixture, &credentials, "added").await, None, "what was added");
    }
    // The app can go on with it.
    put(&*login(fixture, &credentials).await, "key", "later").await;
    // A copy without any data takes away all that is there now.
    let empty = ensured(fixture, 1).await;
    let copy = copied(fixture, empty).await;
    let credentials = issued(fixture, empty, 1).await;
    put(&*login(fixture, &credentials).await, "key", "now").await;
    done("restore", restored(fixture, fence(empty, 1), parts(&copy)).await);
    assert_eq!(value(fixture, &credentials, "key").await, None, "what an empty copy lacks");
}

/// The data comes back after the tenant was removed and made anew.
pub async fn restore_fills_a_tenant_made_anew<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, _, session) = with_a_value(fixture, 1, "value").await;
    session.close().await;
    let (copy, database) = (copied(fixture, tenant).await, fixture.database());
    done("remove", database.remove(fence(tenant, 2)).await);
    done("ensure", database.ensure(&spec(fixture, fence(tenant, 3))).await);
    done("restore", restored(fixture, fence(tenant, 3), parts(&copy)).await);
    let credentials = issued(fixture, tenant, 3).await;
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("value"));
    put(&*login(fixture, &credentials).await, "key", "later").await;
}

/// The tenant's credentials stay as they are.
pub async fn restore_keeps_the_credentials<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, _, _) = with_a_value(fixture, 1, "value").await;
    let copy = copied(fixture, tenant).await;
    let credentials = issued(fixture, tenant, 1).await;
    done("restore", restored(fixture, fence(tenant, 2), parts(&copy)).await);
    let entry = the_one(&fixture.database(), tenant).await;
    assert_eq!(entry.credential, Some(credentials.id), "the credentials issued last");
    assert_eq!(entry.storage, Some(fixture.isolation()), "{entry:?}");
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("value"));
}

/// It works while the tenant's app is connected, whatever the app has locked.
pub async fn restore_works_while_connected<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, session) = with_a_value(fixture, 1, "then").await;
    let copy = copied(fixture, tenant).await;
    put(&*session, "key", "now").await;
    done("a lock of the tenant's", session.lock().await);
    done("restore", restored(fixture, fence(tenant, 1), parts(&copy)).await);
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("then"));
}

/// A copy that is cut off, or is none, is `Invalid` and changes nothing.
pub async fn restore_refuses_what_is_no_copy<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, session) = with_a_value(fixture, 1, &"then".repeat(1000)).await;
    let copy = copied(fixture, tenant).await;
    put(&*session, "key", "now").await;
    session.close().await;
    let bad = [
        ("nothing", &[][..]),
        ("a text", b"this is no copy at all, but a text of some length that somebody wrote"),
        ("a beginning", &copy[..16.min(copy.len() / 2)]),
        ("a half", &copy[..copy.len() / 2]),
        ("all but the end", &copy[..copy.len() - 1]),
    ];
    for (what, bytes) in bad {
        let result = restored(fixture, fence(tenant, 1), parts(bytes)).await;
        refused(what, result, ErrorKind::Invalid);
        assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("now"), "{what}");
    }
}

/// A copy of another tenant is `Invalid` and changes nothing.
pub async fn restore_refuses_another_tenants_copy<F: DatabaseSnapshotsFixture + ?Sized>(
    fixture: &F,
) {
    let (mine, credentials, _) = with_a_value(fixture, 1, "mine").await;
    let (theirs, their_credentials, _) = with_a_value(fixture, 1, "theirs").await;
    let copy = copied(fixture, theirs).await;
    let result = restored(fixture, fence(mine, 1), parts(&copy)).await;
    refused("a copy of another tenant", result, ErrorKind::Invalid);
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("mine"));
    assert_eq!(value(fixture, &their_credentials, "key").await.as_deref(), Some("theirs"));
}

/// An error of the stream comes back as it is, and nothing is changed.
pub async fn restore_hands_on_an_error_of_the_stream<F: DatabaseSnapshotsFixture + ?Sized>(
    fixture: &F,
) {
    let (tenant, credentials, session) = with_a_value(fixture, 1, "then").await;
    let copy = copied(fixture, tenant).await;
    put(&*session, "key", "now").await;
    session.close().await;
    // All of it came, but whoever sent it does not know that.
    let broken = Error::new(ErrorKind::Exhausted, "the line to the archive is cut");
    let copy = parts(&copy).chain(stream::iter([Err(broken)])).boxed();
    let result = restored(fixture, fence(tenant, 1), copy).await;
    let error = refused("a copy that breaks off", result, ErrorKind::Exhausted);
    assert_eq!(error.message(), "the line to the archive is cut");
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("now"));
}

/// It leaves nothing behind, whether it works or not.
pub async fn restore_leaves_nothing_behind<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, _) = with_a_value(fixture, 1, "then").await;
    let copy = copied(fixture, tenant).await;
    done("restore", restored(fixture, fence(tenant, 1), parts(&copy)).await);
    nothing_left(fixture).await;
    let result = restored(fixture, fence(tenant, 1), parts(&copy[..copy.len() / 2])).await;
    refused("a half", result, ErrorKind::Invalid);
    nothing_left(fixture).await;
    // Nor when nobody waits for it any more.
    let never = parts(&copy[..copy.len() / 2]).chain(stream::pending()).boxed();
    let snapshots = fixture.snapshots();
    let mut restoring = snapshots.restore(fence(tenant, 1), never);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(300), &mut restoring).await;
    assert!(waited.is_err(), "it can't end before the copy does: {waited:?}");
    drop(restoring);
    nothing_left(fixture).await;
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("then"));
}

/// A lower generation than the one seen last is `LeaseLost` and the data stays.
pub async fn restore_refuses_a_lower_generation<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, credentials, session) = with_a_value(fixture, 5, "then").await;
    let copy = copied(fixture, tenant).await;
    put(&*session, "key", "now").await;
    session.close().await;
    let result = restored(fixture, fence(tenant, 4), parts(&copy)).await;
    refused("a late restore", result, ErrorKind::LeaseLost);
    assert_eq!(value(fixture, &credentials, "key").await.as_deref(), Some("now"));
    nothing_left(fixture).await;
}

/// Without a database for the tenant it is `NotFound`.
pub async fn restore_refuses_an_unknown_tenant<F: DatabaseSnapshotsFixture + ?Sized>(fixture: &F) {
    let (tenant, _, session) = with_a_value(fixture, 1, "value").await;
    session.close().await;
    let copy = copied(fixture, tenant).await;
    done("remove", fixture.database().remove(fence(tenant, 1)).await);
    let result = restored(fixture, fence(tenant, 1), parts(&copy)).await;
    refused("restore of a removed tenant", result, ErrorKind::NotFound);
    let result = restored(fixture, fence(TenantId::new(), 1), parts(&copy)).await;
    refused("restore of an unknown tenant", result, ErrorKind::NotFound);
    nothing_left(fixture).await;
}
