//! For whom a subdomain is kept, while its tenant is just being destroyed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

mod support;

use std::time::Duration;

use fresco_core::{
    Action, Actor, AppProfile, ErrorKind, NewOperation, OwnerId, Quota, Store, Target, TenantId,
    TenantSpec,
};
use support::store::open;
use support::{Server, until};

fn spec(owner: &str) -> TenantSpec {
    let (app, image) = (AppProfile::generic(), "app:1".parse().unwrap());
    TenantSpec::new(OwnerId::new(owner), "ants".parse().unwrap(), app, image)
}

fn create(spec: &TenantSpec) -> NewOperation {
    let mut quota = Quota::unlimited();
    quota.cooldown = Duration::from_secs(3600);
    let target = Target { spec: spec.clone(), image: None };
    NewOperation::new(Action::Create, Actor::User("somebody".into()), target).under(quota)
}

/// Whoever asks while the last write of a destroy is under way waits for it, and then finds the
/// tombstone that was not there when the request came.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn nobody_slips_in_at_the_very_moment_when_a_tenant_is_gone() {
    let platform = Server::shared("16").await.platform().await;
    let store = open(&platform).await;
    for (asks, lets_in) in [("bob", false), ("ada", true)] {
        let (id, adas) = (TenantId::new(), spec("ada"));
        store.create(id, &adas, &create(&adas)).await.unwrap();
        let mut superuser = platform.server.superuser(&platform.name).await;
        let write = superuser.transaction().await.unwrap();
        let sql = "UPDATE fresco.tenants SET status = 'destroyed', state = state ||
                    jsonb_build_object('status', 'destroyed', 'first_active_at', now(),
                                       'destroyed_at', now()) WHERE id = $1";
        assert_eq!(write.execute(sql, &[&id.as_uuid()]).await.unwrap(), 1);
        let asking = tokio::spawn({
            let (store, spec) = (store.clone(), spec(asks));
            async move { store.create(TenantId::new(), &spec, &create(&spec)).await }
        });
        let inside = platform.server.superuser(&platform.name).await;
        let waiting =
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
        until("the request waits for the write", || async {
            inside.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        write.commit().await.unwrap();
        let answer = asking.await.unwrap();
        if lets_in {
            assert_eq!(answer.unwrap().0.spec.owner, spec("ada").owner);
        } else {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(error.context("kept_until").is_some(), "{error:?}");
        }
    }
}
