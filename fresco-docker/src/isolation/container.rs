//! A probe's containers: on the tenants' network, confined like a tenant's, gone after the probe.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bollard::body_full;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use chrono::{TimeDelta, Utc};
use fresco_core::{Error, ErrorKind, LogQuery, Result};
use futures_util::stream::StreamExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::firewall::Firewall;
use super::prober::{MARK, Task, VARIABLE};
use super::program::PackedProgram;
use crate::address::{self, Address};
use crate::logs;
use crate::runtime::{DockerRuntime, PAUSE};

/// The label of a probe's containers, with the platform as its value. They don't carry the label of
/// tenants' containers: they are nobody's.
const LABEL: &str = "fresco.probe";

/// What a probe of a program that died has left is older than this. A younger one may be under way,
/// of this program or of another of the same platform: a probe ends much sooner.
const LEFT: TimeDelta = TimeDelta::minutes(2);
/// The pause before what is left is looked for again.
const SWEEP_PAUSE: Duration = Duration::from_secs(20);

/// What a probe makes on Docker.
pub(super) struct Kit<'a> {
    runtime: &'a DockerRuntime,
    image: String,
    command: Vec<String>,
    members: Mutex<Vec<String>>,
}

/// A running container of a probe.
pub(super) struct Member {
    id: String,
    pub(super) addresses: Vec<IpAddr>,
}

impl<'a> Kit<'a> {
    /// Makes an image that holds nothing but this program.
    pub(super) async fn make(runtime: &'a DockerRuntime, firewall: &Firewall) -> Result<Self> {
        if firewall.prober.is_empty() {
            let what = "the firewall was not told how this program probes: call Firewall::prober";
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let packed =
            tokio::task::spawn_blocking(PackedProgram::pack).await.map_err(|error| {
                Error::new(ErrorKind::Internal, "packing this program broke off").with_source(error)
            })??;
        let (archive, mut command) = (packed.archive, packed.command);
        command.extend(firewall.prober.iter().cloned());
        let engine = &runtime.engine;
        let mark = format!("LABEL {LABEL}={}", runtime.config.platform);
        let options =
            CreateImageOptionsBuilder::default().from_src("-").changes(vec![mark]).build();
        let body = body_full(archive.into());
        let mut news = engine.docker().create_image(Some(options), Some(body), None);
        let mut image = None;
        let what = "make the probe's image";
        while let Some(info) = engine.call(what, async { news.next().await.transpose() }).await? {
            image = info.status.filter(|text| text.starts_with("sha256:")).or(image);
        }
        let image = image.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "Docker made the probe's image and did not name it")
        })?;
        Ok(Self { runtime, image, command, members: Mutex::default() })
    }

    /// Starts a container with this task.
    pub(super) async fn start(&self, task: &Task) -> Result<Member> {
        let (runtime, engine) = (self.runtime, &self.runtime.engine);
        let task = serde_json::to_string(task).map_err(|error| {
            Error::new(ErrorKind::Internal, "could not write the probe's task").with_source(error)
        })?;
        let mut labels: HashMap<_, _> = runtime.config.labels.clone().into_iter().collect();
        labels.insert(LABEL.into(), runtime.config.platform.to_string());
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(self.command.clone()),
            user: Some("65534:65534".into()),
            env: Some(vec![format!("{VARIABLE}={task}")]),
            networking_config: Some(address::fresh(engine, &runtime.network).await?),
            labels: Some(labels),
            host_config: Some(HostConfig {
                network_mode: Some(runtime.network.name.clone()),
                memory: Some(128 << 20),
                pids_limit: Some(256),
                cap_drop: Some(vec!["ALL".into()]),
                security_opt: Some(vec!["no-new-privileges:true".into()]),
                readonly_rootfs: Some(true),
                log_config: Some(HostConfigLogConfig {
                    typ: Some("json-file".into()),
                    config: None,
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let call = engine.docker().create_container(None::<CreateContainerOptions>, body);
        let id = engine.call("make the probe's container", call).await?.id;
        self.members.lock().await.push(id.clone());
        runtime.start_container(&id, Address::Own).await?;
        let found = runtime.inspect(&id).await?;
        let addresses = found.map(|found| found.addresses(&runtime.network.name));
        Ok(Member { id, addresses: addresses.unwrap_or_default() })
    }

    /// Waits until a container has ended, and gives what it told.
    pub(super) async fn answers(&self, member: &Member) -> Result<Vec<String>> {
        let deadline = Instant::now() + self.runtime.engine.timeout();
        while self.runtime.inspect(&member.id).await?.is_some_and(|found| found.is_running()) {
            if Instant::now() > deadline {
                let what = "the probe's container does not end";
                return Err(Error::new(ErrorKind::TimedOut, what));
            }
            sleep(PAUSE).await;
        }
        let mut lines = logs::lines(&self.runtime.engine, &member.id, &LogQuery::last(10_000));
        let (mut told, mut last) = (Vec::new(), String::new());
        while let Some(line) = lines.next().await {
            let text = line?.text;
            match text.strip_prefix(MARK) {
                Some(answer) => told.push(answer.to_owned()),
                None => last = text,
            }
        }
        if told.is_empty() {
            let what = "the probe's container told nothing";
            return Err(Error::new(ErrorKind::Internal, what).with("its last words", last));
        }
        Ok(told)
    }

    /// Removes all that was made.
    pub(super) async fn remove(self) -> Result<()> {
        for id in self.members.lock().await.iter() {
            self.runtime.remove_container(id).await?;
        }
        remove_image(self.runtime, &self.image).await
    }
}

async fn remove_image(runtime: &DockerRuntime, image: &str) -> Result<()> {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    let call = runtime.engine.docker().remove_image(image, Some(options), None);
    match runtime.engine.call("remove the probe's image", call).await {
        // 409: another program removes it.
        Err(failed) if !matches!(failed.status(), Some(404 | 409)) => Err(failed.into()),
        _ => Ok(()),
    }
}

/// Removes what probes have left whose program died, unless one is under way or that was done a
/// moment ago.
pub(super) async fn sweep_now_and_then(runtime: &DockerRuntime) -> Result<()> {
    let Ok(mut last) = runtime.probing.try_lock() else { return Ok(()) };
    if last.is_some_and(|last| last.elapsed() < SWEEP_PAUSE) {
        return Ok(());
    }
    *last = Some(Instant::now());
    sweep(runtime).await
}

async fn sweep(runtime: &DockerRuntime) -> Result<()> {
    let (docker, engine) = (runtime.engine.docker(), &runtime.engine);
    let is_left = |made: i64| (Utc::now() - LEFT).timestamp() > made;
    let filters = HashMap::from([("label", vec![format!("{LABEL}={}", runtime.config.platform)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let call = docker.list_containers(Some(options));
    for container in engine.call("list probes' containers", call).await? {
        if let (Some(id), true) = (&container.id, container.created.is_some_and(is_left)) {
            runtime.remove_container(id).await?;
        }
    }
    // Those of any platform: an image holds no data, and one in use is not removed.
    let filters = HashMap::from([("label", vec![LABEL.to_owned()])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let call = docker.list_images(Some(options));
    for image in engine.call("list probes' images", call).await? {
        if is_left(image.created) {
            remove_image(runtime, &image.id).await?;
        }
    }
    Ok(())
}
