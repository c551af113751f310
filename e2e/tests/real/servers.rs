//! Many requests at once, and several servers of one platform: killed, frozen, without their store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fresco_e2e::Stack;
use fresco_e2e::service::{Server, Service, Visitor, until};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::census::{Things, census};
use crate::dice::Dice;
use crate::service::{PROGRAM, email, name, page, whoami};

/// Operations that are listened to at the same time: a person has 32 streams at most.
const LISTENING: usize = 16;

/// Asks to create so many tenants at the same time; subdomain, status and answer of each.
async fn create_at_once(owner: &Visitor, count: usize) -> Vec<(String, u16, Value)> {
    join_all((0..count).map(async |_| {
        let subdomain = name();
        let request = owner.post("tenants.create", &json!({"subdomain": subdomain}));
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
        (subdomain, status, answer.json().await.expect("a JSON body"))
    }))
    .await
}

/// The same; all are accepted. Subdomain and operation of each.
pub(crate) async fn created(owner: &Visitor, count: usize) -> Vec<(String, String)> {
    let answers = create_at_once(owner, count).await.into_iter();
    let accepted = answers.map(|(subdomain, status, answer)| {
        assert_eq!(status, 202, "{answer:#}");
        (subdomain, answer["operationId"].as_str().expect("an operation").to_owned())
    });
    accepted.collect()
}

pub(crate) async fn destroy_all(owner: &Visitor) {
    loop {
        let page = owner.call(200, "tenants.list", json!({"limit": 100})).await;
        let tenants = page["tenants"].as_array().expect("tenants").clone();
        if tenants.is_empty() {
            return;
        }
        let destroyed = stream::iter(&tenants).for_each_concurrent(LISTENING, async |tenant| {
            let body = json!({"tenantId": tenant["id"], "confirmation": tenant["subdomain"]});
            owner.act("destroy", body).await;
        });
        destroyed.await;
    }
}

/// A service whose room is for so many tenants, and its first server.
async fn with_room_for(stack: &Stack, tenants: usize) -> (Service, Server, Visitor) {
    let service = Service::new(PROGRAM, stack)
        .await
        .with("MIN_MEMORY", 256)
        .with("TENANT_MEMORY", 256 * tenants)
        .with("TENANT_CONNECTIONS", 1_000_000)
        .with("LEASE_SECONDS", 3)
        .with("WORKERS", 8);
    let server = service.start().await;
    let owner = server.visitor();
    owner.sign_up(&email()).await;
    (service, server, owner)
}

pub(crate) async fn a_hundred_deploys_at_once(stack: &Stack) {
    hundred(stack, 20).await;
}

pub(crate) async fn long_a_hundred_deploys_with_room(stack: &Stack) {
    hundred(stack, 100).await;
}

/// Of a hundred requests at once, just as many are accepted as there is room for, and those run.
async fn hundred(stack: &Stack, room: usize) {
    let (service, server, owner) = with_room_for(stack, room).await;
    let begun = Instant::now();
    let answers = create_at_once(&owner, 100).await;
    let elapsed = begun.elapsed();
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, s, _)| *s == 202);
    for (_, status, answer) in &refused {
        assert_eq!((*status, &answer["code"]), (503, &json!("at_capacity")), "{answer:#}");
    }
    println!("100 deploys at once, room for {room}: {} accepted in {elapsed:?}", accepted.len());
    assert_eq!((accepted.len(), refused.len()), (room, 100 - room));
    for (subdomain, _, answer) in &accepted {
        owner.success(answer["operationId"].as_str().expect("an operation")).await;
        assert_eq!(whoami(stack, subdomain).await["visits"], 0);
    }
    let found = census(stack, service.database()).await;
    let whole = Things { containers: 1, running: 1, places: 1, roles: 1 };
    assert_eq!(found.len(), room);
    assert!(found.values().all(|things| *things == whole), "half-made: {found:#?}");
    for (subdomain, ..) in &refused {
        let check = json!({"subdomain": subdomain});
        let free = owner.call(200, "wizard.checkSubdomain", check).await;
        assert_eq!(free["available"], true, "{subdomain} was refused, and is taken");
    }
    destroy_all(&owner).await;
    assert_eq!(census(stack, service.database()).await, BTreeMap::new());
    assert!(server.stop().await.success());
}

/// What Docker has of a platform: each container and since when it runs.
async fn containers(network: &str) -> Vec<String> {
    let output = tokio::process::Command::new("docker")
        .args(["ps", "--all", "--no-trunc", "--filter", &format!("network={network}")])
        // Not the two by which the server proves now and then that tenants are kept apart.
        .args(["--filter", "name=fresco_tenant_"])
        .args(["--format", "{{.ID}} {{.State}} {{.CreatedAt}} {{.Names}}"])
        .output()
        .await
        .expect("the docker client");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Of three servers one is killed and one frozen in the middle of their work: the third ends it all,
/// and tells whoever watches. When the frozen one wakes it changes nothing, and works on.
pub(crate) async fn one_killed_one_frozen(stack: &Stack) {
    let (service, first, owner) = with_room_for(stack, 50).await;
    let (second, third) =
        (service.clone().beside().start().await, service.clone().beside().start().await);
    let mut asked = Vec::new();
    for server in [&first, &second, &third] {
        asked.extend(created(&owner.at(server), 3).await);
    }
    first.kill().await;
    second.freeze().await;
    let owner = owner.at(&third);
    for (subdomain, operation) in &asked {
        let events = owner.events(operation, None).await;
        let ids: Vec<_> = events.iter().filter_map(|event| event.id).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "each once, in order");
        let last = events.last().expect("an event");
        assert_eq!((&*last.name, &last.data["status"]), ("done", &json!("success")), "{last:?}");
        assert_eq!(whoami(stack, subdomain).await["visits"], 0);
    }
    let ours = census(stack, service.database()).await;
    assert_eq!(ours.len(), asked.len());
    second.wake().await;
    // It works again, by itself, and gives up what it had begun.
    assert!(third.stop().await.success());
    let owner = owner.at(&second);
    until("the server that slept is well", async || {
        owner.get("/health").send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    // A proof that tenants are kept apart may have been among that: until the next one it lets no new tenant in.
    until("the server that slept lets a new tenant in", async || {
        let (_, status, answer) = create_at_once(&owner, 1).await.remove(0);
        if status == 503 {
            assert_eq!(answer["code"], "isolation_unproved", "{answer:#}");
            return false;
        }
        assert_eq!(status, 202, "{answer:#}");
        owner.success(answer["operationId"].as_str().expect("an operation")).await;
        true
    })
    .await;
    for (_, operation) in created(&owner, 1).await {
        owner.success(&operation).await;
    }
    let whole = Things { containers: 1, running: 1, places: 1, roles: 1 };
    let found = census(stack, service.database()).await;
    assert_eq!(found.len(), asked.len() + 2);
    assert!(found.values().all(|things| *things == whole), "{found:#?}");
    destroy_all(&owner).await;
    assert_eq!(census(stack, service.database()).await, BTreeMap::new());
    assert!(second.stop().await.success());
}

/// A server is frozen at a moment of chance; another takes its work and ends it. Then the first wakes
/// and is told to stop: when it has ended, nothing may have changed.
pub(crate) async fn frozen_at_moments_of_chance(_: &Stack) {
    let mut dice = Dice::new();
    println!("frozen at moments of chance, seed {}", dice.seed());
    let own = Stack::start().await;
    let (service, other, owner) = with_room_for(&own, 50).await;
    let beside = service.clone().beside();
    for _ in 0..4 {
        let sleeper = beside.start().await;
        let asked = created(&owner.at(&sleeper), 4).await;
        let moment = u64::try_from(dice.below(1500)).expect("a small number");
        tokio::time::sleep(Duration::from_millis(moment)).await;
        sleeper.freeze().await;
        for (_, operation) in &asked {
            owner.success(operation).await;
        }
        let before = (containers(own.network()).await, operations(&own, &service).await);
        sleeper.wake().await;
        assert!(sleeper.stop().await.success());
        let after = (containers(own.network()).await, operations(&own, &service).await);
        assert_eq!(before, after, "what a woken server did too late");
        destroy_all(&owner).await;
        assert_eq!(census(&own, service.database()).await, BTreeMap::new());
    }
    assert!(other.stop().await.success());
    own.stop().await;
}

async fn operations(stack: &Stack, service: &Service) -> Vec<String> {
    let sql =
        "SELECT o.id || ' ' || o.status || ' ' || o.seq || ' ' || t.status || ' ' || t.generation
               FROM fresco.operations o JOIN fresco.tenants t ON t.id = o.tenant ORDER BY o.id";
    stack.superuser_in(service.database(), sql).await
}

/// PostgreSQL, which holds the platform's memory and the tenants' data, is killed in the middle of
/// deploys, updates and destroys: all end as they should when it is back.
pub(crate) async fn postgres_killed_in_the_middle(_: &Stack) {
    let mut dice = Dice::new();
    println!("PostgreSQL killed at moments of chance, seed {}", dice.seed());
    let own = Stack::start_lasting().await;
    let (service, server, owner) = with_room_for(&own, 50).await;
    for _ in 0..3 {
        let old = created(&owner, 4).await;
        for (subdomain, operation) in &old {
            owner.success(operation).await;
            assert_eq!(page(&own, subdomain, "/visit").await.0, 200);
        }
        let list = owner.call(200, "tenants.list", json!({})).await;
        let mut operations = Vec::new();
        for (number, tenant) in list["tenants"].as_array().expect("tenants").iter().enumerate() {
            let mut body = json!({"tenantId": tenant["id"]});
            let call = if number % 2 == 0 { "tenants.update" } else { "tenants.destroy" };
            match number % 2 {
                0 => body["image"] = json!("fresco-dev/tenant-app:2"),
                _ => body["confirmation"] = tenant["subdomain"].clone(),
            }
            let answer = owner.call(202, call, body).await;
            operations.push(answer["operationId"].as_str().expect("an operation").to_owned());
        }
        let new = created(&owner, 3).await;
        operations.extend(new.iter().map(|(_, operation)| operation.clone()));
        let moment = u64::try_from(dice.below(1500)).expect("a small number");
        tokio::time::sleep(Duration::from_millis(moment)).await;
        own.restart_postgres().await;
        for operation in &operations {
            ended_well(&owner, operation).await;
        }
        let found = census(&own, service.database()).await;
        let whole = Things { containers: 1, running: 1, places: 1, roles: 1 };
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found.values().all(|things| *things == whole), "{found:#?}");
        destroy_all(&owner).await;
        assert_eq!(census(&own, service.database()).await, BTreeMap::new());
    }
    assert!(server.stop().await.success());
    own.stop().await;
}

/// Streams end while the store is away, and calls are answered 503: who waits asks again.
pub(crate) async fn ended_well(owner: &Visitor, operation: &str) {
    let patience = Duration::from_secs(300);
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let request = owner.get(&format!("/api/operations/{operation}/events")).timeout(patience);
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        assert!(matches!(status, 200 | 503), "{status}");
        // What is cut off in the middle says nothing of the end.
        let text = answer.text().await.unwrap_or_default();
        if status == 200 && text.contains("event: done") {
            let last = text.rsplit("event: done").next().expect("the last event");
            assert!(last.contains(r#""status":"success""#), "{last}");
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{operation} does not end: {text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A server with an empty database, beside running tenants of another platform on the same engine:
/// it removes nothing, and says what it sees.
pub(crate) async fn a_store_that_knows_nobody_removes_nothing(stack: &Stack) {
    let (service, server, owner) = with_room_for(stack, 50).await;
    let asked = created(&owner, 2).await;
    for (_, operation) in &asked {
        owner.success(operation).await;
    }
    assert!(server.stop().await.success());
    let platform = stack.superuser_in(service.database(), "SELECT id FROM fresco.platform").await;
    let before = census(stack, service.database()).await;

    let log = std::env::temp_dir().join(format!("{}.log", name()));
    let empty = Service::new(PROGRAM, stack).await.logging_to(&log);
    let stranger = empty.start().await;
    // It works, has no tenant, and has looked around by the time it has deployed one.
    let visitor = stranger.visitor();
    let subdomain = name();
    let tenant = visitor.deployed(&email(), &subdomain).await;
    assert_eq!(census(stack, service.database()).await, before);
    for (subdomain, _) in &asked {
        assert_eq!(whoami(stack, subdomain).await["visits"], 0);
    }
    visitor.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    assert!(stranger.stop().await.success());
    let words = std::fs::read_to_string(&log).expect("its log");
    std::fs::remove_file(&log).expect("its log can go");
    let told = words.lines().find(|line| line.contains(&platform[0])).expect(&words);
    assert!(told.contains("left alone") && told.contains("DATABASE_URL"), "{told}");

    let server = service.start().await;
    destroy_all(&owner.at(&server)).await;
    assert_eq!(census(stack, service.database()).await, BTreeMap::new());
    assert!(server.stop().await.success());
}
