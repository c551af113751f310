//! The cases of [`ContainerRuntime`] and of its abilities.

mod abilities;
mod ensure;
mod isolation;
mod life;
mod look;
mod prepare;

use std::sync::Arc;

pub use abilities::*;
pub use ensure::*;
pub use isolation::*;
pub use life::*;
pub use look::*;
pub use prepare::*;

use super::support::{done, eventually, subdomain};
use super::{ExampleApp, RuntimeFixture};
use crate::{
    ContainerRuntime, CredentialId, Generation, ImageId, ImageRef, ImageSource, Instance,
    InstanceSpec, Limits, ProgressSink, Reach, TenantId,
};

/// The names of all cases of this port, in order.
pub const CASES: &[&str] = &crate::__runtime_cases!(__conformance_names);

async fn prepared(runtime: &Arc<dyn ContainerRuntime>, image: ImageRef) -> ImageId {
    let source = ImageSource::Named(image);
    done(
        "prepare of an image that is there",
        runtime.prepare(&source, &ProgressSink::ignore()).await,
    )
}

/// The spec of a container for a new tenant, in generation 1.
async fn spec<F: RuntimeFixture + ?Sized>(fixture: &F, app: ExampleApp) -> InstanceSpec {
    let example = fixture.example(app);
    let image = prepared(&fixture.runtime(), example.image).await;
    let profile = fixture.app();
    let limits = Limits::for_app(&profile);
    let (tenant, credential) = (TenantId::new(), CredentialId::new());
    let mut spec = InstanceSpec::new(
        tenant,
        subdomain(),
        Generation::new(1),
        credential,
        image,
        profile,
        limits,
    );
    spec.environment = example.environment;
    spec
}

fn in_generation(spec: &InstanceSpec, generation: i64) -> InstanceSpec {
    InstanceSpec { generation: Generation::new(generation), ..spec.clone() }
}

async fn ensured<F: RuntimeFixture + ?Sized>(fixture: &F, app: ExampleApp) -> Instance {
    done("ensure", fixture.runtime().ensure(&spec(fixture, app).await).await)
}

/// A container that was started; its app may not listen yet.
async fn started<F: RuntimeFixture + ?Sized>(fixture: &F, app: ExampleApp) -> Instance {
    let instance = ensured(fixture, app).await;
    done("start", fixture.runtime().start(&instance.id).await)
}

/// A container whose app answers.
async fn serving<F: RuntimeFixture + ?Sized>(fixture: &F, app: ExampleApp) -> Instance {
    let instance = started(fixture, app).await;
    answers(fixture, &instance).await;
    instance
}

async fn answers<F: RuntimeFixture + ?Sized>(fixture: &F, instance: &Instance) {
    let (runtime, app) = (fixture.runtime(), fixture.app());
    let hope = format!("the app should answer {} with {}", app.health_path, app.health_status);
    eventually(&hope, async || {
        let reach = done("probe", runtime.probe(&instance.id, app.port, &app.health_path).await);
        if reach == Reach::Status(app.health_status) { Ok(()) } else { Err(reach) }
    })
    .await;
}

/// The tenant's containers.
async fn listed(runtime: &Arc<dyn ContainerRuntime>, tenant: TenantId) -> Vec<Instance> {
    done("list", runtime.list(Some(tenant)).await)
}

/// The tenant's container, which must be the only one.
async fn the_one(runtime: &Arc<dyn ContainerRuntime>, tenant: TenantId) -> Instance {
    let mut all = listed(runtime, tenant).await;
    assert_eq!(all.len(), 1, "the tenant should have one container, but it has {all:?}");
    all.remove(0)
}
