//! What may be chosen for a tenant, and what a repeated request does.

use std::collections::BTreeMap;

use poem::http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::world::{Answer, Person, World};

async fn keyed(person: &Person<'_>, key: &str, body: Value) -> Answer {
    let request = person.post("tenants.create").header("idempotency-key", key);
    Answer::of(request.body_json(&body).send().await).await
}

fn variables(count: usize, value: &str) -> BTreeMap<String, String> {
    (0..count).map(|number| (format!("A{number}"), value.to_owned())).collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_repeated_request_is_done_once() {
    let world = World::new().await;
    let person = world.person().await;
    let body = json!({ "subdomain": "only-once", "environment": { "A": "1", "B": "2" } });
    let (one, two) =
        tokio::join!(keyed(&person, "key-1", body.clone()), keyed(&person, "key-1", body.clone()));
    assert_eq!(one.status, StatusCode::ACCEPTED);
    assert_eq!((one.status, &one.body), (two.status, &two.body));
    let again = keyed(&person, "key-1", body).await;
    assert_eq!(again.good(), one.body);

    let other = keyed(&person, "key-1", json!({ "subdomain": "another" })).await;
    assert_eq!(other.problem(422), "idempotency_key_reused");
    let other = keyed(&person, "key-2", json!({ "subdomain": "another" })).await;
    assert_eq!(other.status, StatusCode::ACCEPTED);
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = keyed(&person, key, json!({ "subdomain": "third-one" })).await;
        assert_eq!(answer.problem(422), "invalid", "{key}");
    }
    // One that can't be read is not taken for none, nor one of two for both.
    let body = json!({ "subdomain": "third-one" });
    let request = || person.post("tenants.create").body_json(&body);
    let bytes = |bytes| HeaderValue::from_bytes(bytes).unwrap();
    for (what, request) in [
        ("no ASCII", request().header("idempotency-key", bytes("schlüssel".as_bytes()))),
        ("no UTF-8", request().header("idempotency-key", bytes(b"\xff"))),
        ("two", request().header("idempotency-key", "a").header("idempotency-key", "b")),
        ("twice", request().header("idempotency-key", "a").header("idempotency-key", "a")),
    ] {
        let answer = Answer::of(request.send().await).await;
        assert_eq!(answer.wrong_field(), "Idempotency-Key", "{what}");
    }
    // A key is a person's own.
    let stranger = world.person().await;
    let theirs = keyed(&stranger, "key-1", json!({ "subdomain": "theirs" })).await;
    assert_eq!(theirs.status, StatusCode::ACCEPTED);
    let all = person.call("tenants.list", json!({})).await.good();
    assert_eq!(all["total"], 2);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_taken_name_is_refused_whoever_has_it() {
    let world = World::new().await;
    let (one, two) = (world.person().await, world.person().await);
    one.tenant("first-come").await;
    for person in [&one, &two] {
        let answer = person.call("tenants.create", json!({ "subdomain": "first-come" })).await;
        assert_eq!(answer.problem(409), "subdomain_taken");
        assert_eq!(answer.body["field"], "subdomain");
    }
}

/// What an owner may not choose, and the field that the answer names.
fn bad_choices() -> Vec<(Value, &'static str)> {
    let mut choices = vec![
        (json!({ "image": "evil/app:1" }), "image"),
        (json!({ "image": "memory/app:1 --privileged" }), "image"),
        (json!({ "image": "memory/app\u{0}" }), "image"),
        (json!({ "image": "" }), "image"),
        (json!({ "environment": { "DATABASE_URL": "x" } }), "environment.DATABASE_URL"),
        (json!({ "environment": { "1A": "x" } }), "environment.1A"),
        (json!({ "environment": { "": "x" } }), "environment."),
        (json!({ "environment": { "A=B": "x" } }), "environment.A=B"),
        (json!({ "environment": { "A": "secret\u{0}value" } }), "environment.A"),
        (json!({ "environment": { "A": "x".repeat(32 * 1024 + 1) } }), "environment.A"),
        (json!({ "environment": variables(201, "") }), "environment"),
        (json!({ "environment": variables(9, &"x".repeat(30 * 1024)) }), "environment"),
    ];
    for (limit, values) in [
        ("memoryMb", vec![json!(0), json!(255), json!(1025), json!(4_294_967_295_u32)]),
        ("cpus", vec![json!(0), json!(0.24), json!(2.01), json!(-1), json!(1e300)]),
        ("pids", vec![json!(0), json!(1), json!(1025)]),
    ] {
        let field = match limit {
            "memoryMb" => "limits.memoryMb",
            "cpus" => "limits.cpus",
            _ => "limits.pids",
        };
        choices.extend(values.into_iter().map(|v| (json!({ "limits": { limit: v } }), field)));
    }
    choices
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_may_not_be_chosen_is_named() {
    let world = World::new().await;
    let person = world.person().await;
    let id = person.tenant("chosen").await;
    for (choice, field) in bad_choices() {
        for (call, name, value) in [
            ("tenants.create", "subdomain", "another"),
            ("tenants.update", "tenantId", id.as_str()),
        ] {
            let mut body = choice.clone();
            body[name] = value.into();
            let answer = person.call(call, body).await;
            assert_eq!(answer.wrong_field(), field, "{call} {choice:.200}");
            let words = answer.body["detail"].as_str().unwrap();
            // What people read: they know no names of fields.
            let bounds = match field {
                "limits.memoryMb" => "Choose 256 to 1024 MB of memory.",
                "limits.cpus" => "Choose 0.25 to 2 processor cores.",
                "limits.pids" => "Choose 256 to 1024 processes.",
                _ => words,
            };
            assert_eq!(words, bounds);
            assert!(!answer.body.to_string().contains("secret"), "{answer:?}");
        }
    }
    for nothing in [json!({}), json!({ "limits": {} })] {
        let mut body = nothing.clone();
        body["tenantId"] = id.as_str().into();
        assert_eq!(person.call("tenants.update", body).await.wrong_field(), "", "{nothing}");
    }
    // None of it left anything behind.
    let list = person.call("tenants.list", json!({})).await.good();
    assert_eq!(list["total"], 1);
    assert_eq!(person.show(&id).await["operations"].as_array().map(Vec::len), Some(1));

    let body = json!({
        "subdomain": "another", "image": "memory/app:2",
        "limits": { "memoryMb": 256, "cpus": 2, "pids": 1024 }, "environment": { "A": "" },
    });
    let (id, operation) = person.create(body).await;
    assert_eq!(person.end(&operation).await["status"], "success");
    let tenant = &person.show(&id).await["tenant"];
    assert_eq!(tenant["limits"], json!({ "memoryMb": 256, "cpus": 2.0, "pids": 1024 }));
}
