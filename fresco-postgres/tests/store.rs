//! What the store keeps under load, and when PostgreSQL restarts.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fresco_core::{
    Action, Actor, AppProfile, Capacity, Change, Direction, Entry, ErrorKind, Failure, LeaseTerms,
    NewOperation, OperationStatus, OwnerId, Stage, Step, Store, Target, TenantId, TenantQuery,
    TenantSpec, TenantStatus, WorkerId,
};
use fresco_postgres::PostgresStore;
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::logs::Logs;
use support::store::{config, open};
use support::{Server, connect, free_port, until};

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

/// What makes a row one of a newer version, or a damaged one.
const SPOILT: [&str; 5] = [
    "UPDATE fresco.operations SET stage = stage || '{\"version\": \"2\"}' WHERE tenant = $1",
    "UPDATE fresco.operations SET stage = '\"hunter2\"' WHERE tenant = $1",
    "UPDATE fresco.operations SET data = data || '{\"action\": \"teleport\"}' WHERE tenant = $1",
    "UPDATE fresco.tenants SET spec = spec || '{\"subdomain\": 7}' WHERE id = $1",
    "UPDATE fresco.tenants SET state = '{}' WHERE id = $1",
];

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_operation_that_cant_be_read_keeps_nobody_from_the_others() {
    let platform = Server::shared("16").await.platform().await;
    let store = open(&platform).await;
    let inside = platform.server.superuser(&platform.name).await;
    let mut spoilt = Vec::new();
    for (number, sql) in SPOILT.iter().enumerate() {
        let (tenant, spec) = (TenantId::new(), spec(&format!("spoilt-{number}")));
        let new = operation(Action::Create, &spec);
        store.create(tenant, &spec, &new).await.unwrap();
        assert_eq!(inside.execute(*sql, &[&tenant.as_uuid()]).await.unwrap(), 1, "{sql}");
        spoilt.push((tenant, new.id));
    }
    let (tenant, spec) = (TenantId::new(), spec("good"));
    let new = operation(Action::Create, &spec);
    store.create(tenant, &spec, &new).await.unwrap();

    let (logs, worker) = (Logs::default(), WorkerId::new());
    let guard = logs.keep();
    let lease = store.lease(worker, &TERMS).await.unwrap().expect("the one that can be read");
    assert_eq!(lease.operation.id, new.id);
    assert!(store.lease(worker, &TERMS).await.unwrap().is_none(), "the others rest");
    drop(guard);
    let told = logs.with("can't be read and is left alone for 60 s");
    assert_eq!(told.len(), SPOILT.len(), "one line each: {told:?}");
    for ((tenant, id), line) in spoilt.iter().zip(&told) {
        assert!(line.contains(&format!("operation={id} tenant={tenant}")), "{line}");
        assert!(line.contains("ERROR") && !line.contains("hunter2"), "{line}");
    }

    // They rest for a minute by the store's clock, and are as they were.
    let look = "SELECT o.worker IS NULL AND o.deaths = 0 AND o.deadline IS NULL
                       AND t.generation = 1
                       AND o.not_before BETWEEN clock_timestamp() + interval '40 s'
                                            AND clock_timestamp() + interval '60 s'
                FROM fresco.operations o JOIN fresco.tenants t ON t.id = o.tenant WHERE o.id = $1";
    for (_, id) in &spoilt {
        assert!(inside.query_one(look, &[&id.as_uuid()]).await.unwrap().get::<_, bool>(0));
    }
    // Whoever can read one, once more, gets it then.
    let (tenant, id) = spoilt[1];
    let mended = "UPDATE fresco.operations o SET not_before = clock_timestamp(), stage = g.stage
                  FROM fresco.operations g WHERE o.tenant = $1 AND g.tenant = $2";
    let good = lease.tenant.id;
    inside.execute(mended, &[&tenant.as_uuid(), &good.as_uuid()]).await.unwrap();
    let lease = store.lease(worker, &TERMS).await.unwrap().unwrap();
    assert_eq!((lease.operation.id, lease.deaths), (id, 0));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn lists_lack_what_cant_be_read_and_questions_for_it_say_so() {
    let platform = Server::shared("16").await.platform().await;
    let store = open(&platform).await;
    let inside = platform.server.superuser(&platform.name).await;
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let first = operation(Action::Create, &spec("spoilt"));
    let (made, _) = store.create(tenant, &spec("spoilt"), &first).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let entry =
        Entry::new(lease.stage.clone(), lease.tenant.state.clone()).with_change(Change::Succeeded);
    store.record(&lease, &entry).await.unwrap();
    let new = operation(Action::Create, &spec("good"));
    store.create(other, &spec("good"), &new).await.unwrap();

    // Of a finished operation: the list has the rest.
    let seen = lease.generation();
    assert_ne!(seen, made.generation);
    let second = operation(Action::Stop, &spec("spoilt"));
    store.request(tenant, seen, &second).await.unwrap();
    let spoil =
        "UPDATE fresco.operations SET data = data || '{\"action\": \"teleport\"}' WHERE id = $1";
    inside.execute(spoil, &[&first.id.as_uuid()]).await.unwrap();
    let logs = Logs::default();
    let guard = logs.keep();
    let list = store.operations(tenant, 10).await.unwrap();
    assert_eq!(list.iter().map(|operation| operation.id).collect::<Vec<_>>(), [second.id]);
    assert_eq!(logs.with(&format!("operation: {}", first.id)).len(), 1);
    let error = store.operation(first.id).await.unwrap_err();
    assert_unreadable(&error, &format!("operation: {}", first.id));
    // Of one that is under way: nobody must think that there is none.
    inside.execute(spoil, &[&second.id.as_uuid()]).await.unwrap();
    let error = store.operations(tenant, 10).await.unwrap_err();
    assert_unreadable(&error, &format!("operation: {}", second.id));

    let spoil = "UPDATE fresco.tenants SET spec = spec || '{\"subdomain\": 7}' WHERE id = $1";
    inside.execute(spoil, &[&tenant.as_uuid()]).await.unwrap();
    let page = store.tenants(&TenantQuery::all()).await.unwrap();
    assert_eq!(page.tenants.iter().map(|tenant| tenant.id).collect::<Vec<_>>(), [other]);
    assert_eq!(page.total, 2);
    assert_eq!(logs.with(&format!("tenant: {tenant}")).len(), 1);
    drop(guard);
    let mut by_name = TenantQuery::all();
    by_name.subdomain = Some("spoilt".parse().unwrap());
    for query in [TenantQuery::one(tenant), by_name] {
        let error = store.tenants(&query).await.unwrap_err();
        assert_unreadable(&error, &format!("tenant: {tenant}"));
    }
}

fn assert_unreadable(error: &fresco_core::Error, whose: &str) {
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    let words = error.chain();
    assert!(words.contains("this version can't read; was it written by a newer one?"), "{words}");
    assert!(words.contains(whose), "{words}");
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
