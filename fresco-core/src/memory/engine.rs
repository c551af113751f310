//! Containers, whoever made them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::sync::{broadcast, watch};

use super::app::MemoryApp;
use super::clock::{Clock, after};
use super::images::Images;
use super::server::{Server, SessionId};
use crate::app::AppProfile;
use crate::environment::EnvName;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CredentialId, Generation, ImageId, InstanceId, PlatformId, TenantId};
use crate::instance::{Endpoint, Instance, InstanceState, Revision};
use crate::runtime::{LogLine, LogStream, Reach, RuntimeEvent, RuntimeEventKind};
use crate::tenant::Limits;

/// Events that a slow listener may lag behind.
const EVENTS: usize = 1024;

pub(super) struct Engine {
    pub(super) images: Images,
    pub(super) containers: Vec<Container>,
    made: u32,
    /// Who answers for gates, by address: whether everybody is let pass.
    pub(super) gates: BTreeMap<String, bool>,
    /// Tenants whose gate nobody is asked at any more, whatever their container carries.
    pub(super) opened: BTreeSet<TenantId>,
    /// Whether containers are kept apart.
    pub(super) isolated: bool,
    /// Whether the right to keep them apart is missing.
    pub(super) no_right_to_isolate: bool,
    /// What happens, for those who watch a platform.
    pub(super) events: broadcast::Sender<(PlatformId, RuntimeEvent)>,
    /// That a container or its log changed, for those who follow logs.
    pub(super) changes: watch::Sender<()>,
}

/// What says whose a container is.
#[derive(Clone)]
pub(super) struct Marks {
    pub(super) platform: PlatformId,
    pub(super) tenant: TenantId,
    pub(super) generation: Generation,
    pub(super) credential: CredentialId,
    pub(super) revision: Revision,
}

pub(super) struct Container {
    pub(super) id: InstanceId,
    pub(super) name: String,
    pub(super) marks: Option<Marks>,
    pub(super) image: ImageId,
    pub(super) app: MemoryApp,
    pub(super) profile: AppProfile,
    pub(super) limits: Limits,
    pub(super) environment: BTreeMap<EnvName, SecretString>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) state: InstanceState,
    pub(super) started_at: Option<DateTime<Utc>>,
    /// Whether the app came as far as it gets.
    booted: bool,
    sessions: Vec<SessionId>,
    address: SocketAddr,
    /// Whether it was paused, or taken off its network.
    pub(super) cut_off: bool,
    /// Whether its app stopped to listen, until it is started again.
    pub(super) deaf: bool,
    /// Whether its app is too busy to answer, until it is started again.
    pub(super) busy: bool,
    pub(super) log: Vec<LogLine>,
}

/// What a container is made with.
pub(super) struct Making {
    pub(super) name: String,
    pub(super) marks: Option<Marks>,
    pub(super) image: ImageId,
    pub(super) profile: AppProfile,
    pub(super) limits: Limits,
    pub(super) environment: BTreeMap<EnvName, SecretString>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            images: Images::default(),
            containers: Vec::new(),
            made: 0,
            gates: BTreeMap::new(),
            opened: BTreeSet::new(),
            isolated: false,
            no_right_to_isolate: false,
            events: broadcast::Sender::new(EVENTS),
            changes: watch::Sender::new(()),
        }
    }
}

impl Engine {
    /// Makes a container of an image that is there, without starting it.
    pub(super) fn make(&mut self, making: Making) -> Result<InstanceId> {
        let app = self.images.app(&making.image).cloned();
        let app = app.ok_or_else(|| no_image(&making.image))?;
        self.made += 1;
        let id = InstanceId::new(format!("memory-{}", self.made));
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + self.made);
        self.containers.push(Container {
            id: id.clone(),
            name: making.name,
            marks: making.marks,
            image: making.image,
            app,
            address: (address, making.profile.port).into(),
            profile: making.profile,
            limits: making.limits,
            environment: making.environment,
            annotations: making.annotations,
            state: InstanceState::Created,
            started_at: None,
            booted: false,
            sessions: Vec::new(),
            cut_off: false,
            deaf: false,
            busy: false,
            log: Vec::new(),
        });
        Ok(id)
    }

    pub(super) fn find(&self, id: &InstanceId) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == *id)
    }

    pub(super) fn find_mut(&mut self, id: &InstanceId) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.id == *id)
    }

    /// Starts a container that does not run; its app comes as far as it gets at once.
    pub(super) fn start(&mut self, id: &InstanceId, server: &mut Server, clock: &Clock) {
        let Some(container) = self.find_mut(id) else { return };
        if container.state == InstanceState::Running {
            return;
        }
        let now = clock.now();
        container.state = InstanceState::Running;
        container.started_at = Some(now);
        container.booted = false;
        (container.deaf, container.busy) = (false, false);
        for (stream, text) in container.app.lines.clone() {
            container.print(now, stream, text);
        }
        let (told, end) = (container.event(RuntimeEventKind::Started), container.app.end);
        self.tell(told);
        match end {
            Some(end) => self.end(id, end.code, end.out_of_memory, server),
            None => self.settle(server, clock),
        }
    }

    /// Ends a container that runs.
    pub(super) fn end(
        &mut self,
        id: &InstanceId,
        code: i64,
        out_of_memory: bool,
        server: &mut Server,
    ) {
        let Some(container) = self.find_mut(id) else { return };
        if container.state != InstanceState::Running {
            return;
        }
        container.state = InstanceState::Exited { code, out_of_memory };
        for session in container.sessions.drain(..) {
            server.close(session);
        }
        let killed = out_of_memory.then(|| container.event(RuntimeEventKind::OutOfMemory));
        let exited = container.event(RuntimeEventKind::Exited);
        self.tell(killed.flatten());
        self.tell(exited);
    }

    /// Removes a container, running or not.
    pub(super) fn remove(&mut self, id: &InstanceId, server: &mut Server) {
        self.end(id, 137, false, server);
        let told = self.find(id).and_then(|c| c.event(RuntimeEventKind::Removed));
        self.containers.retain(|container| container.id != *id);
        self.tell(told);
    }

    /// Lets time take effect: apps whose boot is over listen, and log in to their databases.
    pub(super) fn settle(&mut self, server: &mut Server, clock: &Clock) {
        let now = clock.now();
        let mut failed = Vec::new();
        for container in &mut self.containers {
            let due = container.started_at.map(|begun| after(begun, container.app.boot_time));
            let running = container.state == InstanceState::Running;
            if !running || container.booted || due.is_none_or(|due| due > now) {
                continue;
            }
            container.booted = true;
            if container.boot(server, clock).is_err() {
                failed.push(container.id.clone());
            }
            self.changes.send_replace(());
        }
        for id in failed {
            self.end(&id, 1, false, server);
        }
    }

    fn tell(&self, event: Option<(PlatformId, RuntimeEvent)>) {
        self.changes.send_replace(());
        if let Some(event) = event {
            // Without a listener there is nobody to tell.
            let _ = self.events.send(event);
        }
    }
}

impl Container {
    /// Whether it carries this platform's mark.
    pub(super) fn is_of(&self, platform: PlatformId) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.platform == platform)
    }

    /// Whether it is this tenant's, by its marks.
    pub(super) fn is_of_tenant(&self, tenant: TenantId) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.tenant == tenant)
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == InstanceState::Running
    }

    /// What a try to reach the app leads to.
    pub(super) fn reach(&self, port: u16, path: &str) -> Reach {
        let up = self.is_running() && !self.cut_off && !self.deaf && self.booted;
        if !up || !self.app.listens || port != self.profile.port {
            return Reach::Unreachable(format!("nobody listens on port {port} of the container"));
        }
        if self.app.hangs || self.busy {
            return Reach::Silent("it took the connection and gave no answer".to_owned());
        }
        let known = path == self.profile.health_path;
        Reach::Status(if known { self.profile.health_status } else { 404 })
    }

    /// The container as the port tells of it; `None` without marks.
    pub(super) fn instance(&self) -> Option<Instance> {
        let marks = self.marks.clone()?;
        let Marks { tenant, generation, credential, revision, .. } = marks;
        let made = Instance::new(
            self.id.clone(),
            tenant,
            generation,
            credential,
            revision,
            self.image.clone(),
        );
        let reachable = self.is_running() && !self.cut_off;
        let endpoint = reachable.then_some(Endpoint(self.address));
        Some(made.with_state(self.state.clone(), endpoint).with_limits(self.limits))
    }

    fn event(&self, kind: RuntimeEventKind) -> Option<(PlatformId, RuntimeEvent)> {
        let marks = self.marks.as_ref()?;
        let event = RuntimeEvent { tenant: marks.tenant, instance: self.id.clone(), kind };
        Some((marks.platform, event))
    }

    fn print(&mut self, at: DateTime<Utc>, stream: LogStream, text: impl Into<String>) {
        self.log.push(LogLine { at, stream, text: text.into() });
    }

    /// What the app does once its boot time is over. An error ends it.
    fn boot(&mut self, server: &mut Server, clock: &Clock) -> Result<()> {
        if !self.app.listens {
            return Ok(());
        }
        for url in self.environment.values().cloned().collect::<Vec<_>>() {
            match server.login(&url, clock.now()) {
                None => {}
                Some(Ok(session)) => {
                    self.sessions.push(session);
                    if self.app.needs_public && server.is_schema(session) {
                        let text = r#"ERROR: relation "public.visits" does not exist"#;
                        self.print(clock.now(), LogStream::Stderr, text);
                        return Err(Error::new(ErrorKind::Internal, text));
                    }
                }
                Some(Err(error)) => {
                    self.print(clock.now(), LogStream::Stderr, error.message());
                }
            }
        }
        let text = format!("listening on port {}", self.profile.port);
        self.print(clock.now(), LogStream::Stdout, text);
        Ok(())
    }
}

pub(super) fn no_image(image: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such image").with("image", image)
}

pub(super) fn no_container(id: &InstanceId) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such container").with("container", id)
}
