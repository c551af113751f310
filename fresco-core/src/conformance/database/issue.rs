//! Giving passwords.

use super::{ensured, fence, get, issued, locked_out, login, put, the_one};
use crate::conformance::DatabaseFixture;
use crate::conformance::support::{done, eventually, refused};
use crate::{ErrorKind, TenantId};

/// One can log in with it and reach the tenant's storage.
pub async fn issue_lets_one_in<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    let credentials = issued(fixture, tenant, 1).await;
    for (what, url) in [("direct", &credentials.direct), ("pooled", &credentials.pooled)] {
        let session = done(&format!("a {what} login"), fixture.connect(url).await);
        put(&*session, what, "value").await;
        assert_eq!(get(&*session, what).await.as_deref(), Some("value"), "what {what} kept");
    }
}

/// The password before it no longer works, and sessions that used it are ended.
pub async fn issue_ends_the_password_before_it<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    let old = issued(fixture, tenant, 1).await;
    let session = login(fixture, &old).await;
    put(&*session, "kept", "value").await;
    let new = issued(fixture, tenant, 2).await;
    assert_ne!(old.id, new.id, "each issue should have an id of its own");
    locked_out("with the old password", fixture, &old).await;
    eventually("the session of the old password should be ended", async || {
        if session.is_open().await { Err("it is open") } else { Ok(()) }
    })
    .await;
    let later = login(fixture, &new).await;
    assert_eq!(get(&*later, "kept").await.as_deref(), Some("value"), "the tenant's data");
}

/// Settings that the tenant put on its role are gone.
pub async fn issue_clears_settings_of_the_role<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let tenant = ensured(fixture, 1).await;
    let old = issued(fixture, tenant, 1).await;
    done("a setting on the role", login(fixture, &old).await.change_role().await);
    let before = done("the setting", login(fixture, &old).await.has_role_setting().await);
    assert!(before, "the fixture's setting should hold for a new session");
    let new = issued(fixture, tenant, 2).await;
    let after = done("the setting", login(fixture, &new).await.has_role_setting().await);
    assert!(!after, "after another issue the setting should be gone");
}

/// The issue is listed as the tenant's credential.
pub async fn issue_is_listed<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 1).await);
    for generation in [1, 2] {
        let credentials = issued(fixture, tenant, generation).await;
        let entry = the_one(&database, tenant).await;
        assert_eq!(entry.credential, Some(credentials.id), "the newest issue should be listed");
    }
}

/// Without `ensure` before it: `NotFound`.
pub async fn issue_needs_ensure<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let result = fixture.database().issue(fence(TenantId::new(), 1)).await;
    refused("issue without ensure", result, ErrorKind::NotFound);
}

/// A lower generation than one seen is `LeaseLost`, and the old password still works.
pub async fn issue_refuses_a_lower_generation<F: DatabaseFixture + ?Sized>(fixture: &F) {
    let (database, tenant) = (fixture.database(), ensured(fixture, 5).await);
    let credentials = issued(fixture, tenant, 5).await;
    let session = login(fixture, &credentials).await;
    let late = database.issue(fence(tenant, 4)).await;
    refused("a late issue", late, ErrorKind::LeaseLost);
    assert!(session.is_open().await, "the app's session should go on");
    login(fixture, &credentials).await;
    let entry = the_one(&database, tenant).await;
    assert_eq!(entry.credential, Some(credentials.id), "the credential that is listed");
}
