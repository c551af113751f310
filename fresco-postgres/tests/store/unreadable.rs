//! Rows that can't be read: of a newer version, or damaged.

use fresco_core::{Action, Change, Entry, ErrorKind, Store, TenantId, TenantQuery, WorkerId};

use crate::support::Server;
use crate::support::logs::Logs;
use crate::support::store::open;
use crate::{TERMS, operation, spec};

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
