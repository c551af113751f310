//! Lists, activity, health.

use super::{ensured, fence, issued, login, spec, the_one};
use crate::TenantId;
use crate::conformance::DatabaseFixture;
use crate::conformance::support::{done, eventually, names_a_version};

/// Halves are listed, too.
pub async fn list_includes_halves<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let database = fixture.database();
    let (roleless, storageless) = (ensured(fixture, 1).await, ensured(fixture, 1).await);
    fixture.drop_role(roleless).await;
    fixture.drop_storage(storageless).await;
    let entry = the_one(&database, roleless).await;
    let half = (entry.storage, entry.role);
    assert_eq!(half, (Some(fixture.isolation()), false), "storage and role of the first half");
    let entry = the_one(&database, storageless).await;
    assert_eq!((entry.storage, entry.role), (None, true), "storage and role of the second half");
    let mut all: Vec<_> =
        done("list", database.list(None).await).into_iter().map(|entry| entry.tenant).collect();
    let mut known = [roleless, storageless];
    all.sort_unstable();
    known.sort_unstable();
    assert_eq!(all, known, "both halves should be among all, once each");
}

/// A role that can't log in is told as locked, one that can is not.
pub async fn list_tells_who_is_locked<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let entry = the_one(&database, tenant).await;
    assert!(entry.locked, "nothing was issued yet: {entry:?}");
    let _session = login(fixture, &issued(fixture, tenant, 1).await).await;
    let entry = the_one(&database, tenant).await;
    assert!(!entry.locked, "it can log in: {entry:?}");
    fixture.drop_role(tenant).await;
    let entry = the_one(&database, tenant).await;
    assert!(!entry.locked, "there is no role: {entry:?}");
}

/// Other platforms' are not listed.
pub async fn list_leaves_out_other_platforms<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, other) = (fixture.database(), fixture.other_platform());
    let (ours, theirs) = (ensured(fixture, 1).await, TenantId::new());
    done("ensure by the other platform", other.ensure(&spec(fixture, fence(theirs, 1))).await);
    fixture.make_unmarked(TenantId::new()).await;
    let ours = the_one(&database, ours).await;
    assert_eq!(done("list", database.list(None).await), [ours], "only ours should be listed");
    assert_eq!(done("list", database.list(Some(theirs)).await), [], "theirs by its tenant");
    let theirs = the_one(&other, theirs).await;
    assert_eq!(done("list", other.list(None).await), [theirs], "only theirs is listed there");
}

/// A new session of the tenant's app is seen, and is newer than `now` of an earlier call.
pub async fn activity_sees_a_new_session<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let credentials = issued(fixture, tenant, 1).await;
    let _older = login(fixture, &credentials).await;
    let before = done("activity", database.activity(tenant).await);
    assert_eq!(before.sessions, 1, "one session is open: {before:?}");
    assert!(before.newest_session <= Some(before.now), "it began in the past: {before:?}");
    let _newer = login(fixture, &credentials).await;
    let after = done("activity", database.activity(tenant).await);
    assert_eq!(after.sessions, 2, "two sessions are open: {after:?}");
    let newest = after.newest_session;
    assert!(newest > Some(before.now), "{newest:?} should be newer than {:?}", before.now);
}

/// Without sessions there is none, and that is no error.
pub async fn activity_without_sessions_is_no_error<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    let quiet = done("activity without a session", database.activity(tenant).await);
    assert_eq!((quiet.newest_session, quiet.sessions), (None, 0), "nobody ever logged in");
    login(fixture, &issued(fixture, tenant, 1).await).await.close().await;
    eventually("a session that ended should be seen no more", async || {
        let activity = done("activity", database.activity(tenant).await);
        if activity.newest_session.is_none() { Ok(()) } else { Err(activity) }
    })
    .await;
}

/// It names the server and its version.
pub async fn health_names_the_server<F: DatabaseFixture + ?Sized>(fixture: &F) {
    names_a_version(&done("health", fixture.database().health().await));
}
