//! A platform to call, and people who do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fresco_core::memory::MemoryWorld;
use fresco_core::{Backends, Orchestrator, Workers};
use fresco_server::settings::Values;
use fresco_server::{Config, Platform, app};
use futures_util::{Stream, StreamExt};
use poem::endpoint::BoxEndpoint;
use poem::http::StatusCode;
use poem::test::{TestClient, TestRequestBuilder, TestResponse};
use poem::web::sse;
use poem::{EndpointExt, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support;

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A platform in memory, but for its accounts.
pub struct World {
    pub memory: MemoryWorld,
    pub platform: Platform,
    pub client: TestClient<BoxEndpoint<'static, Response>>,
    _workers: Workers,
    _accounts: support::postgres::Database,
}

/// Somebody who is signed in.
pub struct Person<'a> {
    world: &'a World,
    cookie: String,
}

/// What a call was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub kind: String,
    pub body: Value,
}

impl World {
    pub async fn new() -> Self {
        let memory = MemoryWorld::new();
        let backends = memory.backends();
        Self::with(memory, backends).await
    }

    pub async fn with(memory: MemoryWorld, backends: Backends) -> Self {
        let config = Config::read(&Values::new([
            ("FRESCO_IMAGE", "memory/app:1"),
            ("FRESCO_APP", "generic"),
            ("MAX_MEMORY", "1024"),
        ]))
        .unwrap();
        let orchestrator = Orchestrator::builder(backends, config.base_domain.clone());
        let orchestrator = orchestrator
            .settings(|settings| settings.poll_interval = Duration::from_millis(20))
            .build()
            .await
            .unwrap();
        let database = support::postgres::Database::migrated().await;
        let platform = Platform::new(config, orchestrator, database.accounts().await);
        let workers = platform.orchestrator.start();
        let endpoint = app(platform.clone()).map_to_response().boxed();
        let client = TestClient::new(endpoint).default_header("host", "localhost:3000");
        Self { memory, platform, client, _workers: workers, _accounts: database }
    }

    /// Somebody new.
    pub async fn person(&self) -> Person<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "email": format!("person{number}@example.org"), "password": "correct horse battery",
            "termsAccepted": true, "privacyAccepted": true,
        });
        let response = self.client.post("/api/auth.signUp").body_json(&body).send().await;
        response.assert_status_is_ok();
        let cookie = response.0.header("set-cookie").expect("a cookie").split(';').next().unwrap();
        Person { world: self, cookie: cookie.to_owned() }
    }

    /// A call of somebody who is not signed in.
    pub async fn call(&self, call: &str, body: Value) -> Answer {
        Answer::of(self.client.post(format!("/api/{call}")).body_json(&body).send().await).await
    }
}

impl Answer {
    pub async fn of(response: TestResponse) -> Self {
        let response = response.0;
        let kind = response.content_type().unwrap_or_default().to_owned();
        let status = response.status();
        let text = response.into_body().into_string().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, kind, body }
    }

    /// The body of a success.
    #[track_caller]
    pub fn good(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.body
    }

    /// The code of a problem with this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.kind, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        for field in ["type", "title", "detail"] {
            assert!(self.body[field].is_string(), "{self:?}");
        }
        self.body["code"].as_str().unwrap()
    }

    /// The field that a 422 names.
    #[track_caller]
    pub fn wrong_field(&self) -> &str {
        assert_eq!(self.problem(422), "invalid", "{self:?}");
        self.body["field"].as_str().unwrap_or_default()
    }
}

impl<'a> Person<'a> {
    pub fn post(&self, call: &str) -> TestRequestBuilder<'a, BoxEndpoint<'static, Response>> {
        self.world.client.post(format!("/api/{call}")).header("cookie", &self.cookie)
    }

    pub fn get(&self, path: &str) -> TestRequestBuilder<'a, BoxEndpoint<'static, Response>> {
        self.world.client.get(path).header("cookie", &self.cookie)
    }

    pub async fn call(&self, call: &str, body: Value) -> Answer {
        Answer::of(self.post(call).body_json(&body).send().await).await
    }

    /// Begins to create a tenant; its id and the operation's.
    pub async fn create(&self, body: Value) -> (String, String) {
        let answer = self.call("tenants.create", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        let id = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        (id("tenantId"), id("operationId"))
    }

    /// A tenant that runs.
    pub async fn tenant(&self, subdomain: &str) -> String {
        let (tenant, operation) = self.create(json!({ "subdomain": subdomain })).await;
        let done = self.end(&operation).await;
        assert_eq!(done["status"], "success", "{done}");
        tenant
    }

    /// Does something to a tenant, up to its end.
    pub async fn act(&self, call: &str, body: Value) -> Value {
        let answer = self.call(call, body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        self.end(answer.body["operationId"].as_str().unwrap()).await
    }

    /// An operation as it ended.
    pub async fn end(&self, operation: &str) -> Value {
        let mut events = self.events(&format!("/api/operations/{operation}/events"), None).await;
        while let Some(event) = events.next().await {
            let (_, name, data) = parts(event);
            if name == "done" {
                return data;
            }
        }
        panic!("the events ended before the operation did");
    }

    /// A live stream, after the event of this id.
    pub async fn events(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> impl Stream<Item = sse::Event> + Unpin + use<> {
        let mut request = self.get(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await;
        response.assert_status_is_ok();
        let stream = response.sse_stream();
        // Whatever does not come in time fails the test.
        Box::pin(futures_util::stream::unfold(stream, |mut stream| async {
            let next = tokio::time::timeout(PATIENCE, stream.next()).await;
            Some((next.expect("an event in time")?, stream))
        }))
    }

    pub async fn show(&self, tenant: &str) -> Value {
        self.call("tenants.get", json!({ "tenantId": tenant })).await.good()
    }
}

/// The id, the name and the data of an event.
pub fn parts(event: sse::Event) -> (String, String, Value) {
    match event {
        sse::Event::Message { id, event, data } => {
            (id, event, serde_json::from_str(&data).unwrap())
        }
        sse::Event::Retry { .. } => panic!("nobody sends this"),
    }
}

/// An id that nothing has.
pub fn nobody() -> String {
    Uuid::new_v4().to_string()
}
