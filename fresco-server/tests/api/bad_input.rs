//! Whatever comes in: a problem document with a 4XX, and never a 5XX.

use poem::http::{Method, StatusCode};
use poem::test::TestRequestBuilder;
use poem::{Endpoint, Response};
use serde_json::{Value, json};

use crate::world::{Answer, World, nobody};

/// Every POST there is.
fn calls() -> Vec<String> {
    let document: Value = serde_json::from_str(&fresco_server::openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let posts = paths.iter().filter(|(_, methods)| methods.get("post").is_some());
    let calls: Vec<_> = posts.map(|(path, _)| path.trim_start_matches("/api/").into()).collect();
    assert!(calls.len() > 10, "{calls:?}");
    calls
}

async fn refused<E: Endpoint<Output = Response>>(
    what: &str,
    request: TestRequestBuilder<'_, E>,
) -> Answer {
    let answer = Answer::of(request.send().await).await;
    assert!(answer.status.is_client_error(), "{what}: {answer:?}");
    answer.problem(answer.status.as_u16());
    answer
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn names_that_can_not_be() {
    let world = World::new().await;
    let person = world.person().await;
    for name in [
        "",
        "a",
        "ab",
        "-x",
        "x-",
        "-xy",
        "xy-",
        "x_y",
        "WWW",
        "www",
        "x`) || Host(`y",
        "a--b",
        "123",
        "my study",
        "ä-name",
        "a.b.c",
        "abc\u{0}",
        "abc\n",
        "../etc",
        "'; DROP TABLE x; --",
    ] {
        let answer = person.call("tenants.create", json!({ "subdomain": name })).await;
        assert_eq!(answer.wrong_field(), "subdomain", "{name:?}");
    }
    let long = "a".repeat(64);
    let answer = person.call("tenants.create", json!({ "subdomain": long })).await;
    assert_eq!(answer.wrong_field(), "subdomain");
    let longest = "a".repeat(63);
    let answer = person.call("tenants.create", json!({ "subdomain": longest })).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn bodies_that_can_not_be_read() {
    let world = World::new().await;
    let person = world.person().await;
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("half", b"{\"subdomain\":".to_vec()),
        ("words", b"hello".to_vec()),
        ("two", b"{}{}".to_vec()),
        ("no UTF-8", b"{\"subdomain\": \"\xff\xfe\"}".to_vec()),
        ("half a surrogate", b"{\"subdomain\": \"\\ud800\"}".to_vec()),
        ("20,000 brackets", nested.into_bytes()),
        ("20,000 open brackets", "[".repeat(20_000).into_bytes()),
        ("10,000 objects", objects.into_bytes()),
        ("a huge number", b"{\"limits\": {\"cpus\": 1e999}}".to_vec()),
        ("an array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("an unknown field", b"{\"no-such-field\": 1}".to_vec()),
    ];
    for call in calls() {
        for (what, body) in &bodies {
            let request = person.post(&call).content_type("application/json").body(body.clone());
            refused(&format!("{call}: {what}"), request).await;
        }
        let body = vec![b' '; 10 * 1024 * 1024];
        let request = person.post(&call).content_type("application/json").body(body);
        assert_eq!(refused(&call, request).await.problem(413), "too_large");
    }
}

/// Variables may be many; else whoever is not known could fill the memory.
#[tokio::test]
#[ignore = "needs Docker"]
async fn only_who_is_known_sends_large_bodies_and_only_where_they_are_wanted() {
    let world = World::new().await;
    let person = world.person().await;
    let stranger = |call: &str| {
        let request = world.client.post(format!("/api/{call}"));
        request.header("cookie", format!("fresco_session={}", "0".repeat(64)))
    };
    for call in calls() {
        let large = matches!(&*call, "tenants.create" | "tenants.update");
        for (kilobytes, told) in
            [(65, true), (65, false), (1000, true), (1000, false), (1025, true)]
        {
            let send = async |request: TestRequestBuilder<'_, _>| {
                let body = vec![b' '; kilobytes * 1024];
                let mut request = request.content_type("application/json");
                if told {
                    request = request.header("content-length", body.len().to_string());
                }
                request.body(body).send().await.0.status()
            };
            let what = format!("{call}: {kilobytes} KiB, told: {told}");
            assert_eq!(send(stranger(&call)).await, StatusCode::PAYLOAD_TOO_LARGE, "{what}");
            let good = large && kilobytes <= 1024;
            let expected =
                if good { StatusCode::BAD_REQUEST } else { StatusCode::PAYLOAD_TOO_LARGE };
            assert_eq!(send(person.post(&call)).await, expected, "{what}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn values_of_another_type() {
    let world = World::new().await;
    let person = world.person().await;
    let wrong = [json!(12_345), json!(true), json!(["x"]), json!({ "x": "y" }), json!(null)];
    for (call, field, rest) in [
        ("tenants.create", "subdomain", json!({})),
        ("tenants.create", "limits", json!({ "subdomain": [] })),
        ("tenants.create", "environment", json!({ "subdomain": [] })),
        ("tenants.get", "tenantId", json!({})),
        ("tenants.update", "tenantId", json!({ "image": "memory/app:1" })),
        ("tenants.destroy", "confirmation", json!({ "tenantId": nobody() })),
        ("auth.signIn", "password", json!({ "email": "a@example.org" })),
        ("wizard.checkSubdomain", "subdomain", json!({})),
    ] {
        for value in &wrong {
            let mut body = rest.clone();
            body[field] = value.clone();
            let answer = person.call(call, body.clone()).await;
            assert_eq!(answer.problem(400), "invalid_request", "{call} {body}");
            // A value may be a secret that went into the wrong place.
            assert!(!answer.body["detail"].to_string().contains("12345"), "{answer:?}");
        }
    }
    for id in ["", "x", "00000000-0000-0000-0000-00000000000g", "1' OR '1'='1"] {
        let answer = person.call("tenants.get", json!({ "tenantId": id })).await;
        assert_eq!(answer.problem(400), "invalid_request", "{id}");
        let path = format!("/api/tenants/{}/logs", id.replace(' ', "%20"));
        refused(id, person.get(&path)).await;
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_wrong_with_a_body_is_named() {
    let world = World::new().await;
    let person = world.person().await;
    let statuses = "pending, provisioning, active, stopped, error, destroying, destroyed";
    let status = format!("status must be one of {statuses}");
    let long = "x".repeat(1000);
    let wizard = |data| json!({ "sessionId": "x", "step": 1, "data": data });
    let create = |field: &str, value| json!({ "subdomain": "good-name", field: value });
    for (call, body, field, words) in [
        ("auth.signIn", json!({}), "email", "email is missing"),
        ("auth.signIn", json!({ "email": null }), "email", "email is missing"),
        ("auth.signIn", json!({ "email": 12_345 }), "email", "email must be a string"),
        ("auth.signIn", json!({ "email": "a@b.org" }), "password", "password is missing"),
        ("auth.signIn", json!([]), "", "it must be an object"),
        ("auth.signOut", json!({ "x": 1 }), "x", "x is no field of this call"),
        ("auth.signOut", json!({ &long: 1 }), &long[..128], "is no field of this call"),
        ("tenants.list", json!({ "status": "ACTIVE" }), "status", &status),
        ("tenants.list", json!({ "status": true }), "status", &status),
        ("tenants.list", json!({ "page": -1 }), "page", "page must be a whole number up to"),
        ("tenants.list", json!({ "page": 1.5 }), "page", "page must be a whole number up to"),
        ("tenants.list", json!({ "page": "1" }), "page", "page must be a whole number up to"),
        ("tenants.list", json!({ "page": u64::MAX }), "page", "page must be a whole number up to"),
        ("tenants.get", json!({ "tenantId": "x" }), "tenantId", "tenantId must be a UUID"),
        ("tenants.getLogs", json!({ "tenantId": nobody(), "since": "now" }), "since", "a time"),
        // What is not known is left out.
        ("tenants.create", create("image", json!(null)), "image", "image must be a string"),
        ("tenants.create", create("limits", json!({ "cpus": null })), "limits.cpus", "a number"),
        ("auth.updateProfile", json!({ "email": null }), "email", "email must be a string"),
        ("tenants.create", create("limits", json!([])), "limits", "limits must be an object"),
        ("tenants.create", create("limits", json!({ "cpus": "1" })), "limits.cpus", "a number"),
        ("tenants.create", create("limits", json!({ "cpu": 1 })), "limits.cpu", "is no field"),
        ("tenants.create", create("environment", json!({ "A": 1 })), "environment.A", "a string"),
        ("wizard.updateSession", wizard(json!(null)), "data", "data is missing"),
        ("wizard.updateSession", wizard(json!({ "useCase": "x" })), "data.useCase", "one of study"),
        (
            "wizard.updateSession",
            wizard(json!({ "termsAccepted": "yes" })),
            "data.termsAccepted",
            "data.termsAccepted must be true or false",
        ),
        ("wizard.updateSession", json!({ "sessionId": "x", "step": 256 }), "step", "up to 255"),
    ] {
        let answer = person.call(call, body.clone()).await;
        assert_eq!(answer.problem(400), "invalid_request", "{call} {body}");
        assert_eq!(answer.body["field"].as_str().unwrap_or_default(), field, "{call} {body}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{call} {body}: {detail}");
        assert!(detail.len() < 300 && !detail.contains("12345"), "{detail}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn whoever_is_not_signed_in_learns_nothing() {
    let world = World::new().await;
    let owner = world.person().await;
    let (id, operation) = owner.create(json!({ "subdomain": "private-one" })).await;
    owner.end(&operation).await;
    let forged = format!("fresco_session={}", "A".repeat(43));
    let twice = "fresco_session=a; fresco_session=b".to_owned();
    for cookie in
        [None, Some(forged), Some(twice), Some("fresco_session=\u{1}".replace('\u{1}', "%00"))]
    {
        for call in calls().iter().filter(|call| call.starts_with("tenants.")) {
            let mut request = world.client.post(format!("/api/{call}"));
            if let Some(cookie) = &cookie {
                request = request.header("cookie", cookie);
            }
            // Who may not ask is not told what is wrong with the question, either.
            let answer = refused(call, request.body_json(&json!({ "tenantId": id }))).await;
            assert_eq!(answer.problem(401), "not_signed_in", "{call}");
        }
        for path in
            [format!("/api/tenants/{id}/logs"), format!("/api/operations/{operation}/events")]
        {
            let answer = refused(&path, world.client.get(&path)).await;
            assert_eq!(answer.problem(401), "not_signed_in");
        }
    }
    for call in ["wizard.getSession", "wizard.deployTenant"] {
        for session in ["", "x", &"A".repeat(43), &"x".repeat(100_000), "\u{0}"] {
            let answer = world.call(call, json!({ "sessionId": session })).await;
            assert!(answer.status.is_client_error(), "{call}: {answer:?}");
            answer.problem(answer.status.as_u16());
        }
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_no_page_of_ours_would_send() {
    let world = World::new().await;
    let person = world.person().await;
    let body = json!({ "subdomain": "planted" });
    let ask = || person.post("tenants.create").body_json(&body);
    let foreign = refused("origin", ask().header("origin", "http://demo.localhost:3000")).await;
    assert_eq!(foreign.problem(403), "foreign_origin");
    let foreign = refused("site", ask().header("sec-fetch-site", "same-site")).await;
    assert_eq!(foreign.problem(403), "foreign_origin");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let request = person.post("tenants.create").content_type(kind).body(body.to_string());
        assert_eq!(refused(kind, request).await.problem(415), "unsupported_media_type");
    }
    let bare = person.post("tenants.create").body(body.to_string());
    assert_eq!(refused("no type", bare).await.problem(415), "unsupported_media_type");
    // The test's client adds its own Host to this one; no server may believe either.
    let two = refused("host", ask().header("host", "demo.localhost")).await;
    assert_eq!(two.problem(421), "misdirected");
    assert_eq!(person.call("tenants.list", json!({})).await.good()["total"], 0);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn addresses_and_methods_that_are_none() {
    let world = World::new().await;
    let json = "application/json";
    for path in ["/api", "/api/", "/api/nothing", "/api/tenants", "/x/y/z", "/%00", "//", "/docs/x"]
    {
        assert_eq!(refused(path, world.client.get(path)).await.problem(404), "not_found");
        let request = world.client.post(path).content_type(json).body("{}");
        assert_eq!(refused(path, request).await.problem(404), "not_found");
    }
    let answer = refused("no text", world.client.get("/%ff")).await;
    assert_eq!(answer.problem(400), "invalid_request");
    assert!(answer.body["detail"].as_str().unwrap().contains("not UTF-8"), "{answer:?}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn each_address_says_which_methods_it_answers() {
    let world = World::new().await;
    let mut addresses = vec![];
    for call in calls() {
        addresses.push((format!("/api/{call}"), "POST"));
    }
    let pages = ["/", "/status", "/terms"];
    let documents = ["/health", "/openapi.json", "/docs", "/docs/"];
    let parts = ["/docs/explorer.js", "/docs/start.js", "/docs/explorer.css"];
    let streams = ["/api/tenants/x/logs", "/api/operations/x/events"];
    addresses.extend(
        pages
            .into_iter()
            .chain(documents)
            .chain(parts)
            .chain(streams)
            .map(|path| (path.into(), "GET, HEAD")),
    );
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"];
    for (path, allowed) in addresses {
        for method in all {
            // With the header that the type of a body is told by, and without.
            for kind in [None, Some("application/json")] {
                let name: Method = method.parse().unwrap();
                let mut request = world.client.request(name, &path);
                // Where forms are sent from: without it, a page looks no further.
                if pages.contains(&path.as_str()) {
                    request = request.header("origin", "http://localhost:3000");
                }
                if let Some(kind) = kind {
                    request = request.content_type(kind).body("{}");
                }
                let response = request.send().await;
                let allow = response.0.header("allow").map(str::to_owned);
                let answer = Answer::of(response).await;
                if allowed.contains(method) {
                    assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                    assert_ne!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
                    continue;
                }
                assert_eq!(answer.problem(405), "method_not_allowed", "{method} {path}");
                assert_eq!(allow.as_deref(), Some(allowed), "{method} {path}");
            }
        }
    }
}
