//! What stands around the backend: a demonstration, with an app and a router without a proxy; and,
//! in `fixture.rs`, the tests.
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

#[cfg(test)]
mod fixture;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, fs};

use async_trait::async_trait;
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Actor, AppProfile, Backends, ContainerRuntime, Endpoint, Health, Orchestrator, OwnerId,
    PlatformId, Reach, Result, Route, RouteEntry, RoutePlan, RouteState, Router, TenantId,
    TenantSpec,
};
use fresco_examples::show;

use crate::{ProcessRuntime, UNENFORCED};

/// Given this argument, the example is the app.
const SERVE: &str = "serve";

pub(crate) type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
pub(crate) async fn main() -> Outcome {
    if env::args().nth(1).as_deref() == Some(SERVE) {
        return Ok(serve()?);
    }
    let folder = env::temp_dir().join(format!("custom_backend-{}", PlatformId::new()));
    let (images, containers) = (folder.join("images"), folder.join("containers"));
    fs::create_dir_all(&images)?;
    fs::create_dir_all(&containers)?;
    // An image of the app: this program, told to serve.
    let program = env::current_exe()?;
    write_script(&images.join("demo:1"), &format!("exec '{}' {SERVE}", program.display()))?;

    let world = MemoryWorld::new();
    let runtime = ProcessRuntime { platform: world.platform(), images, containers };
    let router = Direct { runtime: runtime.clone(), routes: Mutex::default() };
    let backends = Backends::new(world.store(), runtime, world.database(), router);
    let builder = Orchestrator::builder(backends, "localhost".parse()?);
    let orchestrator = builder.settings(|s| s.allow_unenforced = UNENFORCED.into()).build().await?;
    let workers = orchestrator.start();

    let (id, mut app) = (TenantId::new(), AppProfile::generic());
    app.session_required = false;
    let spec = TenantSpec::new(OwnerId::new("me"), "my-study".parse()?, app, "demo:1".parse()?);
    show(&orchestrator, &orchestrator.deploy(id, spec, Actor::System).await?).await?;
    for container in orchestrator.inventory(id).await?.containers {
        println!("→ {:?}, without {:?}\n", container.endpoint, container.unenforced);
    }
    show(&orchestrator, &orchestrator.destroy_tenant(id, Actor::System).await?).await?;
    println!("→ nothing is left: {}", orchestrator.inventory(id).await?.is_empty());
    workers.shutdown().await;
    Ok(fs::remove_dir_all(folder)?)
}

/// Answers `/signin` with 200 and anything else with 404, at `HOSTNAME:PORT`, until it is ended.
fn serve() -> io::Result<()> {
    let told = |name| env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")));
    let address = format!("{}:{}", told("HOSTNAME")?, told("PORT")?);
    let listener = TcpListener::bind(&address)?;
    println!("listening on {address}");
    let mut hanging = Vec::new();
    for mut stream in listener.incoming().flatten() {
        if env::var_os("HANGS").is_some() {
            hanging.push(stream);
            continue;
        }
        let mut request = String::new();
        let mut lines = BufReader::new(stream.try_clone()?);
        while lines.read_line(&mut request).is_ok_and(|read| read > 2) {}
        let status = if request.starts_with("GET /signin ") { 200 } else { 404 };
        // Who asked may be gone already.
        let _ = write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n");
    }
    Ok(())
}

/// Writes an image. By a process of its own: a process that this program starts at the same moment
/// would hold the file open a little longer, and what is open for writing can't be run.
fn write_script(image: &Path, script: &str) -> io::Result<()> {
    let mut sh = Command::new("sh");
    sh.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 700 "$0""#]);
    let written = sh.arg(image).arg(script).status()?;
    written.success().then_some(()).ok_or_else(|| io::Error::other(format!("sh: {written}")))
}

/// Knows where each app listens, and leads nobody there: a real router writes the route where its
/// proxy reads it, and probes through the proxy.
#[derive(Debug)]
struct Direct {
    runtime: ProcessRuntime,
    routes: Mutex<BTreeMap<TenantId, (Route, Endpoint)>>,
}

impl Direct {
    fn routes(&self) -> MutexGuard<'_, BTreeMap<TenantId, (Route, Endpoint)>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Router for Direct {
    fn plan(&self, route: &Route) -> RoutePlan {
        let url = format!("http://{}", route.hosts[0]);
        RoutePlan { url, annotations: BTreeMap::new() }
    }

    async fn publish(&self, route: &Route, endpoint: &Endpoint) -> Result<()> {
        self.routes().insert(route.tenant, (route.clone(), *endpoint));
        Ok(())
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<()> {
        self.routes().remove(&tenant);
        Ok(())
    }

    async fn probe(&self, route: &Route) -> Result<RouteState> {
        let known = self.routes().get(&route.tenant).cloned();
        let Some((_, endpoint)) = known.filter(|(known, _)| known == route) else {
            return Ok(RouteState::Absent);
        };
        let mut there = self.runtime.list(Some(route.tenant)).await?.into_iter();
        let Some(instance) = there.find(|instance| instance.endpoint == Some(endpoint)) else {
            return Ok(RouteState::Pending("nobody listens there".into()));
        };
        let reach = self.runtime.probe(&instance.id, endpoint.0.port(), &route.probe_path);
        Ok(match reach.await? {
            Reach::Status(status) if status == route.probe_status => RouteState::Live,
            other => RouteState::Pending(format!("{other:?}")),
        })
    }

    async fn list(&self) -> Result<Vec<RouteEntry>> {
        let entry = |(route, _): &(Route, Endpoint)| RouteEntry {
            tenant: route.tenant,
            hosts: route.hosts.clone(),
        };
        Ok(self.routes().values().map(entry).collect())
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health::new(concat!("no proxy, ", env!("CARGO_PKG_VERSION"))))
    }
}
