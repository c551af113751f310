//! Operations, watched live.

use std::time::Duration;

use fresco_core::memory::MemoryApp;
use fresco_core::{OperationId, PullProgress};
use futures_util::StreamExt;
use poem::http::StatusCode;
use serde_json::json;

use crate::world::{Answer, World, nobody, parts};

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_stream_tells_everything_once_and_can_be_resumed_anywhere() {
    let world = World::new().await;
    let person = world.person().await;
    let (_, operation) = person.create(json!({ "subdomain": "watched" })).await;
    let path = format!("/api/operations/{operation}/events");
    let told: Vec<_> = person.events(&path, None).await.map(parts).collect().await;
    let stored: Vec<_> = told.into_iter().filter(|(_, name, _)| name != "progress").collect();
    for (at, (id, name, data)) in stored.iter().enumerate() {
        assert_eq!(*id, (at + 1).to_string());
        let last = at + 1 == stored.len();
        assert_eq!(name, if last { "done" } else { "step" });
        assert_eq!(data["id"], operation);
        assert_eq!(data["status"] == "success", last, "{data}");
    }
    assert!(stored.len() > 6, "{stored:?}");
    for (at, (id, ..)) in stored.iter().enumerate() {
        let rest: Vec<_> = person.events(&path, Some(id)).await.map(parts).collect().await;
        assert_eq!(rest, stored[at + 1..], "after {id}");
    }
    let beyond = (stored.len() + 1).to_string();
    for id in [&beyond, "999", &u64::MAX.to_string(), "x", "-1", "1.5", "1 2", ""] {
        let answer = person.get(&path).header("last-event-id", id).send().await;
        assert_eq!(Answer::of(answer).await.wrong_field(), "Last-Event-ID", "after {id}");
        let answer = person.get(&path).query("after", &id).send().await;
        assert_eq!(Answer::of(answer).await.wrong_field(), "after", "after {id}");
    }
    let answer = person.get(&format!("{path}?after=1&after=2")).send().await;
    assert_eq!(Answer::of(answer).await.wrong_field(), "after");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn progress_comes_with_the_operation_and_streams_end_with_the_server() {
    let world = World::new().await;
    let slow = MemoryApp::slow(Duration::from_secs(3600));
    world.memory.image("memory/app:slow".parse().unwrap(), slow);
    let person = world.person().await;
    let body = json!({ "subdomain": "slow-one", "image": "memory/app:slow" });
    let (tenant, operation) = person.create(body).await;
    let mut events = person.events(&format!("/api/operations/{operation}/events"), None).await;
    let ready = |data: &serde_json::Value| {
        let mut steps = data["steps"].as_array().unwrap().iter();
        steps.any(|step| step["name"] == "ready" && step["status"] == "running")
    };
    let last = loop {
        let (id, _, data) = parts(events.next().await.unwrap());
        if ready(&data) {
            break id;
        }
    };

    let progress =
        PullProgress { detail: "fetching layer 1".into(), bytes: 5, total_bytes: Some(10) };
    let id: OperationId = operation.parse().unwrap();
    let store = &world.platform.orchestrator.backends().store;
    store.announce(id, &progress).await.unwrap();
    let (id, name, data) = parts(events.next().await.unwrap());
    // It has no id of its own: whoever resumes does so after the last event that has one.
    assert_eq!((&id, name.as_str()), (&last, "progress"));
    assert!(ready(&data) && data["status"] == "in_progress", "{data}");
    let expected = json!({ "detail": "fetching layer 1", "doneBytes": 5, "totalBytes": 10 });
    assert_eq!(data["progress"], expected);

    // What has not happened yet can't have been seen.
    let beyond = (last.parse::<u64>().unwrap() + 1).to_string();
    let path = format!("/api/operations/{operation}/events");
    let answer = person.get(&path).header("last-event-id", beyond).send().await;
    assert_eq!(Answer::of(answer).await.wrong_field(), "Last-Event-ID");
    let mut late = person.events(&path, Some(&last)).await;
    store.announce(operation.parse().unwrap(), &progress).await.unwrap();
    assert_eq!(parts(late.next().await.unwrap()).1, "progress");
    assert_eq!(parts(events.next().await.unwrap()).1, "progress");

    let mut log = person.events(&format!("/api/tenants/{tenant}/logs"), None).await;
    world.platform.closing.cancel();
    assert_eq!(events.next().await, None);
    assert_eq!(log.next().await, None);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_person_can_not_have_all_streams() {
    let world = World::new().await;
    let slow = MemoryApp::slow(Duration::from_secs(3600));
    world.memory.image("memory/app:slow".parse().unwrap(), slow);
    let person = world.person().await;
    let body = json!({ "subdomain": "slow-one", "image": "memory/app:slow" });
    let (tenant, operation) = person.create(body.clone()).await;
    let paths =
        [format!("/api/operations/{operation}/events"), format!("/api/tenants/{tenant}/logs")];
    let mut open = Vec::new();
    for number in 0..32 {
        open.push(person.events(&paths[number % 2], None).await);
    }
    for path in &paths {
        let answer = Answer::of(person.get(path).send().await).await;
        assert_eq!(answer.problem(429), "too_many_streams");
    }
    let other = world.person().await;
    let (_, others) = other.create(json!({ "subdomain": "another" })).await;
    other.end(&others).await;
    // What is closed makes room, and calls that are no streams are answered all the time.
    open.truncate(31);
    drop(person.events(&paths[0], None).await);
    drop(open);
    person.show(&tenant).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_no_operation_is_told_alike() {
    let world = World::new().await;
    let person = world.person().await;
    let path = format!("/api/operations/{}/events", nobody());
    let answer = Answer::of(person.get(&path).send().await).await;
    assert_eq!(answer.problem(404), "not_found");
    let answer = Answer::of(world.client.get(&path).send().await).await;
    assert_eq!(answer.problem(401), "not_signed_in");
    for id in ["x", "%00", "..", "1%20OR%201=1"] {
        let path = format!("/api/operations/{id}/events");
        let answer = Answer::of(person.get(&path).send().await).await;
        assert!(answer.status.is_client_error(), "{id}: {answer:?}");
        answer.problem(answer.status.as_u16());
    }
    let answer = person.post("operations.events").body_json(&json!({})).send().await;
    answer.assert_status(StatusCode::NOT_FOUND);
}
