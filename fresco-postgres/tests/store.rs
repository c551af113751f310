//! What the store keeps under load, and when PostgreSQL restarts.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use fresco_core::{
    Action, Actor, AppProfile, Change, Direction, Entry, ErrorKind, Failure, LeaseTerms,
    NewOperation, OperationId, OperationStatus, OwnerId, Stage, Step, Store, Target, TenantId,
    TenantSpec, WorkerId,
};
use fresco_postgres::{PostgresStore, PostgresStoreConfig};
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::{Server, connect, until};

const TERMS: LeaseTerms =
    LeaseTerms { ttl: Duration::from_secs(30), budget: Duration::from_secs(60) };

fn spec(subdomain: &str) -> TenantSpec {
    let (app, image) = (AppProfile::generic(), "app:1".parse().unwrap());
    TenantSpec::new(OwnerId::new("alice"), subdomain.parse().unwrap(), app, image)
        .with_env("API_KEY".parse().unwrap(), "hunter2".parse().unwrap())
}

fn operation(action: Action, spec: &TenantSpec) -> NewOperation {
    let target = Target { spec: spec.clone(), image: None };
    NewOperation { id: OperationId::new(), action, actor: Actor::System, target }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn eight_programs_migrate_at_once() {
    let platform = Server::shared("16").await.platform().await;
    let config = PostgresStoreConfig::new(platform.url()).with_connections(2);
    let unmigrated = PostgresStore::connect(config.clone().without_migration()).await;
    assert_eq!(unmigrated.unwrap_err().kind(), ErrorKind::Invalid);

    let stores = join_all((0..8).map(|_| PostgresStore::connect(config.clone()))).await;
    let mut ids = BTreeSet::new();
    for store in stores {
        ids.insert(store.unwrap().platform().await.unwrap());
    }
    assert_eq!(ids.len(), 1, "all of them are one platform");
    // Once more, as after every restart.
    PostgresStore::migrate(&config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_platforms_database_is_closed_to_others() {
    let platform = Server::shared("16").await.platform().await;
    let superuser = platform.server.superuser("postgres").await;
    let other = format!("{}_other", platform.name);
    let sql = format!("CREATE ROLE {other} LOGIN PASSWORD 'x'");
    superuser.batch_execute(&sql).await.unwrap();
    let url = platform.server.url(&other, "x", &platform.name);
    assert!(connect(&url).await.is_ok(), "a new database lets everybody in");

    PostgresStore::connect(PostgresStoreConfig::new(platform.url())).await.unwrap();
    let error = connect(&url).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    let inside = platform.server.superuser(&platform.name).await;
    let sql = "SELECT has_schema_privilege('public', 'public', 'USAGE')
                   OR has_schema_privilege('public', 'fresco', 'USAGE')";
    assert!(!inside.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_log_with_a_nul_can_be_stored_and_owners_secrets_are_not_multiplied() {
    let platform = Server::shared("16").await.platform().await;
    let store = PostgresStore::connect(PostgresStoreConfig::new(platform.url())).await.unwrap();
    let spec = spec("nul");
    let new = operation(Action::Create, &spec);
    store.create(TenantId::new(), &spec, &new).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let failure = Failure::new(ErrorKind::Internal, Step::Ready, "it\0ended")
        .with_log_tail(vec!["last\0words".into()]);
    let entry = Entry::new(Stage::first(Action::Create), lease.tenant.state.clone())
        .with_change(Change::StepFailed(Direction::Forward, Step::Ready, failure));
    store.record(&lease, &entry).await.unwrap();

    let stored = store.operation(new.id).await.unwrap();
    assert_eq!(stored.error.unwrap().log_tail, ["last\u{fffd}words"]);
    let mut events = store.events(new.id, 0).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    let fresco_core::Event::Step { operation, .. } = event else { panic!("{event:?}") };
    assert_eq!(operation.target, new.target, "an event tells the whole operation");
    let inside = platform.server.superuser(&platform.name).await;
    let sql = "SELECT count(*) FROM fresco.events WHERE data::text LIKE '%hunter2%'";
    assert_eq!(inside.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn many_workers_do_each_operation_once() {
    let platform = Server::shared("16").await.platform().await;
    let config = PostgresStoreConfig::new(platform.url());
    let store = Arc::new(PostgresStore::connect(config).await.unwrap());
    let creates = (0..40).map(|number| {
        let spec = spec(&format!("tenant-{number}"));
        let store = &store;
        async move {
            let new = operation(Action::Create, &spec);
            store.create(TenantId::new(), &spec, &new).await.unwrap();
        }
    });
    join_all(creates).await;

    let workers = (0..6).map(|_| {
        let store = store.clone();
        async move {
            let (worker, mut done) = (WorkerId::new(), Vec::new());
            // Another worker may just have locked what there is, so one empty answer says nothing.
            let mut empty = 0;
            while empty < 20 {
                let Some(lease) = store.lease(worker, &TERMS).await.unwrap() else {
                    empty += 1;
                    continue;
                };
                let entry = Entry::new(lease.stage.clone(), lease.tenant.state.clone())
                    .with_change(Change::Succeeded);
                let operation = store.record(&lease, &entry).await.unwrap();
                assert_eq!(operation.status, OperationStatus::Success);
                done.push(operation.id);
            }
            done
        }
    });
    let done: Vec<_> = join_all(workers).await.into_iter().flatten().collect();
    assert_eq!(done.len(), 40);
    assert_eq!(done.iter().map(|id| id.as_uuid()).collect::<BTreeSet<_>>().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_restart_of_postgresql_pauses_work_and_loses_nothing() {
    // Docker gives a restarted container another port, unless it is told one.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Arc::new(Server::start("16", Some(port)).await);
    let platform = server.clone().platform().await;
    let config = PostgresStoreConfig::new(platform.url()).with_timeout(Duration::from_secs(4));
    let store = PostgresStore::connect(config).await.unwrap();
    let spec = spec("restart");
    let new = operation(Action::Create, &spec);
    store.create(TenantId::new(), &spec, &new).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let mut events = store.events(new.id, 0).await.unwrap();

    docker("stop", &server).await;
    for _ in 0..3 {
        let error = store.renew(&lease, TERMS.ttl).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.is_retryable());
    }
    assert!(store.health().await.is_err());

    docker("start", &server).await;
    until("the store works again", || async { store.health().await.is_ok() }).await;
    store.renew(&lease, TERMS.ttl).await.unwrap();
    let entry = Entry::new(lease.stage.clone(), lease.tenant.state.clone())
        .with_change(Change::StepStarted(Direction::Forward, Step::Image));
    store.record(&lease, &entry).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
    assert_eq!(event.unwrap().unwrap().unwrap().seq(), Some(1), "the old stream goes on");
}

async fn docker(verb: &'static str, server: &Server) {
    let mut command = std::process::Command::new("docker");
    command.args([verb, server.container_id()]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
