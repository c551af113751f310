//! What there is of a platform's tenants, asked of Docker and PostgreSQL themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fresco_e2e::Stack;
use tokio::process::Command;
use tokio::time::Instant;

/// How many things a tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Things {
    pub(crate) containers: usize,
    pub(crate) running: usize,
    pub(crate) places: usize,
    pub(crate) roles: usize,
}

/// What each tenant of this platform has; those that have nothing are left out.
///
/// # Panics
/// When the platform has anything that belongs to no tenant which its store knows.
pub(crate) async fn census(stack: &Stack, database: &str) -> BTreeMap<String, Things> {
    let known: BTreeSet<String> =
        stack.superuser_in(database, "SELECT id FROM fresco.tenants").await.into_iter().collect();
    let platform = stack.superuser_in(database, "SELECT id FROM fresco.platform").await;
    let mut found: BTreeMap<String, Things> = BTreeMap::new();
    for (tenant, state) in containers(&platform[0]).await {
        assert!(known.contains(&tenant), "a container of nobody: {tenant}");
        let things = found.entry(tenant).or_default();
        things.containers += 1;
        things.running += usize::from(state == "running");
    }
    // Other platforms share this server: only what is named after a tenant of this one counts.
    let names: BTreeMap<String, String> =
        known.iter().map(|id| (id.replace('-', "_"), id.clone())).collect();
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant%'";
    let schemas = stack.superuser_in("fresco_tenants", schemas).await;
    let databases = stack.superuser("SELECT datname FROM pg_database WHERE datname LIKE 'tenant%'");
    for name in schemas.into_iter().chain(databases.await) {
        if let Some(tenant) = named(&names, &name) {
            found.entry(tenant).or_default().places += 1;
        }
    }
    for name in stack.superuser("SELECT rolname FROM pg_roles WHERE rolname LIKE 'tenant%'").await {
        if let Some(tenant) = named(&names, &name) {
            found.entry(tenant).or_default().roles += 1;
        }
    }
    found
}

fn named(names: &BTreeMap<String, String>, name: &str) -> Option<String> {
    names.iter().find(|(part, _)| name.contains(part.as_str())).map(|(_, id)| id.clone())
}

/// Tenant and state of each container of the platform.
async fn containers(platform: &str) -> Vec<(String, String)> {
    let label = format!("label=fresco.platform={platform}");
    let format = "{{.Label \"fresco.tenant.id\"}} {{.State}}";
    let text = docker(&["ps", "--all", "--filter", &label, "--format", format]).await;
    text.lines()
        .map(|line| {
            let (tenant, state) = line.split_once(' ').expect("a tenant and a state");
            (tenant.to_owned(), state.to_owned())
        })
        .collect()
}

/// The containers and images of probes of this platform.
pub(crate) async fn probes(stack: &Stack, database: &str) -> Vec<String> {
    let platform = stack.superuser_in(database, "SELECT id FROM fresco.platform").await;
    let label = format!("label=fresco.probe={}", platform[0]);
    let of_it = ["--all", "--filter", &label, "--format"];
    let containers = docker(&[&["ps"], &of_it[..], &["{{.ID}} {{.State}}"]].concat()).await;
    let images = docker(&[&["images"], &of_it[..], &["{{.ID}} image"]].concat()).await;
    let text = format!("{containers}{images}");
    text.lines().map(str::to_owned).collect()
}

/// Waits until nothing is left of probes. What one has left that was killed is kept for a while: it
/// might be under way.
pub(crate) async fn no_probes_left(stack: &Stack, database: &str) {
    let deadline = Instant::now() + Duration::from_secs(240);
    loop {
        let left = probes(stack, database).await;
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left of probes for ever: {left:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().await.expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
