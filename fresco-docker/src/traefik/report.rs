//! A look at Traefik that changes nothing.

use std::collections::BTreeMap;

use fresco_core::Result;
use serde::Deserialize;

use super::api;
use super::config::TraefikConfig;
use crate::http;

/// What a Traefik is set up for, by its own account, for people who look for what is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub struct TraefikReport {
    /// Its version, such as `3.7.15`.
    pub version: String,
    /// The address that each of its entrypoints listens on, by name.
    pub entrypoints: BTreeMap<String, String>,
    /// Where it takes routes from, such as `Docker`.
    pub providers: Vec<String>,
    /// The status of its answer to a request for a host that no tenant has, at the address that
    /// probes go to.
    pub answer: Result<u16>,
}

#[derive(Deserialize)]
struct Entrypoint {
    name: String,
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
struct Overview {
    #[serde(default)]
    providers: Vec<String>,
}

impl TraefikReport {
    /// Asks Traefik's API, and sends one request for this host through the proxy.
    ///
    /// # Errors
    /// `Unavailable` when its API does not answer, `Internal` when what answers is no Traefik 3.
    pub async fn gather(config: &TraefikConfig, host: &str) -> Result<Self> {
        let (version, entrypoints, overview, answer) = tokio::join!(
            api::version(config),
            api::get(config, "/api/entrypoints"),
            api::get(config, "/api/overview"),
            http::head(config.proxy, host, "/", config.timeout),
        );
        let version = version?;
        let entrypoints: Vec<Entrypoint> = api::parse(config, &entrypoints?)?;
        let overview: Overview = api::parse(config, &overview?)?;
        Ok(Self {
            version,
            entrypoints: entrypoints.into_iter().map(|e| (e.name, e.address)).collect(),
            providers: overview.providers,
            answer: answer
                .map(|answer| answer.status().as_u16())
                .map_err(|fault| api::unreachable(config.proxy, fault)),
        })
    }
}
