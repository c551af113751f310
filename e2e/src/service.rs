//! A `fresco-server` in a process of its own, on the stack, and people who call it over HTTP.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fresco_ports::free_port;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::Instant;

pub use crate::events::{Event, read_events};
use crate::pauses::Pauses;
use crate::stack::Stack;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long an operation may take: of many at once, on a machine that does much else, each waits its turn.
const OPERATION_PATIENCE: Duration = Duration::from_secs(300);
/// How many lines a server said last are shown when its test fails.
const LAST_WORDS: usize = 60;

/// What a server of a test is told; it can be started again with the same.
#[derive(Clone, Debug)]
pub struct Service {
    /// What starts the program, if not the test itself.
    launcher: Vec<String>,
    program: String,
    database: String,
    settings: Vec<(String, String)>,
    port: u16,
    log: Option<PathBuf>,
}

/// A running server. Dropping it kills it with -9.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
    port: u16,
    /// What it said last, unless it writes its log to a file.
    said: Said,
}

type Said = Arc<Mutex<VecDeque<String>>>;

/// A test's output is about the test: what a server says is shown when a test fails.
impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "a failing test tells what it knows")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = said.iter().map(|line| format!("  {line}\n")).collect::<String>();
        eprintln!("the server at port {} said last:\n{lines}", self.port);
    }
}

impl Service {
    /// A platform of its own on this stack, served by this program.
    pub async fn new(program: &str, stack: &Stack) -> Self {
        let database = stack.make_database().await;
        let url = stack.url(stack.postgres_address(), &database);
        let (http, api) = stack.proxy_ports();
        let port = free_port();
        let program = program.into();
        let launcher = Vec::new();
        let service = Self { launcher, program, database, settings: Vec::new(), port, log: None };
        service
            .with("DATABASE_URL", url)
            .with("PORT", port)
            .with("DOCKER_HOST", stack.docker_socket())
            .with("DOCKER_NETWORK", stack.network())
            .with("TRAEFIK_HTTP_PORT", http)
            .with("TRAEFIK_DASHBOARD_PORT", api)
            .with("TRAEFIK_DIRECTORY", stack.traefik_directory().display())
            .with("FRESCO_APP", "generic")
            .with("FRESCO_IMAGE", "fresco-dev/tenant-app:1")
            .with("LOG", "warn")
    }

    /// The same with this setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// The same, whose servers write their log to this file.
    #[must_use]
    pub fn logging_to(mut self, file: &Path) -> Self {
        self.log = Some(file.into());
        self
    }

    /// The same, whose servers have no right to set the machine's packet filter.
    #[must_use]
    pub fn without_net_admin(mut self) -> Self {
        let launcher = "setpriv --bounding-set -net_admin --inh-caps -net_admin";
        self.launcher = launcher.split(' ').map(str::to_owned).collect();
        self
    }

    /// The same at a port of its own: another server of the same platform.
    #[must_use]
    pub fn beside(mut self) -> Self {
        self.port = free_port();
        let port = self.port;
        self.with("PORT", port)
    }

    /// The program with this task, ready to run.
    #[must_use]
    pub fn command(&self, task: &str) -> Command {
        let mut words = self.launcher.iter().chain([&self.program]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        // Nothing of the test's own environment, and no `.env` of the working folder.
        command.env_clear().current_dir(std::env::temp_dir()).arg(task);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        if let Some(log) = &self.log {
            let log = File::options().create(true).append(true).open(log);
            command.stderr(log.expect("a log that can be written"));
        }
        command
    }

    /// The platform's own database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Starts a server and waits until all its parts are healthy.
    pub async fn start(&self) -> Server {
        self.start_at("127.0.0.1").await
    }

    /// Starts a server and waits until it says that a part of it is not healthy.
    pub async fn start_unhealthy(&self) -> Server {
        self.start_until("127.0.0.1", StatusCode::SERVICE_UNAVAILABLE).await
    }

    /// The same, for one that listens on this address.
    pub async fn start_at(&self, address: &str) -> Server {
        self.start_until(address, StatusCode::OK).await
    }

    async fn start_until(&self, address: &str, status: StatusCode) -> Server {
        let mut command = self.command("serve");
        if self.log.is_none() {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().expect("the server's program");
        let said = Said::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(listen_to(stderr, said.clone()));
        }
        let mut server = Server { child, address: address.into(), port: self.port, said };
        let deadline = Instant::now() + PATIENCE;
        let mut pauses = Pauses::default();
        let url = format!("http://{address}:{}/health", self.port);
        loop {
            match reqwest::get(&url).await {
                Ok(answer) if answer.status() == status => break,
                _ => {}
            }
            if let Some(status) = server.child.try_wait().expect("a child can be waited for") {
                panic!("the server ended: {status}");
            }
            assert!(Instant::now() < deadline, "/health does not say {status} within {PATIENCE:?}");
            pauses.next().await;
        }
        server
    }
}

async fn listen_to(stderr: ChildStderr, said: Said) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_back(line);
        if said.len() > LAST_WORDS {
            said.pop_front();
        }
    }
}

impl Server {
    fn origin(&self) -> String {
        format!("http://{}:{}", self.address, self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("kill -9");
    }

    async fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let kill = Command::new("kill").args([signal, &id]).status().await.expect("kill");
        assert!(kill.success());
    }

    /// Freezes it: it does nothing any more, and does not know.
    pub async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// It goes on where it was frozen.
    pub async fn wake(&self) {
        self.signal("-CONT").await;
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) -> std::process::ExitStatus {
        self.signal("-TERM").await;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the server ends in time").expect("a child can be waited for")
    }

    /// Somebody who calls this server, with a cookie jar of their own.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        // A connection that waits is closed by the server, perhaps while a request is on its way.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0);
        let client = client.cookie_store(true).timeout(PATIENCE).build();
        Visitor { client: client.expect("a client"), server: self.origin() }
    }
}

/// Somebody who calls a server.
#[derive(Clone, Debug)]
pub struct Visitor {
    client: reqwest::Client,
    server: String,
}

impl Visitor {
    /// The same person, calling another server.
    #[must_use]
    pub fn at(&self, server: &Server) -> Self {
        Self { client: self.client.clone(), server: server.origin() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    /// A POST of JSON, not yet sent.
    pub fn post(&self, call: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.url(&format!("/api/{call}"))).json(body)
    }

    /// A GET, not yet sent.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    /// Calls and returns the answer, which must have this status.
    pub async fn call(&self, status: u16, call: &str, body: Value) -> Value {
        let answer = self.post(call, &body).send().await.expect("the server answers");
        checked(answer, status, call).await
    }

    /// Makes an account without a tenant, and signs in.
    pub async fn sign_up(&self, email: &str) {
        let body = json!({
            "email": email, "password": PASSWORD, "termsAccepted": true, "privacyAccepted": true,
        });
        self.call(200, "auth.signUp", body).await;
    }

    /// Goes through the wizard up to the deploy, and returns its session.
    pub async fn wizard(&self, email: &str, subdomain: &str) -> String {
        let session = self.call(200, "wizard.createSession", json!({"email": email})).await;
        let id = session["sessionId"].as_str().expect("a session").to_owned();
        for (step, data) in [
            (1, json!({"password": PASSWORD, "name": "A Researcher"})),
            (2, json!({"useCase": "study"})),
            (3, json!({"subdomain": subdomain})),
            (4, json!({"termsAccepted": true, "privacyAccepted": true})),
        ] {
            let update = json!({"sessionId": id, "step": step, "data": data});
            self.call(200, "wizard.updateSession", update).await;
        }
        id
    }

    /// Signs up and makes a first tenant; its id and the operation's.
    pub async fn deploy(&self, email: &str, subdomain: &str) -> (String, String) {
        let session = self.wizard(email, subdomain).await;
        let answer = self.call(202, "wizard.deployTenant", json!({"sessionId": session})).await;
        let id = |name: &str| answer[name].as_str().expect(name).to_owned();
        (id("tenantId"), id("operationId"))
    }

    /// Signs up and waits until the first tenant is active; its id.
    pub async fn deployed(&self, email: &str, subdomain: &str) -> String {
        let (tenant, operation) = self.deploy(email, subdomain).await;
        self.success(&operation).await;
        tenant
    }

    /// Asks for an action on a tenant and waits until it succeeded.
    pub async fn act(&self, action: &str, body: Value) -> Value {
        let answer = self.call(202, &format!("tenants.{action}"), body).await;
        self.success(answer["operationId"].as_str().expect("an operation")).await
    }

    /// Watches an operation to its end, which must be a success; returns it.
    pub async fn success(&self, operation: &str) -> Value {
        let done = self.done(operation).await;
        assert_eq!(done["status"], "success", "{done:#}");
        done
    }

    /// Watches an operation to its end and returns it.
    pub async fn done(&self, operation: &str) -> Value {
        let events = self.events(operation, None).await;
        let last = events.last().expect("an event");
        assert_eq!(last.name, "done", "{last:?}");
        last.data.clone()
    }

    /// All events of an operation after this one.
    pub async fn events(&self, operation: &str, after: Option<u64>) -> Vec<Event> {
        read_events(self.listen(operation, after).await).await
    }

    /// The stream of an operation's events after this one, from its begin.
    pub async fn listen(&self, operation: &str, after: Option<u64>) -> Response {
        let request = self.get(&format!("/api/operations/{operation}/events"));
        let mut request = request.timeout(OPERATION_PATIENCE);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status(), 200, "events of {operation}");
        answer
    }

    /// The tenant, as its owner sees it.
    pub async fn tenant(&self, id: &str) -> Value {
        self.call(200, "tenants.get", json!({"tenantId": id})).await["tenant"].clone()
    }
}

/// Waits until this holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut pauses = Pauses::default();
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain within {PATIENCE:?}: {what}");
        pauses.next().await;
    }
}

/// The password of everybody in the tests.
pub const PASSWORD: &str = "correct horse battery";

/// The body of an answer that must have this status; a problem must be a problem document.
pub async fn checked(answer: Response, status: u16, what: &str) -> Value {
    let (found, kind) = (answer.status().as_u16(), answer.headers().get("content-type").cloned());
    let text = answer.text().await.expect("a body");
    assert_eq!(found, status, "{what}: {text}");
    if found >= 400 {
        assert_eq!(kind.expect("a type"), "application/problem+json", "{what}: {text}");
    }
    serde_json::from_str(&text).expect("a JSON body")
}
