//! What the store keeps under load, and when PostgreSQL restarts.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

#[path = "../support/mod.rs"]
mod support;
mod unreadable;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fresco_core::{
    Action, Actor, AppProfile, Capacity, Change, Direction, Entry, ErrorKind, Failure, LeaseTerms,
    NewOperation, OperationStatus, OwnerId, Stage, Step, Store, Target, TenantId, TenantQuery,
    TenantSpec, TenantStatus, WorkerId,
};
use fresco_ports::free_port;
use fresco_postgres::PostgresStore;
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::store::{config, open};
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
    NewOperation::new(action, Actor::System, target)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn eight_programs_migrate_at_once() {
    let platform = Server::shared("16").await.platform().await;
    let config = config(&platform).connections(2);
    let unmigrated = PostgresStore::connect(config.clone().migrate(false)).await;
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

    open(&platform).await;
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
    let store = open(&platform).await;
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

/// Not even in the stage, which tells why an operation was undone, and which nobody asks for later.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn what_an_app_said_last_is_nowhere_once_its_tenant_is_gone() {
    let platform = Server::shared("16").await.platform().await;
    let store = open(&platform).await;
    let (tenant, spec) = (TenantId::new(), spec("gone"));
    store.create(tenant, &spec, &operation(Action::Create, &spec)).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let failure = Failure::new(ErrorKind::Internal, Step::Ready, "it ended")
        .with_log_tail(vec!["last words".into()]);
    let stage = Stage::first(Action::Create).undoing(Action::Create, failure.clone());
    let entry = Entry::new(stage, lease.tenant.state.clone()).with_change(Change::Failed(failure));
    store.record(&lease, &entry).await.unwrap();

    let inside = platform.server.superuser(&platform.name).await;
    let places = async || {
        let sql = "SELECT count(*) FROM (
                    SELECT data::text AS text FROM fresco.operations UNION ALL
                    SELECT stage::text FROM fresco.operations UNION ALL
                    SELECT data::text FROM fresco.events UNION ALL
                    SELECT t::text FROM fresco.tenants t) AS all_of_it WHERE text LIKE '%last words%'";
        inside.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(places().await, 3, "operation, stage and event");
    let now = store.tenants(&TenantQuery::one(tenant)).await.unwrap().tenants.remove(0);
    store.request(tenant, now.generation, &operation(Action::Destroy, &spec)).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let mut end = Entry::new(Stage::first(Action::Destroy), lease.tenant.state.clone())
        .with_change(Change::Succeeded);
    end.tenant.status = TenantStatus::Destroyed;
    store.record(&lease, &end).await.unwrap();
    assert_eq!(places().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_crowd_that_looks_for_room_leaves_connections_to_the_workers() {
    let platform = Server::shared("16").await.platform().await;
    let store = Arc::new(PostgresStore::connect(config(&platform).connections(2)).await.unwrap());
    // Somebody looks for room, and takes his time.
    let inside = platform.server.superuser(&platform.name).await;
    let lock = 0x6672_6573_636f_0004_i64;
    inside.execute("SELECT pg_advisory_lock($1)", &[&lock]).await.unwrap();
    let crowd = (0..20).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut capacity = Capacity::unlimited();
            capacity.reserved_memory_mb = Some(1 << 20);
            let spec = spec(&format!("crowd-{number}"));
            let new = operation(Action::Create, &spec).within(capacity);
            store.create(TenantId::new(), &spec, &new).await
        })
    });
    let crowd: Vec<_> = crowd.collect();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waiting = async || inside.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0);
    until("one of them waits", || async { waiting().await > 0 }).await;
    let lease = store.lease(WorkerId::new(), &TERMS);
    // Less than it waits for a connection that others hold.
    let lease = tokio::time::timeout(Duration::from_secs(4), lease).await;
    assert!(lease.expect("a worker needs a connection").unwrap().is_none());
    assert_eq!(waiting().await, 1);
    inside.execute("SELECT pg_advisory_unlock($1)", &[&lock]).await.unwrap();
    for created in join_all(crowd).await {
        created.unwrap().unwrap();
    }
}

/// Of a crowd that asks at the same moment, one finds that there is no room; the others are told by it
/// without asking the database, and whoever repeats what was accepted before is told what came of it.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_crowd_before_a_full_platform_is_answered_at_once() {
    let platform = Server::shared("16").await.platform().await;
    let store = Arc::new(PostgresStore::connect(config(&platform)).await.unwrap());
    let (first, known) = (TenantId::new(), spec("known"));
    let new = |spec: &TenantSpec| {
        let mut capacity = Capacity::unlimited();
        capacity.reserved_memory_mb = Some(1);
        operation(Action::Create, spec).within(capacity)
    };
    let plain = operation(Action::Create, &known);
    store.create(first, &known, &plain).await.unwrap();
    let inside = platform.server.superuser(&platform.name).await;
    let lock = 0x6672_6573_636f_0004_i64;
    inside.execute("SELECT pg_advisory_lock($1)", &[&lock]).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let crowd = (0..20).map(|number| {
        let (store, spec) = (store.clone(), spec(&format!("late-{number}")));
        let new = new(&spec);
        tokio::spawn(async move { store.create(TenantId::new(), &spec, &new).await })
    });
    let crowd: Vec<_> = crowd.collect();
    let repeated = {
        let (store, known) = (store.clone(), known.clone());
        let new = new(&known);
        tokio::spawn(async move { store.create(first, &known, &new).await })
    };
    let waits =
        async |count| inside.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == count;
    until("one of them waits", || waits(1)).await;
    // The lock goes to that one, and then to somebody who keeps it: none of the others can have it.
    let keeper = Arc::new(platform.server.superuser(&platform.name).await);
    let kept = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.execute("SELECT pg_advisory_lock($1)", &[&lock]).await }
    });
    until("the keeper waits behind it", || waits(2)).await;
    inside.execute("SELECT pg_advisory_unlock($1)", &[&lock]).await.unwrap();
    kept.await.unwrap().unwrap();
    let crowd = tokio::time::timeout(Duration::from_secs(5), join_all(crowd)).await;
    for created in crowd.expect("all are answered without the lock") {
        assert_eq!(created.unwrap().unwrap_err().kind(), ErrorKind::Exhausted);
    }
    assert_eq!(repeated.await.unwrap().unwrap().1.id, plain.id);
    // Whoever asks later is looked at anew.
    keeper.execute("SELECT pg_advisory_unlock($1)", &[&lock]).await.unwrap();
    let removed = "UPDATE fresco.tenants SET status = 'destroyed' WHERE id = $1";
    inside.execute(removed, &[&first.as_uuid()]).await.unwrap();
    let small = spec("small");
    let mut roomy = Capacity::unlimited();
    roomy.reserved_memory_mb = Some(1 << 20);
    let new = operation(Action::Create, &small).within(roomy);
    store.create(TenantId::new(), &small, &new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn many_workers_do_each_operation_once() {
    let platform = Server::shared("16").await.platform().await;
    let store = open(&platform).await;
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
    let server = Arc::new(Server::start("16", Some(free_port())).await);
    let platform = server.clone().platform().await;
    let config = config(&platform).timeout(Duration::from_secs(4));
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
