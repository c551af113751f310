//! The values of owners' variables in the database: sealed, bound to their place, and sealed anew
//! while others work.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

mod support;

use std::sync::Arc;
use std::time::Duration;

use fresco_core::{
    Action, Actor, AppProfile, Change, Entry, ErrorKind, LeaseTerms, NewOperation, OwnerId, Stage,
    Store, Target, Tenant, TenantId, TenantQuery, TenantSpec, WorkerId,
};
use fresco_postgres::{EnvironmentKeys, PostgresStore, PostgresStoreConfig};
use support::store::{config, keys, secret};
use support::{Platform, Server};

const TERMS: LeaseTerms =
    LeaseTerms { ttl: Duration::from_secs(30), budget: Duration::from_secs(60) };

fn bare(subdomain: &str) -> TenantSpec {
    let (app, image) = (AppProfile::generic(), "app:1".parse().unwrap());
    TenantSpec::new(OwnerId::new("alice"), subdomain.parse().unwrap(), app, image)
}

fn spec(subdomain: &str) -> TenantSpec {
    bare(subdomain)
        .with_env("API_KEY".parse().unwrap(), "planted-1".parse().unwrap())
        .with_env("OTHER".parse().unwrap(), "planted-2".parse().unwrap())
}

fn operation(action: Action, spec: &TenantSpec) -> NewOperation {
    NewOperation::new(action, Actor::System, Target { spec: spec.clone(), image: None })
}

async fn with(platform: &Platform, keys: EnvironmentKeys) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::connect(config(platform).keys(keys)).await.unwrap())
}

/// A tenant whose create is done.
async fn active(store: &PostgresStore, spec: &TenantSpec) -> Tenant {
    let (id, new) = (TenantId::new(), operation(Action::Create, spec));
    store.create(id, spec, &new).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let entry = Entry::new(Stage::first(Action::Create), lease.tenant.state.clone())
        .with_change(Change::Succeeded);
    store.record(&lease, &entry).await.unwrap();
    one(store, id).await
}

async fn one(store: &PostgresStore, id: TenantId) -> Tenant {
    store.tenants(&TenantQuery::one(id)).await.unwrap().tenants.remove(0)
}

/// Everything that the database holds, as a copy of it would.
async fn dump(platform: &Platform) -> String {
    let program = platform.server.programs().await.join("pg_dump");
    let output = tokio::process::Command::new(program).arg(platform.url()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("COPY fresco.operations"), "the dump has the rows");
    text
}

/// How many values are sealed under this key, and how many are not sealed.
async fn counts(platform: &Platform, key: &str) -> (i64, i64) {
    let inside = platform.server.superuser(&platform.name).await;
    let sql = "SELECT count(*) FILTER (WHERE value ->> 'key' = $1),
                      count(*) FILTER (WHERE jsonb_typeof(value) = 'string')
               FROM fresco.tenants, jsonb_each(spec -> 'environment')";
    let row = inside.query_one(sql, &[&key]).await.unwrap();
    (row.get(0), row.get(1))
}

/// What a key is called: the one of this tenant's values.
async fn key_of(platform: &Platform, tenant: TenantId) -> String {
    let inside = platform.server.superuser(&platform.name).await;
    let sql = "SELECT spec #>> '{environment,API_KEY,key}' FROM fresco.tenants WHERE id = $1";
    inside.query_one(sql, &[&tenant.as_uuid()]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn no_copy_of_the_database_tells_a_value() {
    let platform = Server::shared("16").await.platform().await;
    let store = with(&platform, keys('k')).await;
    let tenant = active(&store, &spec("first")).await;
    assert_eq!(tenant.spec, spec("first"), "it reads back");
    // An update has two specs while it is under way.
    let changed = spec("first").with_env("THIRD".parse().unwrap(), "planted-3".parse().unwrap());
    let update = operation(Action::Update, &changed);
    store.request(tenant.id, tenant.generation, &update).await.unwrap();
    let read = store.operation(update.id).await.unwrap();
    assert_eq!((read.target.spec, read.previous.unwrap().spec), (changed.clone(), spec("first")));
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    assert_eq!(lease.operation.target.spec, changed);
    assert!(!dump(&platform).await.contains("planted"), "while it is under way");
    let mut entry =
        Entry::new(lease.stage.clone(), lease.tenant.state.clone()).with_change(Change::Succeeded);
    entry.spec = Some(changed.clone());
    store.record(&lease, &entry).await.unwrap();
    assert_eq!(one(&store, tenant.id).await.spec, changed);
    assert!(!dump(&platform).await.contains("planted"), "once it is done");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_value_of_another_tenant_or_name_is_refused() {
    let platform = Server::shared("16").await.platform().await;
    let store = with(&platform, keys('k')).await;
    let (mine, other) =
        (active(&store, &spec("mine")).await.id, active(&store, &spec("other")).await.id);
    let inside = platform.server.superuser(&platform.name).await;
    let swaps = [
        "UPDATE fresco.tenants t SET spec = jsonb_set(t.spec, '{environment}', o.spec -> 'environment')
         FROM fresco.tenants o WHERE t.id = $1 AND o.id = $2",
        "UPDATE fresco.tenants t SET spec = jsonb_set(t.spec, '{environment,OTHER}',
            t.spec #> '{environment,API_KEY}') WHERE t.id = $1 AND $2::uuid IS NOT NULL",
    ];
    for sql in swaps {
        let before = inside
            .query_one("SELECT spec FROM fresco.tenants WHERE id = $1", &[&mine.as_uuid()])
            .await
            .unwrap()
            .get::<_, serde_json::Value>(0);
        assert_eq!(inside.execute(sql, &[&mine.as_uuid(), &other.as_uuid()]).await.unwrap(), 1);
        let error = store.tenants(&TenantQuery::one(mine)).await.unwrap_err();
        let words = error.chain();
        assert_eq!(error.kind(), ErrorKind::Internal, "{words}");
        assert!(words.contains("changed since it was sealed"), "{words}");
        assert!(words.contains(&mine.to_string()) && !words.contains("planted"), "{words}");
        let put = "UPDATE fresco.tenants SET spec = $2 WHERE id = $1";
        inside.execute(put, &[&mine.as_uuid(), &before]).await.unwrap();
    }
    assert_eq!(one(&store, mine).await.spec, spec("mine"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_missing_key_is_refused_with_words_and_nothing_is_lost() {
    let platform = Server::shared("16").await.platform().await;
    let tenant = active(&*with(&platform, keys('o')).await, &spec("first")).await;
    let without = PostgresStoreConfig::new(platform.url());
    for config in [without.clone(), without.keys(keys('n'))] {
        let error = PostgresStore::connect(config).await.unwrap_err();
        let words = error.chain();
        for part in [&*tenant.id.to_string(), "API_KEY", "AUTH_SECRET_OLD"] {
            assert!(words.contains(part), "{part} in {words}");
        }
    }
    let both = with(&platform, keys('n').with_old(&secret('o')).unwrap()).await;
    assert_eq!(one(&both, tenant.id).await.spec, spec("first"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_store_without_keys_keeps_no_variables() {
    let platform = Server::shared("16").await.platform().await;
    let store = PostgresStore::connect(PostgresStoreConfig::new(platform.url())).await.unwrap();
    let (id, new) = (TenantId::new(), operation(Action::Create, &spec("first")));
    let error = store.create(id, &spec("first"), &new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    active(&store, &bare("second")).await;
    assert_eq!(store.reseal().await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn plain_values_are_read_and_sealed_by_the_command_or_the_next_write() {
    let platform = Server::shared("16").await.platform().await;
    let store = with(&platform, keys('k')).await;
    let (first, second) =
        (active(&store, &spec("first")).await, active(&store, &spec("second")).await);
    let key = key_of(&platform, first.id).await;
    let inside = platform.server.superuser(&platform.name).await;
    let plain = "UPDATE fresco.tenants SET spec = jsonb_set(spec, '{environment}',
                    '{\"API_KEY\": \"planted-1\", \"OTHER\": \"planted-2\"}')";
    inside.execute(plain, &[]).await.unwrap();
    assert_eq!(counts(&platform, &key).await, (0, 4));
    for tenant in [&first, &second] {
        assert_eq!(one(&store, tenant.id).await.spec, tenant.spec);
    }
    // A write of the one seals it, and the request for it holds nothing plain.
    let update = operation(Action::Update, &first.spec);
    store.request(first.id, first.generation, &update).await.unwrap();
    let lease = store.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    let mut entry =
        Entry::new(lease.stage.clone(), lease.tenant.state.clone()).with_change(Change::Succeeded);
    entry.spec = Some(first.spec.clone());
    store.record(&lease, &entry).await.unwrap();
    assert_eq!(counts(&platform, &key).await, (2, 2));
    // The command seals the other, and does nothing when it is run again.
    let done = store.reseal().await.unwrap();
    assert_eq!((done.tenants, done.values, done.left), (1, 2, 0));
    assert_eq!(counts(&platform, &key).await, (4, 0));
    let again = store.reseal().await.unwrap();
    assert_eq!((again.tenants, again.values, again.left), (0, 0, 0));
    assert_eq!(one(&store, second.id).await.spec, second.spec);
    assert!(!dump(&platform).await.contains("planted"));
}

/// Programs that have the old secret first, or second, work all the time; the command is dropped in the
/// middle again and again, until it is let end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn sealing_anew_may_be_killed_and_repeated_while_others_work() {
    const TENANTS: usize = 150;
    let platform = Server::shared("16").await.platform().await;
    let before = with(&platform, keys('o').with_old(&secret('n')).unwrap()).await;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        tenants.push(active(&before, &spec(&format!("tenant-{number}"))).await);
    }
    let old = key_of(&platform, tenants[0].id).await;
    assert_eq!(counts(&platform, &old).await.0, 2 * TENANTS as i64);
    // One update is under way, and holds values twice.
    let update = operation(Action::Update, &tenants[0].spec);
    before.request(tenants[0].id, tenants[0].generation, &update).await.unwrap();

    let after = with(&platform, keys('n').with_old(&secret('o')).unwrap()).await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let worker = {
        let (store, all) = (before.clone(), tenants.clone());
        tokio::spawn(async move {
            let mut reads = 0;
            while !*stopped.borrow_and_update() {
                for tenant in all.iter().step_by(7) {
                    assert_eq!(one(&store, tenant.id).await.spec, tenant.spec);
                    reads += 1;
                }
            }
            reads
        })
    };
    let mut killed = 0;
    let done = loop {
        // Each time it gets a little further.
        let time = Duration::from_millis(20 + 20 * killed);
        match tokio::time::timeout(time, after.reseal()).await {
            Ok(done) => break done.unwrap(),
            Err(_) => killed += 1,
        }
    };
    stop.send_replace(true);
    assert!(worker.await.unwrap() > 0);
    assert!(killed > 0, "it ended before it could be killed");
    assert_eq!(done.left, 0, "{done:?}");
    assert_eq!(counts(&platform, &old).await, (0, 0));

    // The old secret is needed no more, also for what was under way.
    let only = with(&platform, keys('n')).await;
    let lease = only.lease(WorkerId::new(), &TERMS).await.unwrap().unwrap();
    assert_eq!(lease.operation.target.spec, tenants[0].spec);
    for tenant in &tenants {
        assert_eq!(one(&only, tenant.id).await.spec, tenant.spec);
    }
    assert!(!dump(&platform).await.contains("planted"));
}
