//! What owners put into their tenants' variables, passwords, keys and the tokens of sessions are told by
//! nothing: not by an answer, an event, a log, the audit log or a copy of the database. The service in front of the
//! real store and real accounts. What people are sent, and what the operator sets, is in `secrets/people.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "secrets/people.rs"]
mod people;
mod support;

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use fresco_core::memory::{MemoryApp, MemoryWorld};
use fresco_core::{Orchestrator, Store};
use fresco_postgres::{EnvironmentKeys, PostgresStore, PostgresStoreConfig};
use fresco_server::accounts::AuditQuery;
use fresco_server::settings::Values;
use fresco_server::{Config, Platform, app, compose};
use poem::EndpointExt;
use poem::test::TestClient;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use support::postgres::Database;
use support::{PASSWORD, SECRET, secret, soon};

/// Part of every planted secret.
const PLANTED: &str = "planted-";

/// All that this program logs, at every level, whichever of its tests makes it do so.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::TRACE)
                .with_writer(log.clone())
                .init();
            log
        });
        LOG.clone()
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn config(database: &Database, settings: &[(&str, &str)]) -> Config {
    let mut values = vec![
        ("DATABASE_URL", database.url.as_str()),
        ("AUTH_SECRET", SECRET),
        ("FRESCO_IMAGE", "memory/app:1"),
        ("FRESCO_APP", "generic"),
    ];
    values.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
    values.extend(settings);
    Config::read(&Values::new(values)).unwrap()
}

fn assert_silent(what: &str, text: &str) {
    let place = text.find(PLANTED).map(|at| text[..at].chars().rev().take(200).collect::<String>());
    let before = place.map(|text| text.chars().rev().collect::<String>());
    assert_eq!(before, None, "{what} tells a secret after this");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn planted_secrets_are_told_by_nothing() {
    let log = Log::begin();
    let database = Database::migrated().await;
    let config = config(&database, &[]);
    let keys = EnvironmentKeys::new(&config.auth_secret).unwrap();
    let store = PostgresStoreConfig::new(secret(&database.url)).keys(keys);
    let store = PostgresStore::connect(store).await.unwrap();
    let world = MemoryWorld::new().as_platform(store.platform().await.unwrap());
    world.image("memory/app:bad".parse().unwrap(), MemoryApp::exits(3, ["no such table"]));
    let mut backends = world.backends();
    backends.store = Arc::new(store);
    let orchestrator = Orchestrator::builder(backends, config.base_domain.clone()).build();
    let orchestrator = orchestrator.await.unwrap();
    let workers = orchestrator.start();
    let platform = Platform::new(config, orchestrator.clone(), database.accounts().await);
    let client = TestClient::new(app(platform.clone()).map_to_response().boxed());

    let cookie = Mutex::new(String::new());
    let answers = Mutex::new(Vec::new());
    let call = async |path: &str, body: Value, status: u16| {
        let cookie_now = cookie.lock().unwrap().clone();
        let request = client.post(format!("/api/{path}")).header("host", "localhost:3000");
        let response = request.header("cookie", cookie_now).body_json(&body).send().await.0;
        if let Some(line) = response.headers().get("set-cookie") {
            *cookie.lock().unwrap() = line.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        let headers = format!("{:?}", response.headers());
        let found = response.status().as_u16();
        let text = response.into_body().into_string().await.unwrap();
        assert_eq!(found, status, "{path}: {text}");
        answers.lock().unwrap().push(format!("{path} {headers} {text}"));
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    let end = async |begun: &Value| {
        let id = begun["operationId"].as_str().unwrap().to_owned();
        let request = client.get(format!("/api/operations/{id}/events"));
        let cookie_now = cookie.lock().unwrap().clone();
        let request = request.header("host", "localhost:3000").header("cookie", cookie_now);
        let stream = request.send().await.0.into_body().into_string();
        let events = soon("an operation's events", stream).await.unwrap();
        assert!(events.contains("event: done"), "{events}");
        answers.lock().unwrap().push(events);
        orchestrator.operation(id.parse().unwrap()).await.unwrap().status
    };

    let terms = json!({ "email": "ada@example.org", "password": PASSWORD,
                        "termsAccepted": true, "privacyAccepted": true });
    call("auth.signUp", terms, 200).await;
    let body = json!({ "subdomain": "study", "environment": { "A": "planted-create" } });
    let begun = call("tenants.create", body, 202).await;
    let tenant = begun["tenantId"].as_str().unwrap().to_owned();
    end(&begun).await;
    let update = |rest: Value| {
        let mut body = json!({ "tenantId": tenant });
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    let two = json!({ "environment": { "A": "planted-update", "B": "planted-second" } });
    end(&call("tenants.update", update(two), 202).await).await;
    // The app has them: what follows proves something.
    let containers = orchestrator.backends().runtime.list(None).await.unwrap();
    let environment = world.outsider().environment(&containers[0].id).unwrap();
    assert_eq!(environment["A"], "planted-update");
    assert_eq!(environment["B"], "planted-second");

    // One that fails, and is taken back.
    let bad = json!({ "image": "memory/app:bad", "environment": { "C": "planted-failing" } });
    end(&call("tenants.update", update(bad), 202).await).await;
    // Ones that are refused: for the name, the value, the type, a variable of the platform's.
    for environment in [
        json!({ "A-B": "planted-name" }),
        json!({ "": "planted-empty" }),
        json!({ "1A": "planted-digit" }),
        json!({ "A": "planted-\0" }),
        json!({ "A": format!("planted-{}", "x".repeat(40_000)) }),
        json!({ "PORT": "planted-own" }),
    ] {
        call("tenants.update", update(json!({ "environment": environment })), 422).await;
    }
    for environment in
        [json!({ "A": ["planted-array"] }), json!(["planted-list"]), json!("planted-text")]
    {
        call("tenants.update", update(json!({ "environment": environment })), 400).await;
    }
    let whole = json!({ "tenantId": tenant });
    for (path, status) in [("tenants.get", 200), ("tenants.restart", 202)] {
        let answer = call(path, whole.clone(), status).await;
        if status == 202 {
            end(&answer).await;
        }
    }
    call("tenants.list", json!({}), 200).await;
    call("tenants.getLogs", json!({ "tenantId": tenant, "lines": 100 }), 200).await;
    // Passwords, right and wrong, and whatever is typed in the place of something else.
    for (path, body, status) in [
        ("auth.signIn", json!({ "email": "ada@example.org", "password": "planted-wrong" }), 401),
        ("auth.signIn", json!({ "email": "planted-email", "password": "planted-wrong" }), 422),
        ("auth.signIn", json!({ "email": "planted-no@example.org", "password": "planted-x" }), 401),
        ("auth.signIn", json!({ "email": ["planted-list"], "password": "planted-x" }), 400),
        (
            "auth.changePassword",
            json!({ "current": "planted-no", "new": "planted-a-long-one" }),
            403,
        ),
        ("auth.changePassword", json!({ "current": PASSWORD, "new": "planted-password" }), 200),
        (
            "auth.resetPassword",
            json!({ "token": "planted-token", "password": "planted-again" }),
            404,
        ),
        ("apiKeys.create", json!({ "name": "x", "scopes": ["planted-scope"] }), 400),
        ("tenants.stop", json!({ "tenantId": "planted-id" }), 400),
        ("wizard.deployTenant", json!({ "sessionId": "planted-session" }), 404),
    ] {
        call(path, body, status).await;
    }
    // What the platform itself makes, and tells once.
    let begun = call("wizard.createSession", json!({ "email": "eve@example.org" }), 200).await;
    let new = json!({ "name": "ci", "scopes": ["tenants:read"] });
    let key = call("apiKeys.create", new, 200).await;
    let told = [
        begun["sessionId"].as_str().unwrap().to_owned(),
        key["key"].as_str().unwrap().to_owned(),
        key["key"].as_str().unwrap().split('_').nth(1).unwrap().to_owned(),
        cookie.lock().unwrap().split('=').nth(1).unwrap().to_owned(),
    ];
    // Kept while an operation waits: nobody works on it.
    workers.shutdown().await;
    let last = json!({ "environment": { "A": "planted-waiting" } });
    call("tenants.update", update(last), 202).await;

    platform.audit_operations().await.unwrap();
    for answer in answers.lock().unwrap().iter() {
        assert_silent("an answer", answer);
    }
    let copy = database.dump().await;
    for table in [
        "fresco.tenants",
        "fresco.operations",
        "fresco.events",
        "fresco_server.users",
        "fresco_server.audit",
    ] {
        assert!(copy.contains(&format!("COPY {table}")), "the copy has {table}");
    }
    assert!(copy.contains("\"sealed\""), "the copy has sealed values");
    assert_silent("a copy of the database", &copy);
    assert!(copy.contains("wrong_credentials") && copy.contains("auth_change_password"), "{copy}");
    let accounts = database.accounts().await;
    let audit = accounts.audit(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).await;
    let audit = serde_json::to_string(&audit.unwrap().rows).unwrap();
    assert!(audit.contains("operation_update"), "ends of operations are told: {audit}");
    assert_silent("the audit log", &audit);
    let log = log.text();
    assert!(log.contains("DEBUG") && log.contains("tenants.update"), "the log is there: {log}");
    assert_silent("the log", &log);
    for secret in told {
        for (what, text) in
            [("a copy of the database", &copy), ("the log", &log), ("audit", &audit)]
        {
            assert!(!text.contains(&secret), "{what} tells what was told once");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_command_turns_from_one_secret_to_the_next() {
    const NEXT: &str = "another secret of 32 characters, or more";
    let database = Database::migrated().await;
    let first = config(&database, &[]);
    compose::migrate(&first).await.unwrap();
    let keys = |text: &str| EnvironmentKeys::new(&secret(text)).unwrap();
    let open = async |text: &str| {
        let config = PostgresStoreConfig::new(secret(&database.url)).keys(keys(text));
        PostgresStore::connect(config).await
    };
    let world = MemoryWorld::new();
    let mut backends = world.backends();
    backends.store = Arc::new(open(SECRET).await.unwrap());
    let orchestrator = Orchestrator::builder(backends, first.base_domain.clone());
    let orchestrator = orchestrator.build().await.unwrap();
    let owner = fresco_core::OwnerId::new("ada");
    let spec = first.tenants.new_tenant(owner, "study".parse().unwrap());
    let spec = spec.with_env("A".parse().unwrap(), "planted-value".parse().unwrap());
    let id = fresco_core::TenantId::new();
    orchestrator.deploy(id, spec, fresco_core::Actor::System).await.unwrap();

    // The new secret alone: nothing is opened, and the words say what to do.
    let alone = config(&database, &[("AUTH_SECRET", NEXT)]);
    let words = compose::rotate_secrets(&alone).await.unwrap_err().chain();
    for part in ["AUTH_SECRET_OLD", &*id.to_string(), "variable: A"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let both = config(&database, &[("AUTH_SECRET", NEXT), ("AUTH_SECRET_OLD", SECRET)]);
    let done = compose::rotate_secrets(&both).await.unwrap();
    // One in the tenant, one in its create, which nobody has worked on.
    assert_eq!((done.tenants, done.values, done.left), (1, 2, 0));
    let done = compose::rotate_secrets(&alone).await.unwrap();
    assert_eq!((done.tenants, done.values, done.left), (0, 0, 0));
    assert!(open(SECRET).await.is_err());
}
