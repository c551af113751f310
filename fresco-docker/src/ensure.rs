//! Making a tenant's one container, whatever is there already and whoever else tries.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use fresco_core::{Error, ErrorKind, Instance, InstanceSpec, Result};
use tokio::time::{Instant, sleep};

use crate::address;
use crate::images;
use crate::instance::Container;
use crate::runtime::{DockerRuntime, PAUSE};
use crate::spec::create_body;

/// Looks, decides and acts until the tenant has the one container of the spec.
///
/// The name of the container is what several callers meet at: Docker gives it to one of them only.
/// Whoever does not get it looks again.
pub(crate) async fn ensure(runtime: &DockerRuntime, spec: &InstanceSpec) -> Result<Instance> {
    let deadline = Instant::now() + spec.app.stop_grace() + runtime.engine.timeout();
    loop {
        if let Some(instance) = settle(runtime, spec).await? {
            return Ok(instance);
        }
        if Instant::now() > deadline {
            return Err(Error::new(
                ErrorKind::TimedOut,
                "the tenant's container is being made and removed by somebody else all the time",
            ));
        }
        sleep(PAUSE).await;
    }
}

/// One round. `None`: something changed in between; look again.
async fn settle(runtime: &DockerRuntime, spec: &InstanceSpec) -> Result<Option<Instance>> {
    let found = runtime.containers(Some(spec.tenant)).await?;
    let newer = found.iter().filter_map(|container| runtime.instance(container).ok());
    if let Some(newer) = newer.map(|i| i.generation).max().filter(|g| *g > spec.generation) {
        return Err(Error::new(
            ErrorKind::LeaseLost,
            "the tenant has a container of a later generation",
        )
        .with("ours", spec.generation)
        .with("theirs", newer));
    }
    let keep = found.iter().position(|container| is_right(runtime, spec, container));
    // Whether the image is there is asked before anything is taken away.
    let user = match keep {
        None => images::user(&runtime.engine, &spec.image).await?,
        Some(_) => None,
    };
    for (_, surplus) in found.iter().enumerate().filter(|(at, _)| Some(*at) != keep) {
        if surplus.is_running() {
            runtime.stop_container(surplus.id(), spec.app.stop_grace()).await?;
        }
        tracing::info!(tenant = %spec.tenant, container = surplus.id(), "removing a container that is replaced");
        runtime.remove_container(surplus.id()).await?;
    }
    match keep.and_then(|at| found.get(at)) {
        Some(container) => runtime.instance(container).map(Some),
        None => create(runtime, spec, user.as_deref()).await,
    }
}

fn is_right(runtime: &DockerRuntime, spec: &InstanceSpec, container: &Container) -> bool {
    let instance = runtime.instance(container);
    container.is_usable()
        && container.name() == spec.tenant.container_name()
        && instance.is_ok_and(|instance| instance.revision == spec.revision())
}

async fn create(
    runtime: &DockerRuntime,
    spec: &InstanceSpec,
    image_user: Option<&str>,
) -> Result<Option<Instance>> {
    let name = spec.tenant.container_name();
    let mut place = Some(address::fresh(&runtime.engine, &runtime.network).await?);
    let made = loop {
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let body = create_body(spec, image_user, &runtime.config, &runtime.unenforced);
        let body = ContainerCreateBody { networking_config: place.clone(), ..body };
        let call = runtime.engine.docker().create_container(Some(options), body);
        match runtime.engine.call("make the container", call).await {
            // What runs on such a network must not be lost to it. 20.10 says so at the start only.
            Err(failed) if place.is_some() && address::lacks_range(&failed) => {
                address::tell_without_range(&runtime.network, &name);
                place = None;
            }
            made => break made,
        }
    };
    match made {
        Ok(created) => match runtime.inspect(&created.id).await? {
            Some(container) => runtime.instance(&container).map(Some),
            None => Ok(None),
        },
        // The name is taken: by our own (look again), or by somebody else.
        Err(failed) if failed.status() == Some(409) => match runtime.inspect(&name).await? {
            Some(holder) if !holder.belongs_to(runtime.config.platform) => Err(Error::new(
                ErrorKind::Conflict,
                "a container of this name exists that this platform did not make; it is left alone: rename or remove it",
            )
            .with("container", name)),
            _ => Ok(None),
        },
        Err(failed) if failed.lacks_network() => Err(runtime.network_gone()),
        Err(failed) if failed.is_absent() => Err(images::missing(spec.image.as_str())),
        Err(failed) => Err(Error::from(failed).with("container", name)),
    }
}
