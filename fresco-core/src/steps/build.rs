//! The steps that make something: image, database, container.

use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::watch;

use crate::backends::call;
use crate::database::{DatabaseEntry, DatabaseSpec, Fence};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{ProgressSink, PullProgress};
use crate::instance::{Instance, InstanceSpec};
use crate::prove;
use crate::run::{Detail, Run};
use crate::stage::{Direction, Intent};
use crate::step::Action;
use crate::tenant::ContainerRef;

/// How often progress of an image is told at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

pub(super) async fn image(run: &mut Run<'_>) -> Result<Detail> {
    let source = run.target().image_source();
    let (sender, mut progress) = watch::channel(PullProgress::default());
    let sink = ProgressSink::new(move |report| {
        sender.send_replace(report);
    });
    let prepare = run.backends.runtime.prepare(&source, &sink);
    let prepare = call("runtime.prepare", run.settings.image_deadline, prepare);
    let tell = async {
        while progress.changed().await.is_ok() {
            let report = progress.borrow_and_update().clone();
            let announce = run.backends.store.announce(run.lease.operation.id, &report);
            // Progress is a kindness: that it can't be told must not fail the step.
            let _ = call("store.announce", run.settings.call_deadline, announce).await;
            tokio::time::sleep(PROGRESS_INTERVAL).await;
        }
        std::future::pending::<()>().await;
    };
    let id = tokio::select! {
        id = prepare => id?,
        () = tell => unreachable_image()?,
    };
    let detail = id.to_string();
    run.stage.image = Some(id);
    Ok(Some(detail))
}

/// `tell` never ends by itself; this only gives the branch a type.
fn unreachable_image<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Internal, "telling progress ended before the image was ready"))
}

pub(super) async fn intend_database(run: &mut Run<'_>) -> Result<bool> {
    if run.stage.database.is_some() {
        return Ok(false);
    }
    let there = run.database_entry().await?.is_some();
    run.stage.database = Some(if there { Intent::Keep } else { Intent::Make });
    Ok(true)
}

pub(super) async fn database(run: &mut Run<'_>) -> Result<Detail> {
    let target = &run.target().spec;
    let spec = DatabaseSpec::new(run.fence(), target.isolation, target.app.connection_limit);
    let ensure = run.backends.database.ensure(&spec);
    call("database.ensure", run.settings.call_deadline, ensure).await?;
    Ok(Some(format!("{:?} {}", target.isolation, run.tenant_id().database_name()).to_lowercase()))
}

pub(super) async fn intend_container(run: &mut Run<'_>) -> Result<bool> {
    if run.stage.container.is_some() {
        return Ok(false);
    }
    let there = !run.instances().await?.is_empty();
    run.stage.container = Some(if there { Intent::Keep } else { Intent::Make });
    Ok(true)
}

/// Issues credentials, makes the container with them, starts it.
///
/// The credentials exist only here, between the database and the container. So a repeated try
/// always issues new ones, and since these differ the container is replaced.
pub(super) async fn container(run: &mut Run<'_>) -> Result<Detail> {
    // Those that are there are not stopped; a new one is not let in.
    if run.action() == Action::Create {
        prove::wait(run).await?;
    }
    let image = run.image_to_run().await?;
    let deadline = run.settings.call_deadline;
    let issue = run.backends.database.issue(run.fence());
    let credentials = call("database.issue", deadline, issue).await?;

    let plan = run.backends.router.plan(&run.route_to(run.generation()).await?);
    let target = &run.target().spec;
    let mut environment = target.app.render(&plan.url, &target.subdomain, &credentials)?;
    for (name, value) in &target.environment {
        environment.insert(name.clone(), SecretString::from(value.expose().to_owned()));
    }
    let mut spec = InstanceSpec::new(
        run.tenant_id(),
        target.subdomain.clone(),
        run.generation(),
        credentials.id,
        image,
        target.app.clone(),
        target.limits,
    );
    spec.environment = environment;
    spec.annotations = plan.annotations;
    // A replaced container is given its time to end by itself.
    let deadline_with_grace = deadline + target.app.stop_grace();
    let ensure = run.backends.runtime.ensure(&spec);
    let instance = call("runtime.ensure", deadline_with_grace, ensure).await?;
    run.check_enforced(&instance)?;
    run.remove_instances(Some(&instance.id)).await?;

    run.stage.started_after = Some(run.database_now().await?);
    let container = ContainerRef {
        id: instance.id.clone(),
        generation: instance.generation,
        credential: instance.credential,
    };
    run.stage.instance = Some(container.clone());
    run.tenant.container = Some(container);
    let start = run.backends.runtime.start(&instance.id);
    call("runtime.start", deadline, start).await?;
    Ok(Some(instance.id.to_string()))
}

impl Run<'_> {
    pub(super) fn fence(&self) -> Fence {
        Fence { tenant: self.tenant_id(), generation: self.generation() }
    }

    /// The exact image of the container to make: the one that the step before prepared; when
    /// something is taken back or made anew, the one that the tenant ran.
    async fn image_to_run(&self) -> Result<crate::ids::ImageId> {
        if self.stage.direction == Direction::Forward {
            if let Some(image) = &self.stage.image {
                return Ok(image.clone());
            }
        }
        let source = self.target().image_source();
        let sink = ProgressSink::ignore();
        let prepare = self.backends.runtime.prepare(&source, &sink);
        call("runtime.prepare", self.settings.image_deadline, prepare).await
    }

    /// What the database has of the tenant.
    pub(super) async fn database_entry(&self) -> Result<Option<DatabaseEntry>> {
        let list = self.backends.database.list(Some(self.tenant_id()));
        let entries = call("database.list", self.settings.call_deadline, list).await?;
        Ok(entries.into_iter().next())
    }

    pub(super) async fn database_now(&self) -> Result<chrono::DateTime<chrono::Utc>> {
        let activity = self.backends.database.activity(self.tenant_id());
        Ok(call("database.activity", self.settings.call_deadline, activity).await?.now)
    }

    fn check_enforced(&self, instance: &Instance) -> Result<()> {
        let allowed = &self.settings.allow_unenforced;
        let missing: Vec<_> = instance.unenforced.iter().filter(|g| !allowed.contains(g)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "this machine can't enforce what every tenant is promised; mend it, or allow it by policy",
        )
        .with("unenforced", format!("{missing:?}")))
    }
}
