//! What the examples share: settings with a default, and showing an operation as it happens.
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

use fresco_core::{Accepted, Event, Operation, OperationStatus, Orchestrator, Result, StepStatus};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An environment variable, or its default.
#[must_use]
pub fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Prints each step of an operation as it ends, with the time it took, and returns the operation.
///
/// # Errors
/// The store's own.
pub async fn show(orchestrator: &Orchestrator, accepted: &Accepted) -> Result<Operation> {
    let Accepted { tenant, operation } = accepted;
    println!("{} {} ({})", operation.action, tenant.spec.subdomain, tenant.id);
    let mut shown = 0;
    let mut events = orchestrator.watch(operation.id, 0).await?;
    while let Some(event) = events.next().await {
        match event? {
            Event::Progress(pull) => println!("    {} {} bytes", pull.detail, pull.bytes),
            Event::Step { operation, .. } => shown = show_steps(&operation, shown),
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
