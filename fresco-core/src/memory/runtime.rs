//! The runtime.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast::error::RecvError;

use super::engine::{Container, Making, Marks, no_container, no_image};
use super::{MemoryWorld, State};
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::ids::{ImageId, InstanceId, TenantId};
use crate::image::{ImageSource, ProgressSink, PullProgress};
use crate::instance::{Instance, InstanceSpec};
use crate::isolation::{IsolationAttempt, IsolationReport, RuntimeIsolation};
use crate::runtime::{
    ContainerRuntime, LogLine, LogQuery, Reach, RuntimeEvent, RuntimeEvents, RuntimeMetrics,
    RuntimeResize, RuntimeSample,
};
use crate::tenant::Limits;

/// The bytes of every image, for progress.
const IMAGE_BYTES: u64 = 32 * 1024 * 1024;
/// The memory that every app uses, as far as its limit allows.
const APP_BYTES: u64 = 48 * 1024 * 1024;
/// The exit code of what was killed.
const KILLED: i64 = 137;

/// The runtime of a [`MemoryWorld`], with all abilities.
#[derive(Clone, Debug)]
pub struct MemoryRuntime {
    world: MemoryWorld,
}

impl MemoryRuntime {
    pub(super) const fn new(world: MemoryWorld) -> Self {
        Self { world }
    }

    /// The container with this id, if it is this platform's.
    fn ours<'a>(&self, state: &'a State, id: &InstanceId) -> Result<&'a Container> {
        let container = state.engine.find(id).ok_or_else(|| no_container(id))?;
        if container.is_of(self.world.platform) { Ok(container) } else { Err(foreign(container)) }
    }
}

fn foreign(container: &Container) -> Error {
    let what = "this container belongs to somebody else; remove it or give it another name";
    Error::new(ErrorKind::Conflict, what).with("container", &container.name)
}

#[async_trait]
impl ContainerRuntime for MemoryRuntime {
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId> {
        let mut state = self.world.state();
        let images = &mut state.engine.images;
        let name = match image {
            ImageSource::Pinned(id, _) if images.is_fetched(id) => return Ok(id.clone()),
            ImageSource::Pinned(_, name) | ImageSource::Named(name) => name,
        };
        let id = images.named(name.as_str()).ok_or_else(|| no_image(name))?;
        if !images.is_fetched(&id) {
            for bytes in [0, IMAGE_BYTES / 2, IMAGE_BYTES] {
                let detail = format!("fetching {name}");
                progress.report(PullProgress { detail, bytes, total_bytes: Some(IMAGE_BYTES) });
            }
            images.fetch(&id);
        }
        Ok(id)
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        let mut state = self.world.state();
        let State { engine, server } = &mut *state;
        let name = spec.tenant.container_name();
        let platform = self.world.platform;
        if let Some(taken) = engine.containers.iter().find(|c| c.name == name && !c.is_of(platform))
        {
            return Err(foreign(taken));
        }
        let revision = spec.revision();
        let mut kept = None;
        let mut surplus = Vec::new();
        for container in engine.containers.iter().filter(|c| c.is_of(platform)) {
            let Some(marks) = container.marks.as_ref().filter(|m| m.tenant == spec.tenant) else {
                continue;
            };
            if marks.generation > spec.generation {
                let why = "this tenant's container was made by somebody who took over its work";
                return Err(Error::new(ErrorKind::LeaseLost, why).with("container", &container.id));
            }
            if kept.is_none() && marks.revision == revision && container.name == name {
                kept = container.instance();
            } else {
                surplus.push(container.id.clone());
            }
        }
        // Nothing is removed for a container that can't be made.
        if kept.is_none() && engine.images.app(&spec.image).is_none() {
            return Err(no_image(&spec.image));
        }
        for id in surplus {
            engine.remove(&id, server);
        }
        if let Some(instance) = kept {
            return Ok(instance);
        }
        let marks = Marks {
            platform,
            tenant: spec.tenant,
            generation: spec.generation,
            credential: spec.credential,
            revision,
        };
        let id = engine.make(Making {
            name,
            marks: Some(marks),
            image: spec.image.clone(),
            profile: spec.app.clone(),
            limits: spec.limits,
            environment: spec.environment.clone(),
            annotations: spec.annotations.clone(),
        })?;
        engine.find(&id).and_then(Container::instance).ok_or_else(|| no_container(&id))
    }

    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        let mut state = self.world.state();
        self.ours(&state, instance)?;
        let State { engine, server } = &mut *state;
        engine.start(instance, server, &self.world.shared.clock);
        let started = engine.find(instance).and_then(Container::instance);
        started.ok_or_else(|| no_container(instance))
    }

    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        let begun = {
            let mut state = self.world.state();
            let container = match self.ours(&state, instance) {
                Ok(container) => container,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            if !container.app.ignores_stop {
                let State { engine, server } = &mut *state;
                engine.end(instance, 0, false, server);
                return Ok(());
            }
            container.started_at.filter(|_| container.is_running())
        };
        if begun.is_some() {
            tokio::time::sleep(grace).await;
            let mut state = self.world.state();
            let State { engine, server } = &mut *state;
            // If it was started anew meanwhile, that start is not what was to be stopped.
            if engine.find(instance).is_some_and(|container| container.started_at == begun) {
                engine.end(instance, KILLED, false, server);
            }
        }
        Ok(())
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        let mut state = self.world.state();
        match self.ours(&state, instance) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let State { engine, server } = &mut *state;
        engine.remove(instance, server);
        Ok(())
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        let state = self.world.state();
        let all = state.engine.containers.iter();
        let ours = all.filter(|c| c.is_of(self.world.platform));
        let asked = ours.filter(|c| tenant.is_none_or(|tenant| c.is_of_tenant(tenant)));
        Ok(asked.filter_map(Container::instance).collect())
    }

    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let state = self.world.state();
        let changes = state.engine.changes.subscribe();
        let log = &self.ours(&state, instance)?.log;
        let since = query.since;
        let wanted = move |line: &LogLine| since.is_none_or(|since| line.at >= since);
        let newest = log.iter().enumerate().rev().filter(|(_, line)| wanted(line));
        // Where the oldest of the lines stands that are asked for.
        let first = newest.take(query.lines as usize).last().map_or(log.len(), |(at, _)| at);
        drop(state);
        let (world, id, follow) = (self.world.clone(), instance.clone(), query.follow);
        let lines = stream::unfold((first, changes), move |(mut at, mut changes)| {
            let (world, id) = (world.clone(), id.clone());
            async move {
                loop {
                    let running = {
                        let state = world.state();
                        let container = state.engine.find(&id)?;
                        while let Some(line) = container.log.get(at) {
                            at += 1;
                            if wanted(line) {
                                return Some((Ok(line.clone()), (at, changes)));
                            }
                        }
                        container.is_running()
                    };
                    if !follow || !running {
                        return None;
                    }
                    changes.changed().await.ok()?;
                }
            }
        });
        Ok(lines.boxed())
    }

    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        let state = self.world.state();
        Ok(self.ours(&state, instance)?.reach(port, path))
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health::new(concat!("memory runtime ", env!("CARGO_PKG_VERSION"))))
    }
}

#[async_trait]
impl RuntimeMetrics for MemoryRuntime {
    async fn sample(&self, instances: &[InstanceId]) -> Result<Vec<(InstanceId, RuntimeSample)>> {
        let now = self.world.shared.clock.now();
        let state = self.world.state();
        let ours = instances.iter().filter_map(|id| self.ours(&state, id).ok());
        let samples = ours.filter(|container| container.is_running()).map(|container| {
            let limit = container.limits.memory_bytes();
            let ran = container.started_at.and_then(|begun| (now - begun).num_nanoseconds());
            let sample = RuntimeSample {
                // As if the app kept one hundredth of a CPU busy.
                cpu_nanos: ran.unwrap_or_default().unsigned_abs() / 100,
                memory_bytes: APP_BYTES.min(limit),
                memory_limit_bytes: limit,
                pids: 1,
                ..RuntimeSample::default()
            };
            (container.id.clone(), sample)
        });
        Ok(samples.collect())
    }
}

#[async_trait]
impl RuntimeEvents for MemoryRuntime {
    async fn watch(&self) -> Result<BoxStream<'static, Result<RuntimeEvent>>> {
        let events = self.world.state().engine.events.subscribe();
        let platform = self.world.platform;
        let told = stream::unfold(Some(events), move |events| async move {
            let mut events = events?;
            loop {
                match events.recv().await {
                    Ok((of, event)) if of == platform => return Some((Ok(event), Some(events))),
                    Ok(_) => {}
                    Err(RecvError::Closed) => return None,
                    Err(RecvError::Lagged(missed)) => {
                        let what = "events were missed; look at everything once";
                        let error = Error::new(ErrorKind::Unavailable, what).with("missed", missed);
                        return Some((Err(error), None));
                    }
                }
            }
        });
        Ok(told.boxed())
    }
}

#[async_trait]
impl RuntimeResize for MemoryRuntime {
    async fn resize(&self, instance: &InstanceId, limits: &Limits) -> Result<()> {
        let mut state = self.world.state();
        self.ours(&state, instance)?;
        if let Some(container) = state.engine.find_mut(instance) {
            container.limits = *limits;
        }
        Ok(())
    }
}

#[async_trait]
impl RuntimeIsolation for MemoryRuntime {
    async fn ensure_isolation(&self) -> Result<bool> {
        let engine = &mut self.world.state().engine;
        if engine.no_right_to_isolate {
            let what = "no right to keep containers apart";
            return Err(Error::new(ErrorKind::Denied, what));
        }
        Ok(!std::mem::replace(&mut engine.isolated, true))
    }

    async fn probe_isolation(&self) -> Result<IsolationReport> {
        let isolated = self.world.state().engine.isolated;
        let tried = |what: &str, wanted, reached| {
            let seen = if reached { "connected" } else { "no answer" };
            IsolationAttempt::new(what, "memory", wanted, reached, seen)
        };
        Ok(IsolationReport::new(vec![
            tried("the tenants' database", true, true),
            tried("another tenant's port", false, !isolated),
        ]))
    }
}
