//! What the demonstration needs beside the backend: an app, and a router without a proxy.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use fresco_core::{
    Endpoint, Health, Reach, Result, Route, RouteEntry, RoutePlan, RouteState, Router, TenantId,
};

/// Given this argument, the example is the app.
pub(crate) const SERVE: &str = "serve";

/// Answers `/signin` with 200 and anything else with 404, on `PORT`, until it is ended.
pub(crate) fn serve() -> io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("PORT should be the port to listen on"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("listening on port {port}");
    for mut stream in listener.incoming().flatten() {
        let mut request = String::new();
        let mut lines = BufReader::new(stream.try_clone()?);
        while lines.read_line(&mut request).is_ok_and(|read| read > 2) {}
        let status = if request.starts_with("GET /signin ") { 200 } else { 404 };
        // Who asked may be gone already.
        let _ = write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n");
    }
    Ok(())
}

/// An image of that app: this program, told to serve.
pub(crate) fn write_app(image: &Path) -> io::Result<()> {
    let program = std::env::current_exe()?;
    write_script(image, &format!("exec '{}' {SERVE}", program.display()))
}

pub(crate) fn write_script(image: &Path, script: &str) -> io::Result<()> {
    let _alone = crate::container::alone();
    fs::write(image, format!("#!/bin/sh\n{script}\n"))?;
    fs::set_permissions(image, fs::Permissions::from_mode(0o700))
}

/// Knows where each app listens, and leads nobody there: a real router writes the route where its
/// proxy reads it, and probes through the proxy.
#[derive(Debug, Default)]
pub(crate) struct Direct(Mutex<BTreeMap<TenantId, (Route, Endpoint)>>);

impl Direct {
    fn routes(&self) -> MutexGuard<'_, BTreeMap<TenantId, (Route, Endpoint)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(match crate::container::get(endpoint, &route.probe_path).await {
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
