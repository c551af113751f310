//! A whole service: accounts on a real PostgreSQL, tenants in memory.

use fresco_core::fault::{FaultPlan, wrap};
use fresco_core::memory::MemoryWorld;
use fresco_core::{OperationId, OperationStatus, Orchestrator, TenantQuery, Workers};
use fresco_server::accounts::Accounts;
use fresco_server::settings::Values;
use fresco_server::{Config, Platform, app, compose};
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::test::{TestClient, TestRequestBuilder};
use poem::{EndpointExt, Response};
use serde_json::{Value, json};

use super::postgres::Database;
use super::{PASSWORD, SECRET, soon};

pub struct Site {
    pub database: Database,
    pub world: MemoryWorld,
    pub orchestrator: Orchestrator,
    pub platform: Platform,
    _workers: Workers,
    client: TestClient<BoxEndpoint<'static, Response>>,
    host: String,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// The header `Set-Cookie`.
    pub set_cookie: Option<String>,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
}

impl Answer {
    /// The answer of this status, or the test fails.
    #[track_caller]
    pub fn is(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status.as_u16(), "{}", self.body);
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.is(StatusCode::OK)
    }

    /// A refusal with this status and this code.
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.text("code")), (status, code), "{}", self.body);
        self
    }

    /// A refusal of a field's value.
    #[track_caller]
    pub fn refuses_field(self, field: &str) {
        let answer = self.refuses(422, "invalid");
        assert_eq!(answer.text("field"), field, "{}", answer.body);
    }

    #[track_caller]
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body))
    }

    /// The cookie to send from now on.
    #[track_caller]
    pub fn cookie(&self) -> String {
        let line = self.set_cookie.as_ref().expect("a cookie is set");
        line.split(';').next().unwrap().to_owned()
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::on(Database::migrated().await, &[], &FaultPlan::none()).await
    }

    /// A service on this database, with these settings and faults.
    pub async fn on(database: Database, settings: &[(&str, &str)], faults: &FaultPlan) -> Self {
        Self::changed(database, settings, faults, |_| {}).await
    }

    /// The same, with this change of what the settings lead to.
    pub async fn changed(
        database: Database,
        settings: &[(&str, &str)],
        faults: &FaultPlan,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut values = vec![
            ("DATABASE_URL", database.url.as_str()),
            ("AUTH_SECRET", SECRET),
            ("FRESCO_IMAGE", "memory/app:1"),
            ("FRESCO_APP", "generic"),
        ];
        values.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
        values.extend(settings);
        let mut config = Config::read(&Values::new(values)).unwrap();
        change(&mut config);
        let accounts = Accounts::connect(compose::accounts(&config)).await.unwrap();
        let world = MemoryWorld::new();
        let backends = wrap(&world.backends(), faults);
        let builder = Orchestrator::builder(backends, config.base_domain.clone());
        let room = config.room.capacity(&config.tenants, 1_000_000, 10_000);
        let quick = |settings: &mut fresco_core::Settings| {
            (settings.reconcile_interval, settings.capacity) = (None, room);
            settings.quota = config.quota;
        };
        let orchestrator = builder.settings(quick).build().await.unwrap();
        let workers = orchestrator.start();
        let host = config.public_url.to_string();
        let host = host.split("//").nth(1).unwrap().to_owned();
        let platform = Platform::new(config, orchestrator.clone(), accounts);
        let endpoint = app(platform.clone()).map_to_response().boxed();
        let client = TestClient::new(endpoint);
        Self { database, world, orchestrator, platform, _workers: workers, client, host }
    }

    /// Calls as nobody.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with("", path, body).await
    }

    /// Calls with this header `Cookie`.
    pub async fn post_with(&self, cookie: &str, path: &str, body: Value) -> Answer {
        self.post_from(cookie, ("x-of-no-meaning", ""), path, body).await
    }

    /// Calls with this header `Cookie`, and this one.
    pub async fn post_from(
        &self,
        cookie: &str,
        (name, value): (&str, &str),
        path: &str,
        body: Value,
    ) -> Answer {
        let request = self.client.post(path).header("host", &self.host).header(name, value);
        let mut request = request.body_json(&body);
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        let response = request.send().await.0;
        let status = response.status();
        let header = |name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        let (kind, set_cookie) = (header("content-type").unwrap(), header("set-cookie"));
        let retry_after = header("retry-after");
        let expected =
            if status.is_success() { "application/json" } else { "application/problem+json" };
        assert!(kind.starts_with(expected), "{kind}");
        let body = response.into_body().into_json().await.unwrap();
        Answer { status: status.as_u16(), body, set_cookie, retry_after }
    }

    /// A request that is not sent yet.
    pub fn request(
        &self,
        method: Method,
        path: &str,
    ) -> TestRequestBuilder<'_, BoxEndpoint<'static, Response>> {
        self.client.request(method, path).header("host", &self.host)
    }

    /// Calls with this API key.
    pub async fn post_key(&self, key: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(Method::POST, path).body_json(&body);
        let response = request.header("authorization", format!("Bearer {key}")).send().await.0;
        (response.status().as_u16(), response.into_body().into_json().await.unwrap())
    }

    /// A new key of who is signed in, which may look at tenants, and does.
    pub async fn key(&self, cookie: &str) -> String {
        let body = json!({ "name": "ci", "scopes": ["tenants:read"] });
        let made = self.post_with(cookie, "/api/apiKeys.create", body).await.ok();
        let key = made.text("key").to_owned();
        assert_eq!(self.post_key(&key, "/api/tenants.list", json!({})).await.0, 200);
        key
    }

    /// A new session of the wizard.
    pub async fn begin(&self, email: &str) -> String {
        let begun = self.post("/api/wizard.createSession", json!({ "email": email })).await.ok();
        begun.text("sessionId").to_owned()
    }

    pub async fn step(&self, session: &str, step: u8, data: Value) -> Answer {
        let body = json!({ "sessionId": session, "step": step, "data": data });
        self.post("/api/wizard.updateSession", body).await
    }

    /// A session of the wizard whose steps are all done.
    pub async fn filled(&self, email: &str, subdomain: &str) -> String {
        let session = self.begin(email).await;
        self.step(&session, 1, json!({ "password": PASSWORD, "name": "Ada" })).await.ok();
        self.step(&session, 2, json!({ "useCase": "study" })).await.ok();
        self.step(&session, 3, json!({ "subdomain": subdomain })).await.ok();
        self.step(&session, 4, json!({ "termsAccepted": true, "privacyAccepted": true }))
            .await
            .ok();
        session
    }

    pub async fn deploy(&self, session: &str) -> Answer {
        self.post("/api/wizard.deployTenant", json!({ "sessionId": session })).await
    }

    /// Signs somebody up, and gives the cookie.
    pub async fn sign_up(&self, email: &str) -> String {
        let body = json!({
            "email": email, "password": PASSWORD, "termsAccepted": true, "privacyAccepted": true,
        });
        self.post("/api/auth.signUp", body).await.ok().cookie()
    }

    /// Who is signed in with this cookie.
    pub async fn who(&self, cookie: &str) -> Value {
        self.post_with(cookie, "/api/auth.getSession", json!({})).await.ok().body["user"]["email"]
            .clone()
    }

    /// Waits until an operation ends well.
    pub async fn done(&self, operation: &str) {
        let id: OperationId = operation.parse().unwrap();
        let ended = soon("an operation", self.orchestrator.wait(id)).await.unwrap();
        assert_eq!(ended.status, OperationStatus::Success, "{ended:#?}");
    }

    pub async fn tenants(&self) -> u64 {
        self.orchestrator.tenants(&TenantQuery::all()).await.unwrap().total
    }
}
