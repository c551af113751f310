//! What a tenant's app wrote.

use fresco_core::fault::{Call, Fault, FaultPlan, wrap};
use fresco_core::memory::{MemoryApp, MemoryWorld};
use fresco_core::{Direction, ErrorKind, LogStream, Step};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::world::{Answer, Person, World, parts};

/// The app's own last word at its start.
const READY: &str = "listening on port 3000";

/// A platform whose app writes these lines when it starts, and then [`READY`].
async fn world(lines: impl IntoIterator<Item = String>) -> World {
    let world = World::new().await;
    let app = lines.into_iter().enumerate().fold(MemoryApp::healthy(), |app, (at, line)| {
        app.printing(if at % 2 == 0 { LogStream::Stdout } else { LogStream::Stderr }, line)
    });
    world.memory.image("memory/app:1".parse().unwrap(), app);
    world
}

async fn logs(person: &Person<'_>, body: Value) -> Value {
    person.call("tenants.getLogs", body).await.good()
}

fn texts(log: &Value) -> Vec<&str> {
    log["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_newest_lines() {
    let world = world((0..300).map(|n| format!("line {n}"))).await;
    let person = world.person().await;
    let id = person.tenant("talker").await;
    let log = logs(&person, json!({ "tenantId": id })).await;
    assert_eq!((texts(&log).len(), texts(&log)[0]), (200, "line 101"));
    assert_eq!(log.get("truncated"), None);
    let log = logs(&person, json!({ "tenantId": id, "lines": 2 })).await;
    assert_eq!(texts(&log), ["line 299", READY]);
    let line = &log["lines"][0];
    assert_eq!(line["stream"], "stderr");
    let since = &log["lines"][1]["at"];
    let log = logs(&person, json!({ "tenantId": id, "lines": 5000, "since": since })).await;
    assert_eq!(texts(&log), [READY]);
    for (since, count) in [("2999-01-01T00:00:00Z", 0), ("-0001-01-01T00:00:00Z", 200)] {
        let log = logs(&person, json!({ "tenantId": id, "since": since })).await;
        assert_eq!(texts(&log).len(), count, "since {since}");
    }
    for lines in [0, 5001] {
        let body = json!({ "tenantId": id, "lines": lines });
        assert_eq!(person.call("tenants.getLogs", body).await.wrong_field(), "lines");
    }
    let body = json!({ "tenantId": id, "since": "yesterday" });
    assert_eq!(person.call("tenants.getLogs", body).await.problem(400), "invalid_request");
    // A stopped tenant's lines are still there.
    person.act("tenants.stop", json!({ "tenantId": id })).await;
    assert_eq!(texts(&logs(&person, json!({ "tenantId": id })).await).len(), 200);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_answer_has_a_bound_in_bytes() {
    let big = "x".repeat(200 * 1024);
    let world = world((0..7).map(|n| format!("{n}{big}"))).await;
    let person = world.person().await;
    let id = person.tenant("talker").await;
    let log = logs(&person, json!({ "tenantId": id })).await;
    let first: Vec<_> = texts(&log).iter().map(|text| &text[..1]).collect();
    assert_eq!(first, ["2", "3", "4", "5", "6", "l"]);
    assert_eq!(log["truncated"], true);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_live_log_begins_with_the_newest_lines_and_says_why_it_ends() {
    let world = world((0..250).map(|n| format!("line {n}"))).await;
    let person = world.person().await;
    let id = person.tenant("talker").await;
    let path = format!("/api/tenants/{id}/logs");
    let mut live = person.events(&path, None).await;
    let mut sent = Vec::new();
    // As many as are read at once.
    for number in 51..250 {
        let (id, name, data) = parts(live.next().await.unwrap());
        assert_eq!(
            (name.as_str(), data["text"].as_str()),
            ("line", Some(&*format!("line {number}")))
        );
        sent.push((id, data));
    }
    let (id_of_ready, _, data) = parts(live.next().await.unwrap());
    assert_eq!(data["text"], READY);
    sent.push((id_of_ready.clone(), data));
    // After each of them, exactly the rest comes.
    for (at, (id, _)) in sent.iter().enumerate().step_by(33) {
        let after = format!("{path}?after={id}");
        let elsewhere = format!("{path}?after={}", sent[0].0);
        for (path, header) in [(&path, Some(&**id)), (&after, None), (&elsewhere, Some(id))] {
            let mut rest = person.events(path, header).await;
            for (id, data) in &sent[at + 1..] {
                let (again, _, same) = parts(rest.next().await.unwrap());
                assert_eq!((&again, &same), (id, data));
            }
        }
    }
    person.act("tenants.stop", json!({ "tenantId": id })).await;
    let (place, name, data) = parts(live.next().await.unwrap());
    assert_eq!((place, name.as_str()), (id_of_ready, "end"));
    assert_eq!(data, json!({ "reason": "The tenant's container does not run." }));
    assert_eq!(live.next().await, None);
    for place in ["", "x", "1-1", "99999999999.000000000-0000000000000001"] {
        let answer = person.get(&path).header("last-event-id", place).send().await;
        assert_eq!(Answer::of(answer).await.wrong_field(), "Last-Event-ID", "{place}");
        let answer = person.get(&path).query("after", &place).send().await;
        assert_eq!(Answer::of(answer).await.wrong_field(), "after", "{place}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_tenant_without_a_container_has_no_log() {
    let world = World::new().await;
    let person = world.person().await;
    let body = json!({ "subdomain": "nothing", "image": "memory/app:nowhere" });
    let (id, operation) = person.create(body).await;
    assert_eq!(person.end(&operation).await["status"], "failed");
    assert_eq!(logs(&person, json!({ "tenantId": id })).await, json!({ "lines": [] }));
    let live = person.events(&format!("/api/tenants/{id}/logs"), None).await;
    let names: Vec<_> = live.map(|event| parts(event).1).collect().await;
    assert_eq!(names, ["end"]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn while_a_container_is_replaced_its_log_is_not_there_yet() {
    let memory = MemoryWorld::new();
    let kinds = [ErrorKind::NotFound, ErrorKind::Conflict];
    // Reading comes after the last step that there was.
    let step = Some((Direction::Forward, Step::Active));
    let faults = (0..4).map(|nth| {
        let call = Call { method: "runtime.logs", step, nth };
        (call, Fault::FailBefore(kinds[nth as usize / 2]))
    });
    let plan = FaultPlan::with(faults);
    let backends = wrap(&memory.backends(), &plan);
    let world = World::with(memory, backends).await;
    let person = world.person().await;
    let id = person.tenant("replaced").await;
    for kind in kinds {
        let answers = [
            person.post("tenants.getLogs").body_json(&json!({ "tenantId": id })).send().await,
            person.get(&format!("/api/tenants/{id}/logs")).send().await,
        ];
        for answer in answers {
            let later = answer.0.header("retry-after").map(str::to_owned);
            let answer = Answer::of(answer).await;
            assert_eq!(later.as_deref(), Some("5"), "{kind}: {answer:?}");
            assert_eq!(answer.problem(503), "unavailable", "{kind}: {answer:?}");
        }
    }
    assert_eq!(texts(&logs(&person, json!({ "tenantId": id })).await), [READY]);
}
