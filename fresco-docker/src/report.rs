//! A look at Docker that makes and changes nothing.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fresco_core::{Error, Guarantee, ImageId, ImageRef, Result};

use crate::config::DockerConfig;
use crate::engine::{Engine, unenforced};
use crate::images;
use crate::isolation;
use crate::network::{Network, find, verify};

/// How long an image's registry has to answer.
const REGISTRY: Duration = Duration::from_secs(5);

/// What a Docker Engine is and has, for people who look for what is wrong.
///
/// [`DockerRuntime::connect`](crate::DockerRuntime::connect) makes the tenants' network; this makes
/// nothing.
#[derive(Debug)]
#[non_exhaustive]
pub struct DockerReport {
    /// The engine's version, such as `28.2.2`.
    pub version: String,
    /// The version of its API.
    pub api_version: String,
    /// The system that it runs on, by its own account.
    pub operating_system: String,
    /// How it stores images and containers.
    pub storage_driver: String,
    /// The version of control groups: `1` or `2`.
    pub cgroup_version: String,
    /// The folder that holds all its data, on the engine's machine.
    pub root: PathBuf,
    /// The memory of the engine's machine, in bytes.
    pub memory_bytes: u64,
    /// The CPUs of the engine's machine.
    pub cpus: u32,
    /// By how much its clock is ahead of this program's, to a second or so; negative when it is
    /// behind, `None` when it does not tell.
    pub clock_ahead: Option<TimeDelta>,
    /// What it can't enforce.
    pub unenforced: Vec<Guarantee>,
    /// The tenants' network.
    pub network: NetworkReport,
    /// What keeps tenants from this machine; `None` unless the configuration asks for it.
    pub firewall: Option<FirewallReport>,
    /// The image that was asked for.
    pub image: ImageReport,
}

/// The tenants' network, as it was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetworkReport {
    /// There is none: the first [`DockerRuntime::connect`](crate::DockerRuntime::connect) makes it.
    Absent,
    /// It is as it must be, and this is the host's address on it.
    Fit(IpAddr),
    /// It can't be used, or could not be looked at.
    Unfit(Error),
}

/// The nftables rules that keep tenants from this machine, as they were found.
#[derive(Debug)]
#[non_exhaustive]
pub enum FirewallReport {
    /// There are none: the server loads them when it starts.
    Absent,
    /// There are some. Only the server that loaded them knows whether they were changed since.
    Loaded,
    /// They can't be looked at, or would be of no use: why, and what to do.
    Unfit(Error),
}

/// An image, as it was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImageReport {
    /// The engine has it.
    Present(ImageId),
    /// The engine does not have it, and its registry offers it.
    Offered,
    /// The engine does not have it and can't fetch it now.
    Missing(Error),
}

impl DockerReport {
    /// Looks at the engine of this configuration, its network and this image. An absent image is
    /// asked of its registry, for at most 5 s; it is not fetched.
    ///
    /// # Errors
    /// `Unavailable` when Docker does not answer, `Denied` without the right to use it,
    /// `Unsupported` when it is older than Engine 20.10, `Invalid` for an address of another form.
    pub async fn gather(config: &DockerConfig, image: &ImageRef) -> Result<Self> {
        let engine = Engine::connect(config).await?;
        let info = async {
            let asked = Utc::now();
            let info = engine.info().await?;
            Ok::<_, Error>((info, asked + (Utc::now() - asked) / 2))
        };
        let (version, info, network, image) = tokio::join!(
            engine.version(),
            info,
            network(&engine, config),
            image_report(&engine, image),
        );
        let (version, (info, ours)) = (version?, info?);
        let (network, found) = network;
        let firewall = match (&config.firewall, found) {
            (None, _) => None,
            (Some(_), None) => Some(FirewallReport::Absent),
            (Some(_), Some(found)) => Some(match isolation::is_there(&found).await {
                Ok(true) => FirewallReport::Loaded,
                Ok(false) => FirewallReport::Absent,
                Err(error) => FirewallReport::Unfit(error),
            }),
        };
        let theirs =
            info.system_time.as_deref().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let unenforced = unenforced(&info);
        Ok(Self {
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            cgroup_version: info.cgroup_version.map(|v| v.to_string()).unwrap_or_default(),
            root: info.docker_root_dir.unwrap_or_default().into(),
            memory_bytes: info.mem_total.and_then(|n| n.try_into().ok()).unwrap_or_default(),
            cpus: info.ncpu.and_then(|n| n.try_into().ok()).unwrap_or_default(),
            clock_ahead: theirs.map(|theirs| theirs - ours),
            unenforced,
            network,
            firewall,
            image,
        })
    }
}

async fn network(engine: &Engine, config: &DockerConfig) -> (NetworkReport, Option<Network>) {
    let found = match find(engine, &config.network).await {
        Ok(found) => found,
        Err(error) => return (NetworkReport::Unfit(error), None),
    };
    // Of several the oldest stays: whoever connects next removes or refuses the others.
    match found.first().map(|network| verify(network, config)) {
        None => (NetworkReport::Absent, None),
        Some(Ok(network)) => (NetworkReport::Fit(network.gateway), Some(network)),
        Some(Err(error)) => (NetworkReport::Unfit(error), None),
    }
}

async fn image_report(engine: &Engine, image: &ImageRef) -> ImageReport {
    match images::find(engine, image.as_str()).await {
        Ok(Some(id)) => return ImageReport::Present(id),
        Ok(None) => {}
        Err(error) => return ImageReport::Missing(error),
    }
    if image.as_str().starts_with("sha256:") {
        // No registry knows an image by its id.
        return ImageReport::Missing(images::missing(image.as_str()));
    }
    match images::offered(engine, image, REGISTRY).await {
        Ok(()) => ImageReport::Offered,
        Err(error) => ImageReport::Missing(error),
    }
}
