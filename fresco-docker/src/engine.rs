//! The connection to Docker: found, negotiated, and every call under a deadline.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bollard::errors::Error as Vendor;
use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};
use fresco_core::{Error, ErrorKind, Guarantee, Result};

use crate::config::{Address, DockerConfig};
use crate::errors::{Cause, Failed};

/// The oldest API that has everything that is used here (Docker Engine 20.10).
const OLDEST_API: (u32, u32) = (1, 41);

/// The client's own limit; the limits that count are set by [`Engine::call`].
const CLIENT_SECONDS: u64 = 24 * 60 * 60;

pub(crate) struct Engine {
    docker: Docker,
    host: String,
    timeout: Duration,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Engine {
    /// Connects and makes sure that Docker is new enough.
    pub(crate) async fn connect(config: &DockerConfig) -> Result<Self> {
        let fail = |error| Failed {
            what: "connect",
            host: config.host.clone(),
            cause: Cause::Vendor(Box::new(error)),
        };
        let docker = match config.address()? {
            Address::Socket(path) => {
                Docker::connect_with_unix(&path, CLIENT_SECONDS, API_DEFAULT_VERSION)
            }
            Address::Tcp(host) => {
                Docker::connect_with_http(&host, CLIENT_SECONDS, API_DEFAULT_VERSION)
            }
        }
        .map_err(fail)?;
        let mut engine = Self { docker, host: config.host.clone(), timeout: config.call_timeout };
        let version = engine.version().await?;
        check_version(&version)?;
        let negotiating = engine.docker.clone().negotiate_version();
        engine.docker = engine.call("connect", negotiating).await?;
        Ok(engine)
    }

    /// The client. What is called on it goes through [`call`](Self::call).
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where Docker is, as it was given.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The time that a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for a call for as long as any call may take.
    pub(crate) async fn call<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, Vendor>>,
    ) -> Result<T, Failed> {
        self.call_within(self.timeout, what, call).await
    }

    /// Waits for a call for this long.
    pub(crate) async fn call_within<T>(
        &self,
        time: Duration,
        what: &'static str,
        call: impl Future<Output = Result<T, Vendor>>,
    ) -> Result<T, Failed> {
        let cause = match tokio::time::timeout(time, call).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Cause::Vendor(Box::new(error)),
            Err(_) => Cause::TimedOut(time),
        };
        Err(Failed { what, host: self.host.clone(), cause })
    }

    pub(crate) async fn version(&self) -> Result<SystemVersion> {
        Ok(self.call("ask Docker for its version", self.docker.version()).await?)
    }

    pub(crate) async fn info(&self) -> Result<SystemInfo> {
        Ok(self.call("ask Docker about its machine", self.docker.info()).await?)
    }
}

fn check_version(version: &SystemVersion) -> Result<()> {
    let text = version.api_version.as_deref().unwrap_or_default();
    let number = text
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    if number.is_some_and(|number| number >= OLDEST_API) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "this Docker is too old: install Docker Engine 20.10 or newer (API 1.41)",
    )
    .with("api", text))
}

/// What an engine on this machine can't enforce, by its own account.
pub(crate) fn unenforced(info: &SystemInfo) -> Vec<Guarantee> {
    let security = info.security_options.as_deref().unwrap_or_default();
    let has = |option: &str| security.iter().any(|text| text.contains(option));
    let warned = |words: &str| {
        let warnings = info.warnings.as_deref().unwrap_or_default();
        warnings.iter().any(|text| text.to_lowercase().contains(words))
    };
    let mut missing = Vec::new();
    // A missing swap limit is no missing memory limit: the memory itself is still bounded.
    if info.memory_limit == Some(false) {
        missing.push(Guarantee::Memory);
    }
    if info.cpu_cfs_quota == Some(false) {
        missing.push(Guarantee::Cpus);
    }
    if info.pids_limit == Some(false) {
        missing.push(Guarantee::Pids);
    }
    // Without br_netfilter the kernel never shows bridged packets to the rules that keep
    // containers apart. Docker Desktop's and rootless networks are not the host's own.
    if warned("bridge-nf-call-iptables is disabled")
        || info.operating_system.as_deref().is_some_and(|name| name.contains("Docker Desktop"))
        || has("name=rootless")
    {
        missing.push(Guarantee::Network);
    }
    if !has("name=seccomp") || has("profile=unconfined") {
        missing.push(Guarantee::Confinement);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_refused() {
        for (api, fits) in
            [("1.40", false), ("1.41", true), ("1.100", true), ("2.0", true), ("", false)]
        {
            let version = SystemVersion { api_version: Some(api.into()), ..Default::default() };
            assert_eq!(check_version(&version).is_ok(), fits, "{api}");
        }
    }

    fn sound() -> SystemInfo {
        SystemInfo {
            memory_limit: Some(true),
            cpu_cfs_quota: Some(true),
            pids_limit: Some(true),
            operating_system: Some("Debian GNU/Linux 12 (bookworm)".into()),
            security_options: Some(vec!["name=seccomp,profile=default".into()]),
            ..Default::default()
        }
    }

    type Change = fn(&mut SystemInfo);

    #[test]
    fn what_an_engine_does_not_enforce_is_named() {
        assert_eq!(unenforced(&sound()), []);
        let cases: [(Guarantee, Change); 7] = [
            (Guarantee::Memory, |i| i.memory_limit = Some(false)),
            (Guarantee::Cpus, |i| i.cpu_cfs_quota = Some(false)),
            (Guarantee::Pids, |i| i.pids_limit = Some(false)),
            (Guarantee::Network, |i| {
                i.warnings = Some(vec!["WARNING: bridge-nf-call-iptables is disabled".into()]);
            }),
            (Guarantee::Network, |i| i.operating_system = Some("Docker Desktop".into())),
            (Guarantee::Network, |i| {
                i.security_options.get_or_insert_default().push("name=rootless".into());
            }),
            (Guarantee::Confinement, |i| i.security_options = None),
        ];
        for (guarantee, change) in cases {
            let mut info = sound();
            change(&mut info);
            assert_eq!(unenforced(&info), [guarantee]);
        }
    }
}
