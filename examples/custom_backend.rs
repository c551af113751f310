//! A backend of your own: a [`ContainerRuntime`] that runs processes instead of containers.
//!
//! `cargo run --example custom_backend` shows it at work; `cargo test --example custom_backend` runs
//! the conformance suite on it, with the fixture in `custom_backend/fixture.rs`. What a container is
//! made of here stands in `custom_backend/container.rs`. Three thoughts carry any backend:
//! - **The truth is outside the program.** Here a folder is a container. It is made aside and moved
//!   into place, so that it is there as a whole or not at all; whoever is started next finds it.
//! - **Every call may come twice, late, or at the same time as another.** Each looks first at what
//!   is there, names a container by its own id, and leaves alone what carries another's mark.
//! - **It says what it can't do**: see [`UNENFORCED`]. Tenants could even read each other's files.
//!
//! File calls block here, since they are short; await what goes over a network. For Linux alone.
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

#[path = "custom_backend/container.rs"]
mod container;
#[path = "custom_backend/demo.rs"]
mod demo;
#[cfg(test)]
#[path = "custom_backend/fixture.rs"]
mod fixture;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, io};

use async_trait::async_trait;
use container::{Container, Signal};
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Actor, AppProfile, Backends, ContainerRuntime, Error, ErrorKind, Guarantee, Health, ImageId,
    ImageSource, Instance, InstanceId, InstanceSpec, LogLine, LogQuery, Orchestrator, OwnerId,
    PlatformId, ProgressSink, Reach, Result, TenantId, TenantSpec,
};
use fresco_examples::show;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::time::sleep;

/// What no process is kept from. The core refuses this runtime unless its policy allows that.
const UNENFORCED: [Guarantee; 5] = [
    Guarantee::Memory,
    Guarantee::Cpus,
    Guarantee::Pids,
    Guarantee::Network,
    Guarantee::Confinement,
];
const POLL: Duration = Duration::from_millis(20);

/// Runs apps that listen on `PORT`: another one at each start, since processes share all ports.
/// An image is a program in the folder `images`, or a link to one, and is never changed in place.
#[derive(Clone, Debug)]
struct ProcessRuntime {
    platform: PlatformId,
    folder: PathBuf,
}

impl ProcessRuntime {
    fn new(platform: PlatformId, folder: PathBuf) -> Result<Self> {
        for path in ["images", "containers"].map(|name| folder.join(name)) {
            // Environments hold secrets: nobody else may look.
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        }
        Ok(Self { platform, folder })
    }

    /// The containers of all platforms.
    fn all(&self) -> Result<Vec<Container>> {
        let folders = fs::read_dir(self.folder.join("containers")).map_err(failed)?;
        let all = folders.map(|folder| Container::open(folder?.path()));
        all.filter_map(io::Result::transpose).collect::<io::Result<_>>().map_err(failed)
    }

    fn ours(&self, wanted: impl Fn(&Container) -> bool) -> Result<Vec<Container>> {
        let ours = |c: &Container| c.platform == self.platform && wanted(c);
        Ok(self.all()?.into_iter().filter(ours).collect())
    }

    fn find(&self, id: &InstanceId) -> Result<Container> {
        let found = self.ours(|c| c.id == *id)?.pop();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such container").with("id", id))
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    async fn prepare(&self, image: &ImageSource, _: &ProgressSink) -> Result<ImageId> {
        let name = match image {
            ImageSource::Pinned(id, _) if is_there(id) => return Ok(id.clone()),
            ImageSource::Pinned(_, name) | ImageSource::Named(name) => name,
        };
        let link = self.folder.join("images").join(name.as_str().replace('/', "_"));
        // What the name leads to now is the exact image; the link may lead elsewhere tomorrow.
        let program = fs::canonicalize(&link).map_err(|e| {
            let message = format!("there is no image {name}: put a link to its program there");
            Error::new(ErrorKind::NotFound, message).with("link", link.display()).with_source(e)
        })?;
        Ok(ImageId::new(program.to_string_lossy()))
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        let mut old = self.ours(|c| c.tenant == spec.tenant)?;
        if old.iter().any(|c| c.generation > spec.generation) {
            return Err(Error::new(
                ErrorKind::LeaseLost,
                "a later generation's container is there",
            ));
        }
        if !is_there(&spec.image) {
            let error = Error::new(ErrorKind::NotFound, "the image's program is not there");
            return Err(error.with("image", &spec.image));
        }
        let kept = old.iter().position(|c| c.revision == spec.revision());
        let kept = kept.map(|place| old.swap_remove(place));
        for surplus in old {
            self.stop(&surplus.id, spec.app.stop_grace()).await?;
            self.remove(&surplus.id).await?;
        }
        if let Some(kept) = kept {
            return Ok(kept.instance());
        }
        let folder = self.folder.join("containers").join(spec.tenant.container_name());
        if folder.exists() {
            let error = Error::new(ErrorKind::Conflict, "somebody else's container has this name");
            return Err(error.with("folder", folder.display()));
        }
        Container::make(folder, self.platform, spec).map(|made| made.instance()).map_err(failed)
    }

    async fn start(&self, id: &InstanceId) -> Result<Instance> {
        let container = self.find(id)?;
        // Of several who start it at the same time, one can claim it; the others see it run.
        while !container.runs() {
            if let Some(alive) = container.claim().map_err(failed)? {
                container.start(alive).map_err(failed)?;
                break;
            }
        }
        Ok(container.instance())
    }

    async fn stop(&self, id: &InstanceId, grace: Duration) -> Result<()> {
        let Some(container) = self.ours(|c| c.id == *id)?.pop() else { return Ok(()) };
        let (end, mut asked) = (Instant::now() + grace, false);
        while container.runs() {
            if Instant::now() >= end {
                container.signal(Signal::KILL);
            } else if !asked {
                asked = container.signal(Signal::TERM);
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn remove(&self, id: &InstanceId) -> Result<()> {
        let Some(container) = self.all()?.into_iter().find(|c| c.id == *id) else { return Ok(()) };
        if container.platform != self.platform {
            let error = Error::new(ErrorKind::Conflict, "this container is another platform's");
            return Err(error.with("id", id));
        }
        let _nobody_starts_it = loop {
            self.stop(id, Duration::ZERO).await?;
            if let Some(alive) = container.claim().map_err(failed)? {
                break alive;
            }
        };
        container.remove().map_err(failed)
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        let found = self.ours(|c| tenant.is_none_or(|tenant| c.tenant == tenant))?;
        Ok(found.iter().map(Container::instance).collect())
    }

    async fn logs(
        &self,
        id: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        Ok(self.find(id)?.log(query).map_err(failed)?.map_err(failed).boxed())
    }

    async fn probe(&self, id: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        Ok(self.find(id)?.probe(port, path).await)
    }

    async fn health(&self) -> Result<Health> {
        self.all()?;
        Ok(Health::new(concat!("processes of this machine, ", env!("CARGO_PKG_VERSION"))))
    }
}

fn is_there(image: &ImageId) -> bool {
    Path::new(image.as_str()).is_file()
}

fn failed(e: io::Error) -> Error {
    Error::new(ErrorKind::Internal, "a container's folder or process can't be used").with_source(e)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if env::args().nth(1).as_deref() == Some(demo::SERVE) {
        return Ok(demo::serve()?);
    }
    let folder = env::temp_dir().join(format!("custom_backend-{}", PlatformId::new()));
    let world = MemoryWorld::new();
    let runtime = ProcessRuntime::new(world.platform(), folder.clone())?;
    demo::write_app(&folder.join("images/demo:1"))?;
    let backends = Backends::new(world.store(), runtime, world.database(), demo::Direct::default());
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
