//! Running a case: setting its scene, striking, letting another program go on.

use std::time::Duration;

use super::end::End;
use super::{Case, Scene, succeeded, words};
use crate::backends::Backends;
use crate::fault::{Call, FaultPlan, wrap};
use crate::ids::{OwnerId, TenantId};
use crate::operation::Actor;
use crate::orchestrator::Orchestrator;
use crate::request::Accepted;
use crate::settings::Settings;
use crate::step::Action;
use crate::tenant::{Tenant, TenantSpec};

/// Runs a case and looks at what it leaves. The answer is the trace of its calls.
///
/// # Errors
/// What is not as it is defined to be, in words.
pub async fn run(scene: &dyn Scene, case: &Case) -> Result<Vec<Call>, String> {
    match tokio::time::timeout(scene.patience(), try_run(scene, case)).await {
        Ok(end) => end,
        Err(_) => Err(format!("it did not end within {:?}", scene.patience())),
    }
}

async fn try_run(scene: &dyn Scene, case: &Case) -> Result<Vec<Call>, String> {
    let plain = orchestrator(scene, scene.backends(), false).await?;
    let set = set_scene(scene, &plain, case.action).await?;
    let plan = FaultPlan::with(case.faults.iter().copied());
    let faulty = orchestrator(scene, wrap(&scene.backends(), &plan), case.hangs()).await?;

    // The request itself goes through the plain orchestrator: an unanswered request is the
    // caller's to repeat, and says nothing of the engine.
    let accepted = request(scene, &plain, case.action, &set).await?;
    let workers = faulty.start();
    let crashed = tokio::select! {
        () = plan.crashed() => true,
        operation = plain.wait(accepted.operation.id) => {
            operation.map_err(words)?;
            false
        }
    };
    let trace = plan.trace();
    if crashed {
        // As a kill would: no hand-back, nothing said.
        drop(workers);
        let next = FaultPlan::with(case.then);
        let others = orchestrator(scene, wrap(&scene.backends(), &next), false).await?.start();
        plain.wait(accepted.operation.id).await.map_err(words)?;
        others.shutdown().await;
    } else {
        workers.shutdown().await;
    }
    // A start or restart that failed is tried again by the comparison: that is not what such a case
    // looks at.
    if plan.come_late().await && case.faults.len() == 1 {
        mend(&plain, set.id).await?;
    }
    if plan.struck() != case.faults.len() {
        return Err(format!("only {} of its faults struck", plan.struck()));
    }
    let end = End { scene, orchestrator: &plain, case, before: &set };
    end.check(accepted).await?;
    Ok(trace)
}

/// Lets the platform compare and repair: an effect that came late can undo what was done since.
async fn mend(plain: &Orchestrator, id: TenantId) -> Result<(), String> {
    plain.reconcile().await.map_err(words)?;
    let workers = plain.start();
    for operation in plain.operations(id, 1).await.map_err(words)? {
        plain.wait(operation.id).await.map_err(words)?;
    }
    workers.shutdown().await;
    Ok(())
}

async fn orchestrator(
    scene: &dyn Scene,
    backends: Backends,
    hangs: bool,
) -> Result<Orchestrator, String> {
    let settings = |settings: &mut Settings| {
        settings.workers = 1;
        settings.reconcile_interval = None;
        settings.shutdown_grace = Duration::ZERO;
        scene.settings(settings);
        if hangs {
            scene.short_deadlines(settings);
        }
    };
    let builder = Orchestrator::builder(backends, scene.base_domain()).settings(settings);
    builder.build().await.map_err(words)
}

/// The tenant that a case works on, and its data before.
pub(super) struct Set {
    pub(super) id: TenantId,
    pub(super) tenant: Option<Tenant>,
    pub(super) data: Option<String>,
}

async fn set_scene(scene: &dyn Scene, plain: &Orchestrator, action: Action) -> Result<Set, String> {
    let id = TenantId::new();
    if action == Action::Create {
        return Ok(Set { id, tenant: None, data: None });
    }
    let workers = plain.start();
    let created = plain.deploy(id, spec(scene, id)?, Actor::System).await.map_err(words)?;
    succeeded(&plain.wait(created.operation.id).await.map_err(words)?)?;
    let tenant = plain.tenant(id).await.map_err(words)?;
    scene.put_data(&tenant).await;
    let data = scene.data(&tenant).await;
    if data.is_none() {
        return Err("the data of a running tenant can't be read".into());
    }
    if action == Action::Start {
        let stop = plain.stop_tenant(id, Actor::System).await.map_err(words)?;
        succeeded(&plain.wait(stop.operation.id).await.map_err(words)?)?;
    }
    workers.shutdown().await;
    Ok(Set { id, tenant: Some(plain.tenant(id).await.map_err(words)?), data })
}

fn spec(scene: &dyn Scene, id: TenantId) -> Result<TenantSpec, String> {
    let name = format!("t{}", id.as_uuid().simple());
    let subdomain = name.parse().map_err(|e: crate::SubdomainError| e.to_string())?;
    Ok(scene.spec(OwnerId::new("matrix"), subdomain))
}

async fn request(
    scene: &dyn Scene,
    plain: &Orchestrator,
    action: Action,
    set: &Set,
) -> Result<Accepted, String> {
    // A person: what the platform asks for by itself counts as a repair, after which it pauses.
    let (id, actor) = (set.id, Actor::User("matrix".into()));
    let accepted = match action {
        Action::Create => plain.deploy(id, spec(scene, id)?, actor).await,
        Action::Start => plain.start_tenant(id, actor).await,
        Action::Stop => plain.stop_tenant(id, actor).await,
        Action::Restart => plain.restart_tenant(id, actor).await,
        Action::Update => plain.update_tenant(id, scene.update(), actor).await,
        Action::Destroy => plain.destroy_tenant(id, actor).await,
    };
    accepted.map_err(words)
}
