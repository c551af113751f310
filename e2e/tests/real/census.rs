//! What there is of a platform's tenants, asked of Docker and PostgreSQL themselves.

use std::collections::{BTreeMap, BTreeSet};

use fresco_e2e::Stack;
use tokio::process::Command;

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
    let output = Command::new("docker")
        .args(["ps", "--all", "--filter", &format!("label=fresco.platform={platform}")])
        .args(["--format", "{{.Label \"fresco.tenant.id\"}} {{.State}}"])
        .output()
        .await
        .expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| {
            let (tenant, state) = line.split_once(' ').expect("a tenant and a state");
            (tenant.to_owned(), state.to_owned())
        })
        .collect()
}
