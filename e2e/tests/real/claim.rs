//! An app that gives itself to its first visitor, behind its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fresco_e2e::Stack;
use fresco_e2e::service::Service;
pub(crate) use fresco_e2e::site::FIRST_VISITOR as PROFILE;
use reqwest::{Client, Method, Response, redirect};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::service::{PROGRAM, email, name};

/// Somebody at the proxy, without a memory for cookies.
#[derive(Clone)]
struct Visitor {
    client: Client,
    proxy: String,
    host: String,
}

impl Visitor {
    fn new(stack: &Stack, subdomain: &str) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none());
        let client = client.timeout(Duration::from_secs(10)).build().unwrap();
        let proxy = format!("http://127.0.0.1:{}", stack.proxy_ports().0);
        Self { client, proxy, host: format!("{subdomain}.localhost") }
    }

    async fn send(&self, method: Method, path: &str, cookie: &str) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.proxy));
        let request = request.header("Host", &self.host).header("Cookie", cookie);
        request.send().await.expect("the proxy answers")
    }

    async fn get(&self, path: &str, cookie: &str) -> (u16, String) {
        let answer = self.send(Method::GET, path, cookie).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The gate turns this visitor away, wherever they go.
    async fn is_turned_away(&self, cookie: &str) {
        for method in [Method::GET, Method::POST, Method::PUT] {
            for path in ["/setup", "/signin", "/whoami", "/", "/setup?fresco_claim=00", "/%73etup"]
            {
                let answer = self.send(method.clone(), path, cookie).await;
                let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
                assert_eq!(status, 403, "{method} {path}: {text}");
                assert!(text.contains("has not been set up yet"), "{method} {path}: {text}");
            }
        }
    }
}

pub(crate) async fn a_stranger_who_comes_first_does_not_become_owner(_: &Stack) {
    // Its proxy is ended in between, which nobody else expects of theirs.
    let own = Stack::start().await;
    let stack = &own;
    let profile = std::env::temp_dir().join(format!("fresco-{}.toml", name()));
    std::fs::write(&profile, PROFILE).unwrap();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let server = service.start().await;
    let (owner, subdomain) = (server.visitor(), name());
    let stranger = Visitor::new(stack, &subdomain);

    // Strangers wait at the door from the first moment on.
    let over = Arc::new(AtomicBool::new(false));
    let crowd: Vec<_> = [Method::GET, Method::POST]
        .into_iter()
        .map(|method| {
            let (stranger, over) = (stranger.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut seen = std::collections::BTreeSet::new();
                while !over.load(Ordering::Relaxed) {
                    seen.insert(
                        stranger.send(method.clone(), "/setup", "").await.status().as_u16(),
                    );
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                seen
            })
        })
        .collect();
    let tenant = owner.deployed(&email(), &subdomain).await;
    // The look of a probe, and nothing else, passes the gate.
    assert_eq!(stranger.send(Method::HEAD, "/signin", "").await.status(), 200);
    assert_eq!(stranger.send(Method::HEAD, "/whoami", "").await.status(), 403);
    over.store(true, Ordering::Relaxed);
    for visits in crowd {
        let seen = visits.await.unwrap();
        assert!(
            seen.contains(&403) && !seen.contains(&200),
            "what strangers were answered: {seen:?}"
        );
    }
    stranger.is_turned_away("").await;
    stranger.is_turned_away(&format!("fresco_gate={}", "0".repeat(64))).await;

    // The link is the owner's alone.
    let id = json!({ "tenantId": tenant });
    let other = server.visitor();
    other.sign_up(&email()).await;
    other.call(404, "tenants.get", id.clone()).await;
    other.call(404, "tenants.openGate", id.clone()).await;
    let claim = owner.call(200, "tenants.get", id.clone()).await["claim"].clone();
    let url = claim["url"].as_str().expect("a link").to_owned();
    let until = claim["until"].as_str().expect("an end").to_owned();
    assert!(chrono::DateTime::parse_from_rfc3339(&until).is_ok(), "{until}");
    let port = stack.proxy_ports().0;
    let path = url.strip_prefix(&format!("http://{subdomain}.localhost:{port}")).expect("its host");
    assert!(path.starts_with("/setup?"), "{path}");

    // It works once, and leads on without the word.
    let entered = stranger.send(Method::GET, path, "").await;
    assert_eq!(entered.status(), 303);
    assert_eq!(entered.headers()["location"], *format!("http://{subdomain}.localhost/setup"));
    let line = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
    assert!(!line.to_lowercase().contains("domain"), "{line}");
    let pass = line.split(';').next().unwrap().to_owned();
    assert_eq!(stranger.get(path, "").await.0, 403, "the link was used");
    assert_eq!(stranger.send(Method::GET, path, &pass).await.status(), 303, "it is who used it");
    let next = owner.call(200, "tenants.get", id.clone()).await["claim"]["url"].clone();
    assert!(next.is_string() && next != url.as_str(), "{next}");

    // The owner is the first whom the app sees.
    let (status, text) = stranger.get("/setup", &pass).await;
    assert!(status == 200 && text.contains("you own this now"), "{status} {text}");
    stranger.is_turned_away("").await;
    // A pass is for its own tenant.
    let second = name();
    let begun = owner.call(202, "tenants.create", json!({ "subdomain": second })).await;
    owner.success(begun["operationId"].as_str().unwrap()).await;
    Visitor::new(stack, &second).is_turned_away(&pass).await;

    // Without a server nobody passes; with the next one it is as it was.
    server.kill().await;
    for cookie in ["", &*pass] {
        let (status, text) = stranger.get("/whoami", cookie).await;
        assert!(status >= 500, "{status} {text}");
    }
    let server = service.start().await;
    let owner = owner.at(&server);
    stranger.is_turned_away("").await;
    assert_eq!(stranger.get("/whoami", &pass).await.0, 200);

    // The owner opens it to everybody.
    owner.call(200, "tenants.openGate", id.clone()).await;
    assert_eq!(owner.call(200, "tenants.get", id.clone()).await.get("claim"), None);
    let (status, text) = stranger.get("/setup", "").await;
    assert!(status == 403 && text.contains("already owned"), "{status} {text}");
    assert_eq!(stranger.get("/whoami", "").await.0, 200);

    // From then on it needs Traefik and its container alone. The other one is closed as before.
    let closed = Visitor::new(stack, &second);
    until_open(stack, &tenant).await;
    server.kill().await;
    served_without_a_server(&stranger, &closed).await;
    stack.restart_traefik().await;
    until_open(stack, &tenant).await;
    served_without_a_server(&stranger, &closed).await;

    // So it is after a stop and a start of the same container, and for the next one.
    let server = service.start().await;
    let owner = owner.at(&server);
    for action in ["stop", "start"] {
        owner.act(action, id.clone()).await;
    }
    until_open(stack, &tenant).await;
    let update = json!({ "tenantId": tenant, "image": "fresco-dev/tenant-app:2" });
    owner.act("update", update).await;
    server.kill().await;
    served_without_a_server(&stranger, &closed).await;

    // What is destroyed leaves nothing behind.
    let server = service.start().await;
    let destroy = json!({ "tenantId": tenant, "confirmation": subdomain });
    owner.at(&server).act("destroy", destroy).await;
    let left = std::fs::read_dir(stack.traefik_directory()).unwrap();
    let mut left = left.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(!left.any(|name| name.contains(&tenant)), "a file of it is left");
    std::fs::remove_file(profile).unwrap();
    own.stop().await;
}

/// Waits until Traefik serves the router past the tenant's gate.
async fn until_open(stack: &Stack, tenant: &str) {
    let url = format!("http://127.0.0.1:{}/api/http/routers?per_page=1000", stack.proxy_ports().1);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // Traefik may be just about to start.
        let routers = match reqwest::get(&url).await {
            Ok(answer) => answer.json::<Vec<Value>>().await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let is_open = |router: &Value| {
            let name = router["name"].as_str().unwrap_or_default();
            name.ends_with(&format!("{tenant}-open@file")) && router["status"] == "enabled"
        };
        if routers.iter().any(is_open) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "Traefik does not learn of the opened gate: {routers:#?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn served_without_a_server(open: &Visitor, closed: &Visitor) {
    for path in ["/whoami", "/signin"] {
        assert_eq!(open.get(path, "").await.0, 200, "{path}");
    }
    for path in ["/whoami", "/signin", "/setup", "/"] {
        let (status, text) = closed.get(path, "").await;
        assert!(status >= 500, "{path}: {status} {text}");
    }
}
