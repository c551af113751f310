//! The platform itself: its health, its page and its description.

use std::time::Duration;

use fresco_core::ErrorKind;
use fresco_core::fault::{Call, Fault, FaultPlan, wrap};
use fresco_core::memory::MemoryWorld;
use serde_json::Value;

use crate::world::{Answer, PATIENCE, World};

async fn health(world: &World) -> Answer {
    Answer::of(world.client.get("/health").send().await).await
}

/// The health, once it is told with this status.
async fn health_of(world: &World, status: u16) -> Answer {
    let all = async {
        loop {
            let answer = health(world).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("this status in time")
}

fn healthy(report: &Value) -> Vec<(&str, bool)> {
    let parts = report["parts"].as_array().unwrap();
    let part = |part: &'_ Value| part["healthy"].as_bool().unwrap();
    parts.iter().map(|of| (of["name"].as_str().unwrap(), part(of))).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn that_tenants_are_not_kept_apart_is_told() {
    let memory = MemoryWorld::new();
    memory.outsider().forbid_isolation(true);
    let backends = memory.backends();
    let world = World::with(memory.clone(), backends).await;
    let answer = health_of(&world, 503).await;
    assert_eq!(healthy(&answer.body).last(), Some(&("isolation", false)));
    assert!(!answer.body.to_string().contains("no right"), "why is not told to everybody");
    memory.outsider().forbid_isolation(false);
    world.platform.orchestrator.reconcile().await.unwrap();
    health_of(&world, 200).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn each_part_is_asked() {
    let memory = MemoryWorld::new();
    let call = |method, nth| Call { method, step: None, nth };
    let plan = FaultPlan::with([
        (call("runtime.health", 1), Fault::FailBefore(ErrorKind::Unavailable)),
        (call("database.health", 1), Fault::Hang),
    ]);
    let backends = wrap(&memory.backends(), &plan);
    let world = World::with(memory, backends).await;

    let answer = health(&world).await;
    assert_eq!(answer.body["status"], "ok");
    let all = ["store", "accounts", "docker", "tenantDatabase", "traefik", "work", "isolation"];
    assert_eq!(healthy(&answer.body), all.map(|name| (name, true)));
    for part in answer.good()["parts"].as_array().unwrap() {
        assert!(part["latencyMs"].is_u64(), "{part}");
    }

    // The next time that they are asked, one is down and one is silent.
    let answer = health_of(&world, 503).await;
    assert_eq!(answer.body["status"], "unavailable");
    let down = |name| matches!(name, "docker" | "tenantDatabase");
    assert_eq!(healthy(&answer.body), all.map(|name| (name, !down(name))));
    assert!(answer.body["parts"][3]["latencyMs"].as_u64().unwrap() >= 3000);
    // Why is not told to everybody.
    assert!(!answer.body.to_string().contains("planned"));

    assert_eq!(health_of(&world, 200).await.body["status"], "ok");
}

/// A store that answers, and gives no work.
#[tokio::test]
#[ignore = "needs Docker"]
async fn that_nothing_is_worked_on_is_told() {
    let memory = MemoryWorld::new();
    let faults = (0..100).map(|nth| {
        let lease = Call { method: "store.lease", step: None, nth };
        (lease, Fault::FailBefore(ErrorKind::Exhausted))
    });
    let backends = wrap(&memory.backends(), &FaultPlan::with(faults));
    let world = World::with(memory, backends).await;
    let only_work = |answer: &Answer| {
        let bad = healthy(&answer.body).into_iter().filter(|(_, healthy)| !healthy);
        bad.map(|(name, _)| name).eq(["work"])
    };
    // On a busy machine another part may be slow for a moment.
    while !only_work(&health_of(&world, 503).await) {}
    health_of(&world, 200).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn many_who_ask_at_once_are_one() {
    let memory = MemoryWorld::new();
    let plan = FaultPlan::none();
    let backends = wrap(&memory.backends(), &plan);
    let world = World::with(memory, backends).await;
    let asked = || plan.trace().iter().filter(|call| call.method == "router.health").count();
    let before = asked();
    futures_util::future::join_all((0..20).map(|_| health(&world))).await;
    assert_eq!(asked(), before + 1);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_first_page_leads_on() {
    let world = World::new().await;
    let page = world.client.get("/").send().await;
    page.assert_status_is_ok();
    page.assert_content_type("text/html; charset=utf-8");
    page.assert_header_exist("content-security-policy");
    let text = page.0.into_body().into_string().await.unwrap();
    let fresco = "https://documentation.networkcanvas.com/en/fresco";
    for link in ["/signup", "/login", "/status", "/docs", fresco] {
        assert!(text.contains(&format!("href=\"{link}\"")), "{link}");
    }
    let docs = world.client.get("/docs").send().await;
    docs.assert_status_is_ok();
    docs.assert_header("x-frame-options", "DENY");
    let document = world.client.get("/openapi.json").send().await;
    document.assert_status_is_ok();
    document.assert_text(fresco_server::openapi_document()).await;
}
