//! A tenant's life, and whose it is.

use fresco_core::LogStream;
use fresco_core::memory::MemoryApp;
use std::time::Duration;

use poem::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{Answer, World, nobody};

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_whole_life() {
    let world = World::new().await;
    let app = MemoryApp::healthy().printing(LogStream::Stdout, "listening");
    world.memory.image("memory/app:3".parse().unwrap(), app);
    let person = world.person().await;

    let answer = person.call("tenants.create", json!({ "subdomain": "my-study" })).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.body["subdomain"], "my-study");
    let url = answer.body["url"].as_str().unwrap().to_owned();
    assert!(url.contains("my-study.localhost"), "{url}");
    let id = answer.body["tenantId"].as_str().unwrap().to_owned();
    let done = person.end(answer.body["operationId"].as_str().unwrap()).await;
    assert_eq!((&done["status"], &done["action"]), (&json!("success"), &json!("create")));
    assert_eq!(done["tenantId"], id);
    let steps: Vec<_> = done["steps"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(steps, ["image", "database", "container", "ready", "route", "active"]);
    assert!(done["finishedAt"].is_string() && done["error"].is_null());

    let which = json!({ "tenantId": id });
    let shown = person.show(&id).await;
    let tenant = &shown["tenant"];
    assert_eq!(tenant["status"], "active");
    assert_eq!(tenant["desiredState"], "running");
    assert_eq!(tenant["url"], url);
    assert_eq!(tenant["image"], "memory/app:1");
    assert_eq!(tenant["isolation"], "schema");
    assert_eq!(tenant["limits"], json!({ "memoryMb": 512, "cpus": 0.5, "pids": 256 }));
    assert!(tenant["lastDeployedAt"].is_string() && tenant.get("error").is_none());

    let status = || async { person.show(&id).await["tenant"]["status"].clone() };
    assert_eq!(person.act("tenants.stop", which.clone()).await["status"], "success");
    assert_eq!(status().await, "stopped");
    assert_eq!(person.act("tenants.start", which.clone()).await["status"], "success");
    assert_eq!(status().await, "active");
    assert_eq!(person.act("tenants.restart", which.clone()).await["status"], "success");
    let update = json!({
        "tenantId": id, "image": "memory/app:3", "environment": { "GREETING": "hello" },
        "limits": { "memoryMb": 1024 },
    });
    assert_eq!(person.act("tenants.update", update).await["status"], "success");
    let tenant = &person.show(&id).await["tenant"];
    assert_eq!(tenant["image"], "memory/app:3");
    assert_eq!(tenant["limits"], json!({ "memoryMb": 1024, "cpus": 0.5, "pids": 256 }));
    let containers = world.platform.orchestrator.backends().runtime.list(None).await.unwrap();
    let environment = world.memory.outsider().environment(&containers[0].id).unwrap();
    assert_eq!(environment["GREETING"], "hello");
    let logs = person.call("tenants.getLogs", which.clone()).await.good();
    assert_eq!(logs["lines"][0]["text"], "listening");

    for wrong in ["", "my-stud", "MY-STUDY", "my-study "] {
        let body = json!({ "tenantId": id, "confirmation": wrong });
        let answer = person.call("tenants.destroy", body).await;
        assert_eq!(answer.problem(422), "confirmation_mismatch");
    }
    assert_eq!(status().await, "active");
    let body = json!({ "tenantId": id, "confirmation": "my-study" });
    assert_eq!(person.act("tenants.destroy", body.clone()).await["status"], "success");

    let shown = person.show(&id).await;
    assert_eq!(shown["tenant"]["status"], "destroyed");
    let operations = shown["operations"].as_array().unwrap();
    let actions: Vec<_> = operations.iter().map(|o| o["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["destroy", "update", "restart", "start", "stop", "create"]);
    for call in ["start", "stop", "restart", "getLogs"] {
        let answer = person.call(&format!("tenants.{call}"), which.clone()).await;
        assert_eq!(answer.problem(404), "not_found", "{call}");
    }
    assert_eq!(person.call("tenants.destroy", body).await.problem(404), "not_found");
    assert_eq!(person.call("tenants.list", json!({})).await.good()["total"], 0);
    let tombstones = person.call("tenants.list", json!({ "status": "destroyed" })).await.good();
    assert_eq!(tombstones["tenants"][0]["id"], id);

    let again = person.tenant("my-study").await;
    assert_ne!(again, id);
}

/// Every call on a tenant, and every stream, by what it is asked.
async fn everything(person: &crate::world::Person<'_>, id: &str, operation: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for call in ["get", "start", "stop", "restart", "getLogs"] {
        answers.push(person.call(&format!("tenants.{call}"), json!({ "tenantId": id })).await);
    }
    let update = json!({ "tenantId": id, "image": "memory/app:2" });
    answers.push(person.call("tenants.update", update).await);
    for confirmation in ["theirs", "other"] {
        let body = json!({ "tenantId": id, "confirmation": confirmation });
        answers.push(person.call("tenants.destroy", body).await);
    }
    let paths = [format!("/api/tenants/{id}/logs"), format!("/api/operations/{operation}/events")];
    for path in paths {
        answers.push(Answer::of(person.get(&path).send().await).await);
    }
    answers
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn nobody_learns_of_anothers_tenant() {
    let world = World::new().await;
    let (owner, other) = (world.person().await, world.person().await);
    let (id, operation) = owner.create(json!({ "subdomain": "theirs" })).await;
    owner.end(&operation).await;

    let of_another = everything(&other, &id, &operation).await;
    let of_nobody = everything(&other, &nobody(), &nobody()).await;
    assert_eq!(of_another.len(), 10);
    for (answer, unknown) in of_another.iter().zip(&of_nobody) {
        assert_eq!(answer.problem(404), "not_found");
        // Word for word what is said of one that does not exist.
        assert_eq!(answer.body, unknown.body);
    }
    let list = other.call("tenants.list", json!({ "search": "theirs" })).await.good();
    assert_eq!((&list["total"], &list["tenants"]), (&json!(0), &json!([])));
    let shown = owner.show(&id).await;
    assert_eq!(shown["tenant"]["status"], "active");
    assert_eq!(shown["operations"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_operation_at_a_time_but_for_destroy() {
    let world = World::new().await;
    let slow = MemoryApp::slow(Duration::from_secs(3600));
    world.memory.image("memory/app:slow".parse().unwrap(), slow);
    let person = world.person().await;
    let body = json!({ "subdomain": "slow-one", "image": "memory/app:slow" });
    let (id, operation) = person.create(body).await;
    for call in ["start", "restart"] {
        let answer = person.call(&format!("tenants.{call}"), json!({ "tenantId": id })).await;
        assert_eq!(answer.problem(409), "operation_in_progress", "{call}");
        assert_eq!(answer.body["operationId"], operation);
    }
    let update = json!({ "tenantId": id, "image": "memory/app:2" });
    let answer = person.call("tenants.update", update).await;
    assert_eq!(answer.body["operationId"], operation);
    assert_eq!(answer.problem(409), "operation_in_progress");

    let destroy = json!({ "tenantId": id, "confirmation": "slow-one" });
    assert_eq!(person.act("tenants.destroy", destroy).await["status"], "success");
    let cancelled = person.end(&operation).await;
    assert_eq!(cancelled["status"], "failed");
    assert_eq!(cancelled["error"]["code"], "conflict");
    assert_eq!(cancelled["error"].get("step"), None);
    assert!(cancelled["error"]["message"].as_str().unwrap().starts_with("cancelled"));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_failed_says_how_and_can_be_tried_again() {
    let world = World::new().await;
    world.memory.image("memory/app:bad".parse().unwrap(), MemoryApp::exits(3, ["no such table"]));
    let person = world.person().await;
    let body = json!({ "subdomain": "bad-one", "image": "memory/app:bad" });
    let (id, operation) = person.create(body).await;
    let failed = person.end(&operation).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["error"]["step"], "ready");
    assert_eq!(failed["error"]["logTail"], json!(["no such table", "no such table"]));
    // What was made was taken back, and that shows.
    let undone = |step: &Value| step["undo"] == true && step["status"] == "done";
    assert!(failed["steps"].as_array().unwrap().iter().any(undone), "{failed}");
    let shown = person.show(&id).await;
    assert_eq!(shown["tenant"]["status"], "error");
    assert_eq!(shown["tenant"]["error"], failed["error"]);
    let stop = person.call("tenants.stop", json!({ "tenantId": id })).await;
    assert_eq!(stop.problem(409), "conflict");

    world.memory.image("memory/app:bad".parse().unwrap(), MemoryApp::healthy());
    let again = person.act("tenants.restart", json!({ "tenantId": id })).await;
    assert_eq!((&again["action"], &again["status"]), (&json!("create"), &json!("success")));
    assert_eq!(person.show(&id).await["tenant"].get("error"), None);
}
