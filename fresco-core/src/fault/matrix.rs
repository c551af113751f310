//! Every action × every call of every step × every fault: each case ends as it is defined to.
//!
//! A case sets its scene (a tenant that the action can work on), runs the action with one fault,
//! ends the program where the fault is a crash and lets another one go on, and then looks at what
//! is left: the operation's end, the culprit that it names, the inventory, the data.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{Call, Fault, FaultPlan, Traced, wrap};
use crate::backends::Backends;
use crate::error::ErrorKind;
use crate::ids::{OwnerId, TenantId};
use crate::operation::{Actor, Operation, OperationStatus, StepStatus};
use crate::orchestrator::{Accepted, Orchestrator, Update};
use crate::router::{Route, RouteState};
use crate::settings::Settings;
use crate::stage::Direction;
use crate::step::{Action, Step};
use crate::subdomain::{Hostname, Subdomain};
use crate::tenant::{DesiredState, Tenant, TenantSpec, TenantStatus};

/// A place where cases can be run: backends, and a way to look at tenants' data.
#[async_trait]
pub trait Scene: fmt::Debug + Send + Sync {
    /// The backends, without faults.
    fn backends(&self) -> Backends;

    /// The base domain that the router serves.
    fn base_domain(&self) -> Hostname;

    /// Makes the settings fit: deadlines so short that a hanging call does not hold up a case, and
    /// so long that an ordinary one passes.
    fn settings(&self, settings: &mut Settings);

    /// A tenant to create.
    fn spec(&self, owner: OwnerId, subdomain: Subdomain) -> TenantSpec;

    /// An update that works.
    fn update(&self) -> Update;

    /// Puts some data into the tenant's database, as its app would.
    async fn put_data(&self, tenant: &Tenant);

    /// All of the tenant's data, in any form that can be compared; `None` if it can't be read.
    async fn data(&self, tenant: &Tenant) -> Option<String>;

    /// How long a case may take before it is called hanging.
    fn patience(&self) -> Duration;
}

/// One case: an action, and the faults that strike it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The action.
    pub action: Action,
    /// Where the last fault strikes: its direction and step.
    pub step: Option<(Direction, Step)>,
    /// What strikes.
    pub faults: Vec<(Call, Fault)>,
    /// What strikes the program that goes on after a crash, if it comes there.
    pub then: Option<(Call, Fault)>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        match self.step {
            Some((Direction::Undo, step)) => write!(f, " / undo {step}")?,
            Some((Direction::Forward, step)) => write!(f, " / {step}")?,
            None => f.write_str(" / (before the first step)")?,
        }
        for (call, fault) in &self.faults {
            write!(f, " / {call} {fault}")?;
        }
        if let Some((call, fault)) = self.then {
            write!(f, " / then {call} {fault}")?;
        }
        Ok(())
    }
}

/// The faults that can strike a call: a store loses its worker, or its worker loses it; any other
/// backend may in addition fail for good.
fn faults(call: &Call) -> Vec<Fault> {
    use ErrorKind::{Denied, Unavailable};
    let mut faults = vec![
        Fault::FailBefore(Unavailable),
        Fault::FailAfter(Unavailable),
        Fault::Hang,
        Fault::Repeat,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];
    if CHANGES.contains(&call.method) {
        faults.push(Fault::CrashLate);
    }
    if !call.method.starts_with("store.") {
        faults.extend([Fault::FailBefore(Denied), Fault::FailAfter(Denied)]);
    }
    faults
}

/// The calls that change something, and so may come late.
const CHANGES: [&str; 11] = [
    "runtime.ensure",
    "runtime.start",
    "runtime.stop",
    "runtime.remove",
    "database.ensure",
    "database.issue",
    "database.remove",
    "router.publish",
    "router.withdraw",
    "store.record",
    "store.release",
];

/// All cases of all actions, found by running each once without a fault, and once more for each
/// way back.
///
/// # Panics
/// When an action fails without a fault, or does not walk all its steps.
pub async fn cases(scene: &dyn Scene) -> Vec<Case> {
    let mut all = Vec::new();
    for action in Action::ALL {
        let trace = run(scene, &Case { action, step: None, faults: vec![], then: None }).await;
        let trace = trace.unwrap_or_else(|why| broken(&format!("{action} without a fault: {why}")));
        for step in action.steps() {
            let walked = trace.iter().any(|t| t.step == Some((Direction::Forward, *step)));
            if !walked {
                broken(&format!("{action} never came to its step {step}"));
            }
        }
        all.extend(expand(action, &[], &trace));
        all.extend(crash_and_fail(action, &trace));
        // The way back begins with a failure for good as late as possible, so that there is most
        // to take back; then each call of the way back is struck, too.
        let Some(last) = last_call(action, &trace) else { continue };
        let first = (last, Fault::FailBefore(ErrorKind::Denied));
        let case = Case { action, step: None, faults: vec![first], then: None };
        let trace = run(scene, &case).await;
        let trace = trace.unwrap_or_else(|why| broken(&format!("{action} taken back: {why}")));
        let back: Vec<_> =
            trace.into_iter().filter(|t| matches!(t.step, Some((Direction::Undo, _)))).collect();
        for step in action.undo_steps() {
            if !back.iter().any(|t| t.step == Some((Direction::Undo, *step))) {
                broken(&format!("{action} never took back its step {step}"));
            }
        }
        all.extend(
            expand(action, &[first], &back).filter(|case| !fails_for_good(case.faults[1].1)),
        );
    }
    all
}

#[allow(clippy::panic, reason = "a harness for tests: the panic is the finding")]
fn broken(what: &str) -> ! {
    panic!("the fault matrix can't be made: {what}")
}

fn expand<'a>(
    action: Action,
    before: &'a [(Call, Fault)],
    trace: &'a [Traced],
) -> impl Iterator<Item = Case> + 'a {
    let mut seen: BTreeMap<(&'static str, Option<String>), u32> = BTreeMap::new();
    let places = trace.iter().filter(move |traced| {
        // What is polled is struck at its first two calls in each step: the others are alike.
        let key = (traced.call.method, traced.step.map(|step| format!("{step:?}")));
        let times = seen.entry(key).or_default();
        *times += 1;
        *times <= 2 && is_work(traced)
    });
    places.flat_map(move |traced| {
        faults(&traced.call).into_iter().map(move |fault| Case {
            action,
            step: traced.step,
            faults: before.iter().copied().chain([(traced.call, fault)]).collect(),
            then: None,
        })
    })
}

/// A crash at any call, and then a failure for good as late as possible: what was made before the
/// crash must be known to have been made by this operation.
fn crash_and_fail(action: Action, trace: &[Traced]) -> Vec<Case> {
    let Some(last) = last_call(action, trace) else { return Vec::new() };
    let then = (Call { method: last.method, nth: 0 }, Fault::FailBefore(ErrorKind::Denied));
    expand(action, &[], trace)
        .filter(|case| matches!(case.faults[0].1, Fault::CrashBefore | Fault::CrashAfter))
        .map(|case| Case { then: Some(then), ..case })
        .collect()
}

/// Whether this is a call of the operation's own work: not the request itself, not a look for more
/// work after it, and not the renewal, whose moment is the clock's.
fn is_work(traced: &Traced) -> bool {
    match traced.call.method {
        "store.lease" => traced.call.nth == 0,
        "store.record" | "store.release" | "store.announce" => true,
        method => !method.starts_with("store.") && traced.step.is_some(),
    }
}

fn last_call(action: Action, trace: &[Traced]) -> Option<Call> {
    if action.only_forward() {
        return None;
    }
    let forward = |t: &&Traced| matches!(t.step, Some((Direction::Forward, _)));
    let last = trace.iter().filter(forward).rfind(|t| !t.call.method.starts_with("store."));
    last.map(|t| t.call)
}

fn fails_for_good(fault: Fault) -> bool {
    matches!(fault, Fault::FailBefore(kind) | Fault::FailAfter(kind) if kind == ErrorKind::Denied)
}

/// How many cases there are of each action and step.
#[must_use]
pub fn summary(cases: &[Case]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for case in cases {
        let step = match case.step {
            Some((Direction::Undo, step)) => format!("undo {step}"),
            Some((Direction::Forward, step)) => step.to_string(),
            None => "(before the first step)".into(),
        };
        *counts.entry(format!("{} / {step}", case.action)).or_default() += 1;
    }
    counts
}

/// Runs a case and looks at what it leaves. The answer is the trace of its calls.
///
/// # Errors
/// What is not as it is defined to be, in words.
pub async fn run(scene: &dyn Scene, case: &Case) -> Result<Vec<Traced>, String> {
    match tokio::time::timeout(scene.patience(), try_run(scene, case)).await {
        Ok(end) => end,
        Err(_) => Err(format!("it did not end within {:?}", scene.patience())),
    }
}

async fn try_run(scene: &dyn Scene, case: &Case) -> Result<Vec<Traced>, String> {
    let plain = orchestrator(scene, scene.backends()).await?;
    let set = set_scene(scene, &plain, case.action).await?;
    let plan = FaultPlan::with(case.faults.iter().copied());
    let faulty = orchestrator(scene, wrap(&scene.backends(), &plan)).await?;

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
        let others = orchestrator(scene, wrap(&scene.backends(), &next)).await?.start();
        plain.wait(accepted.operation.id).await.map_err(words)?;
        others.shutdown().await;
    } else {
        workers.shutdown().await;
    }
    plan.come_late().await;
    mend(&plain, set.id).await?;
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

async fn orchestrator(scene: &dyn Scene, backends: Backends) -> Result<Orchestrator, String> {
    let settings = |settings: &mut Settings| {
        settings.workers = 1;
        settings.reconcile_interval = None;
        settings.shutdown_grace = Duration::ZERO;
        scene.settings(settings);
    };
    let builder = Orchestrator::builder(backends, scene.base_domain()).settings(settings);
    builder.build().await.map_err(words)
}

fn words(error: crate::Error) -> String {
    error.chain()
}

/// The tenant that a case works on, and its data before.
struct Set {
    id: TenantId,
    tenant: Option<Tenant>,
    data: Option<String>,
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
    let (id, actor) = (set.id, Actor::System);
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

fn succeeded(operation: &Operation) -> Result<(), String> {
    match operation.status {
        OperationStatus::Success => Ok(()),
        status => {
            Err(format!("{} ended {}: {:?}", operation.action, status.as_str(), operation.error))
        }
    }
}

/// What is left of a case.
struct End<'a> {
    scene: &'a dyn Scene,
    orchestrator: &'a Orchestrator,
    case: &'a Case,
    before: &'a Set,
}

impl End<'_> {
    async fn check(&self, accepted: Accepted) -> Result<(), String> {
        let operation = self.orchestrator.operation(accepted.operation.id).await.map_err(words)?;
        let expected_culprit = match (self.case.faults.as_slice(), self.case.then) {
            // Whether the program that goes on comes to the fault depends on where the first died.
            (_, Some(_)) => failed_step(&operation),
            ([(_, fault)], None) if fails_for_good(*fault) => {
                self.case.step.map(|(_, step)| step).or_else(|| failed_step(&operation))
            }
            ([_, _, ..], None) => failed_step(&operation),
            _ => None,
        };
        match expected_culprit.filter(|_| !self.case.action.only_forward()) {
            Some(culprit) => self.check_failed(&operation, culprit).await?,
            None => self.check_succeeded(&operation).await?,
        }
        // Whatever happened, the tenant can be removed without a trace.
        self.leave_nothing().await
    }

    async fn check_succeeded(&self, operation: &Operation) -> Result<(), String> {
        succeeded(operation)?;
        let unfinished = operation.steps.iter().find(|s| s.status != StepStatus::Done);
        if let Some(step) = unfinished {
            return Err(format!("it succeeded, but its step {} is {:?}", step.name, step.status));
        }
        let tenant = self.tenant().await?;
        match self.case.action {
            Action::Destroy => {
                require(
                    tenant.state.status == TenantStatus::Destroyed,
                    "the tenant is not destroyed",
                )?;
                self.nothing_is_left().await
            }
            Action::Stop => {
                require(tenant.state.status == TenantStatus::Stopped, "the tenant is not stopped")?;
                self.is_down(&tenant).await?;
                self.data_is_kept(&tenant).await
            }
            _ => {
                require(tenant.state.error.is_none(), "an error is shown although all is well")?;
                self.is_up(&tenant).await?;
                self.data_is_kept(&tenant).await
            }
        }
    }

    async fn check_failed(&self, operation: &Operation, culprit: Step) -> Result<(), String> {
        require(
            operation.status == OperationStatus::Failed,
            &format!("it ended {} instead of failed", operation.status.as_str()),
        )?;
        let named = operation.error.as_ref().and_then(|e| e.step);
        require(
            named == Some(culprit),
            &format!("it names {named:?} as the culprit instead of {culprit}"),
        )?;
        let failed_undo = operation.steps.iter().find(|s| s.undo && s.status != StepStatus::Done);
        if let Some(step) = failed_undo {
            return Err(format!("its undo of {} is {:?}", step.name, step.status));
        }
        let tenant = self.tenant().await?;
        require(tenant.state.error.is_some(), "the tenant shows no error")?;
        match self.case.action {
            Action::Create => {
                require(tenant.state.status == TenantStatus::Error, "the tenant is not in error")?;
                self.nothing_is_left().await
            }
            Action::Update => {
                let before = self.before.tenant.as_ref();
                require(
                    tenant.state.image == before.and_then(|t| t.state.image.clone()),
                    "another image",
                )?;
                require(Some(&tenant.spec) == before.map(|t| &t.spec), "another spec")?;
                self.is_up(&tenant).await?;
                self.data_is_kept(&tenant).await
            }
            _ => {
                require(tenant.state.status == TenantStatus::Error, "the tenant is not in error")?;
                self.is_down(&tenant).await?;
                self.data_is_kept(&tenant).await
            }
        }
    }

    async fn tenant(&self) -> Result<Tenant, String> {
        self.orchestrator.tenant(self.before.id).await.map_err(words)
    }

    async fn is_up(&self, tenant: &Tenant) -> Result<(), String> {
        let status = tenant.state.status;
        require(status == TenantStatus::Active, &format!("the tenant is {status}"))?;
        require(tenant.state.desired == DesiredState::Running, "it shall not run")?;
        let times = (tenant.state.first_active_at, tenant.state.last_deployed_at);
        require(
            matches!(times, (Some(first), Some(last)) if first <= last),
            &format!("{times:?}"),
        )?;
        let inventory = self.orchestrator.inventory(tenant.id).await.map_err(words)?;
        let [container] = inventory.containers.as_slice() else {
            return Err(format!("it has {} containers", inventory.containers.len()));
        };
        let known = tenant.state.container.as_ref();
        require(known.is_some_and(|c| c.id == container.id), "the store names another container")?;
        require(container.is_running(), "its container does not run")?;
        require(
            tenant.state.image.as_ref() == Some(&container.image),
            "its container runs another image than the store names",
        )?;
        let [database] = inventory.databases.as_slice() else {
            return Err("it has no database".into());
        };
        require(
            database.credential == Some(container.credential),
            "its container holds other credentials than its database",
        )?;
        let state = self.route(tenant, container.generation).await?;
        require(state == RouteState::Live, &format!("its route is {state:?}"))
    }

    async fn is_down(&self, tenant: &Tenant) -> Result<(), String> {
        let inventory = self.orchestrator.inventory(tenant.id).await.map_err(words)?;
        require(inventory.containers.len() <= 1, "it has more than one container")?;
        for container in &inventory.containers {
            require(!container.is_running(), "its container runs")?;
            let state = self.route(tenant, container.generation).await?;
            require(state != RouteState::Live, "its route still leads to it")?;
        }
        Ok(())
    }

    async fn route(
        &self,
        tenant: &Tenant,
        generation: crate::Generation,
    ) -> Result<RouteState, String> {
        let app = &tenant.spec.app;
        let host = self.scene.base_domain().join(&tenant.spec.subdomain);
        let route = Route::new(tenant.id, generation, host, app.port)
            .probed_at(&app.health_path, app.health_status);
        self.orchestrator.backends().router.probe(&route).await.map_err(words)
    }

    async fn data_is_kept(&self, tenant: &Tenant) -> Result<(), String> {
        if self.before.data.is_none() {
            return Ok(());
        }
        let data = self.scene.data(tenant).await;
        require(
            data == self.before.data,
            &format!("its data was {:?} and is {data:?}", self.before.data),
        )
    }

    async fn nothing_is_left(&self) -> Result<(), String> {
        let inventory = self.orchestrator.inventory(self.before.id).await.map_err(words)?;
        require(inventory.is_empty(), &format!("something is left: {inventory:?}"))
    }

    async fn leave_nothing(&self) -> Result<(), String> {
        if self.tenant().await?.state.status == TenantStatus::Destroyed {
            return Ok(());
        }
        let workers = self.orchestrator.start();
        let destroy = self.orchestrator.destroy_tenant(self.before.id, Actor::System).await;
        let destroy = destroy.map_err(words)?.operation.id;
        succeeded(&self.orchestrator.wait(destroy).await.map_err(words)?)?;
        workers.shutdown().await;
        self.nothing_is_left().await
    }
}

fn failed_step(operation: &Operation) -> Option<Step> {
    operation.steps.iter().find(|s| !s.undo && s.status == StepStatus::Failed).map(|s| s.name)
}

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
