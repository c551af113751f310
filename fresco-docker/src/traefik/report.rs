//! A look at Traefik that changes nothing.

use std::collections::BTreeMap;

use fresco_core::Result;
use hyper::Response;
use serde::Deserialize;

use super::api;
use super::config::TraefikConfig;
use crate::http::{self, Fault};

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
    /// The same for the host of [`TraefikLabels::write_sample`](super::TraefikLabels::write_sample):
    /// the gate's own refusal (403), 404 where Traefik does not know the sample, 5xx where it does not
    /// reach the gate.
    pub gate: Result<u16>,
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
    /// Asks Traefik's API, and sends one request for each of these hosts through the proxy: one that
    /// no tenant has, and the one of the sample.
    ///
    /// # Errors
    /// `Unavailable` when its API does not answer, `Internal` when what answers is no Traefik 3.
    pub async fn gather(config: &TraefikConfig, host: &str, sample: &str) -> Result<Self> {
        let (version, entrypoints, overview, answer, gate) = tokio::join!(
            api::version(config),
            api::get(config, "/api/entrypoints"),
            api::get(config, "/api/overview"),
            http::head(config.proxy, host, "/", config.timeout),
            http::head(config.proxy, sample, "/", config.timeout),
        );
        let status = |answer: std::result::Result<Response<()>, Fault>| {
            answer
                .map(|answer| answer.status().as_u16())
                .map_err(|fault| api::unreachable(config.proxy, fault))
        };
        let version = version?;
        let entrypoints: Vec<Entrypoint> = api::parse(config, &entrypoints?)?;
        let overview: Overview = api::parse(config, &overview?)?;
        Ok(Self {
            version,
            entrypoints: entrypoints.into_iter().map(|e| (e.name, e.address)).collect(),
            providers: overview.providers,
            answer: status(answer),
            gate: status(gate),
        })
    }
}
