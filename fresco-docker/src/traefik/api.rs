//! Traefik's own API, of which nothing is changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fresco_core::{Error, ErrorKind, Health, Hostname, PlatformId, Result, RouteEntry, TenantId};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::TraefikConfig;
use super::labels::PROBE_SUFFIX;
use super::rule;
use crate::http::{self, Fault};

/// Routers on one page: an answer stays well below [`MOST_BYTES`].
const PAGE: usize = 500;
const MOST_BYTES: usize = 8 * 1024 * 1024;
const NEXT_PAGE: &str = "X-Next-Page";

#[derive(Deserialize)]
struct RouterInfo {
    name: String,
    #[serde(default)]
    rule: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

pub(super) async fn list(config: &TraefikConfig) -> Result<Vec<RouteEntry>> {
    let mut routes: BTreeMap<TenantId, Vec<Hostname>> = BTreeMap::new();
    let mut page = 1;
    loop {
        let path = format!("/api/http/routers?page={page}&per_page={PAGE}");
        let response = get(config, &path).await?;
        for router in parse::<Vec<RouterInfo>>(config, &response)? {
            if let Some(tenant) = tenant_of(&router.name, config.platform) {
                let hosts = routes.entry(tenant).or_default();
                hosts.extend(rule::parse(&router.rule));
            }
        }
        // On the last page it is 1.
        let next = response.headers().get(NEXT_PAGE).and_then(|next| next.to_str().ok());
        match next.and_then(|next| next.parse().ok()) {
            Some(next) if next > page => page = next,
            _ => break,
        }
    }
    Ok(routes
        .into_iter()
        .map(|(tenant, mut hosts)| {
            // The router for probes has the same hosts once more.
            let mut seen = std::collections::BTreeSet::new();
            hosts.retain(|host| seen.insert(host.clone()));
            RouteEntry { tenant, hosts }
        })
        .collect())
}

pub(super) async fn health(config: &TraefikConfig) -> Result<Health> {
    Ok(Health::new(format!("Traefik {}", version(config).await?)))
}

pub(super) async fn version(config: &TraefikConfig) -> Result<String> {
    let response = get(config, "/api/version").await?;
    Ok(parse::<Version>(config, &response)?.version)
}

/// The tenant of a router's name (`<route>@<provider>`), if the router is one of this platform's.
fn tenant_of(name: &str, platform: PlatformId) -> Option<TenantId> {
    let name = name.split('@').next()?;
    let name = name.strip_suffix(PROBE_SUFFIX).unwrap_or(name);
    // A route's name ends with the tenant's id; only the one spelling that we write counts.
    let tenant: TenantId = name.get(name.len().checked_sub(36)?..)?.parse().ok()?;
    (tenant.route_name(platform) == name).then_some(tenant)
}

pub(super) async fn get(config: &TraefikConfig, path: &str) -> Result<Response<Bytes>> {
    let host = config.api.to_string();
    let response = http::get(config.api, &host, path, config.timeout, MOST_BYTES)
        .await
        .map_err(|fault| unreachable(config.api, fault))?;
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(Error::new(
            ErrorKind::Unavailable,
            "Traefik's API does not answer here: turn it on (--api.insecure on an entrypoint bound to loopback)",
        )
        .with("address", config.api)
        .with("status", status.as_u16())),
    }
}

pub(super) fn parse<T: DeserializeOwned>(
    config: &TraefikConfig,
    response: &Response<Bytes>,
) -> Result<T> {
    serde_json::from_slice(response.body()).map_err(|error| {
        Error::new(ErrorKind::Internal, "this is not the answer of a Traefik 3 API")
            .with("address", config.api)
            .with_source(error)
    })
}

pub(super) fn unreachable(address: SocketAddr, fault: Fault) -> Error {
    Error::new(ErrorKind::Unavailable, "Traefik does not answer: is it running?")
        .with("address", address)
        .with_source(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_platforms_routers_count() {
        let (platform, tenant) = (PlatformId::new(), TenantId::new());
        let name = tenant.route_name(platform);
        assert_eq!(tenant_of(&format!("{name}@docker"), platform), Some(tenant));
        assert_eq!(tenant_of(&format!("{name}-probe@docker"), platform), Some(tenant));
        for other in [
            tenant.route_name(PlatformId::new()),
            "api@internal".into(),
            "dashboard@internal".into(),
            format!("x{name}@docker"),
            name.to_uppercase(),
            String::new(),
        ] {
            assert_eq!(tenant_of(&other, platform), None, "{other}");
        }
    }
}
