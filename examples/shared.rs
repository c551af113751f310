//! What the examples share: settings with a default, and showing an operation as it happens.
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

use std::env;
use std::net::SocketAddr;

use fresco_core::{
    Accepted, Error, ErrorKind, Event, Operation, OperationStatus, Orchestrator, Result, StepStatus,
};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where the real stack is: what `dev/stack env` prints, or its defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The platform's own database: `DATABASE_URL`.
    pub store_url: String,
    /// The tenants' server, as its administrator reaches it: `TENANT_DATABASE_ADMIN_URL`.
    pub tenants_url: String,
    /// The port of that server on the gateway of the tenants' network: `POSTGRES_PORT`.
    pub postgres_port: u16,
    /// Docker: `DOCKER_HOST`.
    pub docker_host: String,
    /// The tenants' network: `DOCKER_NETWORK`.
    pub network: String,
    /// Traefik's entry point: `TRAEFIK_HTTP_PORT` on loopback.
    pub proxy: SocketAddr,
    /// Traefik's API: `TRAEFIK_DASHBOARD_PORT` on loopback.
    pub proxy_api: SocketAddr,
    /// What the tenants run: `FRESCO_IMAGE`.
    pub image: String,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// When a port is not a number.
    pub fn from_env() -> Result<Self> {
        let text = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let port = |name, default: &str| {
            let wrong = format!("{name} must be a port, 1 to 65535");
            text(name, default).parse::<u16>().map_err(|_| Error::new(ErrorKind::Invalid, wrong))
        };
        let server = "postgresql://fresco_platform_app:localdev@127.0.0.1:5432";
        Ok(Self {
            store_url: text("DATABASE_URL", &format!("{server}/fresco_platform")),
            tenants_url: text("TENANT_DATABASE_ADMIN_URL", &format!("{server}/fresco_platform")),
            postgres_port: port("POSTGRES_PORT", "5432")?,
            docker_host: text("DOCKER_HOST", "unix:///var/run/docker.sock"),
            network: text("DOCKER_NETWORK", "fresco-platform-network"),
            proxy: ([127, 0, 0, 1], port("TRAEFIK_HTTP_PORT", "80")?).into(),
            proxy_api: ([127, 0, 0, 1], port("TRAEFIK_DASHBOARD_PORT", "8080")?).into(),
            image: text("FRESCO_IMAGE", "fresco-dev/tenant-app:1"),
        })
    }
}

/// Prints each step of an operation as it ends, with the time it took, and returns the operation.
///
/// # Errors
/// The store's own.
pub async fn show(orchestrator: &Orchestrator, accepted: &Accepted) -> Result<Operation> {
    let Accepted { tenant, operation } = accepted;
    println!("{} {} ({})", operation.action, tenant.spec.subdomain, tenant.id);
    let (mut shown, mut told) = (0, String::new());
    let mut events = orchestrator.watch(operation.id, 0).await?;
    while let Some(event) = events.next().await {
        match event? {
            Event::Progress(pull) => println!("    {} {} bytes", pull.detail, pull.bytes),
            Event::Step { operation, .. } => {
                shown = show_steps(&operation, shown);
                told = show_trouble(&operation, told);
            }
            Event::Done { operation, .. } => {
                show_steps(&operation, shown);
                show_end(&operation);
                return Ok(*operation);
            }
            _ => {}
        }
    }
    orchestrator.operation(operation.id).await
}

fn show_steps(operation: &Operation, shown: usize) -> usize {
    let ended: Vec<_> = operation
        .steps
        .iter()
        .filter(|step| matches!(step.status, StepStatus::Done | StepStatus::Failed))
        .collect();
    for step in ended.iter().skip(shown) {
        let (sign, name) = match (step.status, step.undo) {
            (StepStatus::Failed, _) => ("failed", step.name.to_string()),
            (_, true) => ("done", format!("undo: {}", step.name)),
            _ => ("done", step.name.to_string()),
        };
        let time = step.started_at.zip(step.finished_at).map(|(start, end)| end - start);
        let ms = time.map_or(0, |time| time.num_milliseconds());
        let detail = step.detail.as_deref().unwrap_or_default();
        println!("  {sign:<7}{name:<23}{ms:>6} ms  {detail}");
    }
    ended.len().max(shown)
}

/// Why a step is tried again, or why the operation is stuck; each reason once.
fn show_trouble(operation: &Operation, told: String) -> String {
    let running = operation.steps.iter().find(|step| step.status == StepStatus::Running);
    let retried = running.and_then(|step| Some((step.name, step.detail.as_ref()?)));
    let trouble = match (&operation.error, retried) {
        (Some(error), _) if operation.status == OperationStatus::Stuck => format!("stuck: {error}"),
        (_, Some((step, why))) => format!("{step} is tried again: {why}"),
        _ => return told,
    };
    if trouble != told {
        println!("  …      {trouble}");
    }
    trouble
}

fn show_end(operation: &Operation) {
    if let (OperationStatus::Failed, Some(error)) = (operation.status, &operation.error) {
        println!("  failed: {error}");
        for line in &error.log_tail {
            println!("    | {line}");
        }
    }
}

/// The body that a tenant answers a GET of this path with. `*.localhost` does not resolve
/// everywhere, so the local proxy is asked by address and told the name.
///
/// # Errors
/// When the proxy does not answer, or answers with something else than 200.
pub async fn fetch(url: &str, path: &str) -> std::io::Result<String> {
    let authority = url.trim_start_matches("http://");
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let port = port.parse().map_err(std::io::Error::other)?;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
        _ => Err(std::io::Error::other(answer)),
    }
}
