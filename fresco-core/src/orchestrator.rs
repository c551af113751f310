//! The door to the engine: asks for operations, shows what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, watch};

use crate::app::Isolation;
use crate::backends::{Backends, call};
use crate::database_watch::DatabaseOffence;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{OperationId, TenantId};
use crate::operation::{Actor, Event, NewOperation, Operation, Target};
use crate::prove::{self, IsolationState, Proof};
use crate::reconcile::{self, Reconciliation};
use crate::request::{Accepted, Inventory, Update};
use crate::router::Route;
use crate::routes;
use crate::runtime::{LogLine, LogQuery};
use crate::settings::Settings;
use crate::step::Action;
use crate::store::{OperationPage, OperationQuery, TenantPage, TenantQuery};
use crate::subdomain::Hostname;
use crate::tenant::{Tenant, TenantSpec, TenantStatus};
use crate::unreached::Unreached;
use crate::watch as database;
use crate::worker::{Shop, Workers, check};

/// Creates, changes and destroys tenants.
///
/// Every request is written to the store before it is answered, and from then on it ends, whatever
/// dies on the way. Any number of programs may run an orchestrator on one store. Cheap to clone.
///
/// See the crate's documentation for a whole example.
#[derive(Clone, Debug)]
pub struct Orchestrator {
    shop: Arc<Shop>,
}

/// Builds an [`Orchestrator`].
#[derive(Clone, Debug)]
#[must_use]
pub struct OrchestratorBuilder {
    backends: Backends,
    settings: Settings,
}

impl OrchestratorBuilder {
    /// Changes the settings.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Builds the orchestrator, once the store answers.
    ///
    /// # Errors
    /// `Invalid`, naming every setting that can't be; the store's own error when it can't be used.
    pub async fn build(self) -> Result<Orchestrator> {
        let Self { backends, settings } = self;
        settings.validate()?;
        check(&backends, &settings).await?;
        let (work, proof, unreached) = (Notify::new(), Proof::new(), Unreached::default());
        let stalled = watch::Sender::new(None);
        let shop = Shop { backends, settings, work, proof, unreached, stalled };
        Ok(Orchestrator { shop: Arc::new(shop) })
    }
}

impl Orchestrator {
    /// Begins to build an orchestrator whose tenants live below this domain.
    pub fn builder(backends: Backends, base_domain: Hostname) -> OrchestratorBuilder {
        OrchestratorBuilder { backends, settings: Settings::new(base_domain) }
    }

    /// Starts to work: takes up what is unfinished, also of programs that died, and keeps what
    /// runs as the store says. Without it, an orchestrator only accepts and shows.
    pub fn start(&self) -> Workers {
        Workers::start(&self.shop)
    }

    /// The backends.
    #[must_use]
    pub fn backends(&self) -> &Backends {
        &self.shop.backends
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shop.settings
    }

    /// Asks for a new tenant. Asking again with the same id is asking once.
    ///
    /// # Errors
    /// `Invalid` for a spec or an actor that can't be, `Unsupported` for an isolation that the database does
    /// not have, `Conflict` for a subdomain that is taken or kept for another, `Exhausted` when there is no room
    /// for one more tenant or its owner may not have one, `Unavailable` with the context `isolation` while it is known that tenants are not
    /// kept apart.
    pub async fn deploy(&self, id: TenantId, spec: TenantSpec, actor: Actor) -> Result<Accepted> {
        spec.validate()?;
        actor.validate()?;
        self.check_isolation(spec.isolation)?;
        prove::check(&self.shop)?;
        let target = Target { spec: spec.clone(), image: None };
        let new = self.asked(Action::Create, actor, target).await?;
        let create = self.backends().store.create(id, &spec, &new);
        let (tenant, operation) =
            call("store.create", self.settings().call_deadline, create).await?;
        self.shop.work.notify_one();
        Ok(Accepted { tenant, operation })
    }

    /// Asks to start a tenant.
    ///
    /// # Errors
    /// As [`restart_tenant`](Self::restart_tenant).
    pub async fn start_tenant(&self, id: TenantId, actor: Actor) -> Result<Accepted> {
        self.request(id, actor, Action::Start, Ok).await
    }

    /// Asks to stop a tenant; its data stays.
    ///
    /// # Errors
    /// As [`restart_tenant`](Self::restart_tenant), and `Conflict` for a tenant that was never active: there is
    /// nothing to stop.
    pub async fn stop_tenant(&self, id: TenantId, actor: Actor) -> Result<Accepted> {
        self.request(id, actor, Action::Stop, Ok).await
    }

    /// Asks to restart a tenant. For one whose creation failed this creates it again.
    ///
    /// # Errors
    /// `NotFound` for an unknown or destroyed tenant; `Conflict` while another operation is
    /// unfinished; `Invalid` for an actor that can't be.
    pub async fn restart_tenant(&self, id: TenantId, actor: Actor) -> Result<Accepted> {
        self.request(id, actor, Action::Restart, Ok).await
    }

    /// Asks to run a tenant with something else; a stopped one is started. If it does not come up,
    /// the previous version runs again.
    ///
    /// # Errors
    /// As [`restart_tenant`](Self::restart_tenant), and `Invalid` for what can't be.
    pub async fn update_tenant(
        &self,
        id: TenantId,
        update: Update,
        actor: Actor,
    ) -> Result<Accepted> {
        self.request(id, actor, Action::Update, |mut target| {
            if let Some(image) = update.image {
                target.spec.image = image;
                target.image = None;
            }
            if let Some(environment) = update.environment {
                target.spec.environment = environment;
            }
            if let Some(limits) = update.limits {
                target.spec.limits = limits;
            }
            target.spec.validate()?;
            Ok(target)
        })
        .await
    }

    /// Asks to remove a tenant with all its data, for good. It takes the place of whatever
    /// operation is unfinished.
    ///
    /// # Errors
    /// `NotFound` for an unknown or destroyed tenant; `Invalid` for an actor that can't be.
    pub async fn destroy_tenant(&self, id: TenantId, actor: Actor) -> Result<Accepted> {
        self.request(id, actor, Action::Destroy, Ok).await
    }

    async fn request(
        &self,
        id: TenantId,
        actor: Actor,
        action: Action,
        change: impl FnOnce(Target) -> Result<Target>,
    ) -> Result<Accepted> {
        actor.validate()?;
        let tenant = self.tenant(id).await?;
        if tenant.state.status == TenantStatus::Destroyed {
            return Err(
                Error::new(ErrorKind::NotFound, "this tenant was destroyed").with("tenant", id)
            );
        }
        let action = allowed(&tenant, action)?;
        if action == Action::Create {
            prove::check(&self.shop)?;
        }
        let target = change(Target {
            spec: tenant.spec.clone(),
            // What was never active has no image to keep: look it up by name again.
            image: tenant.state.image.clone().filter(|_| action != Action::Create),
        })?;
        let new = self.asked(action, actor, target).await?;
        let request = self.backends().store.request(id, tenant.generation, &new);
        let operation = call("store.request", self.settings().call_deadline, request).await?;
        self.shop.work.notify_one();
        Ok(Accepted { tenant, operation })
    }

    /// The operation, to be accepted only while there is room for it. Whether the request was accepted
    /// before, the store alone knows: then it takes no room, and is not refused.
    async fn asked(&self, action: Action, actor: Actor, target: Target) -> Result<NewOperation> {
        let mut capacity = self.settings().capacity;
        // What only starts again writes no more than before.
        if matches!(action, Action::Create | Action::Start | Action::Update) {
            capacity.short_of_disk |= self.disk().await?.is_short();
        }
        let quota = self.settings().quota;
        Ok(NewOperation::new(action, actor, target).within(capacity).under(quota))
    }

    fn check_isolation(&self, isolation: Isolation) -> Result<()> {
        if self.backends().database.supports(isolation) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "this database can't keep tenants apart in this way",
        )
        .with("isolation", format!("{isolation:?}").to_lowercase()))
    }

    /// One tenant, tombstone or not.
    ///
    /// # Errors
    /// `NotFound` for an unknown one.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant> {
        let page = self.tenants(&TenantQuery::one(id)).await?;
        page.tenants.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such tenant").with("tenant", id)
        })
    }

    /// Tenants, newest first. Asking for what no tenant can have (a subdomain with a blank in it, an
    /// owner with a NUL) finds none.
    ///
    /// # Errors
    /// The store's own.
    pub async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        let query = query.askable();
        let tenants = self.backends().store.tenants(&query);
        call("store.tenants", self.settings().call_deadline, tenants).await
    }

    /// One operation.
    ///
    /// # Errors
    /// `NotFound` for an unknown one.
    pub async fn operation(&self, id: OperationId) -> Result<Operation> {
        let operation = self.backends().store.operation(id);
        call("store.operation", self.settings().call_deadline, operation).await
    }

    /// The newest operations of a tenant, newest first.
    ///
    /// # Errors
    /// The store's own.
    pub async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        let operations = self.backends().store.operations(tenant, limit);
        call("store.operations", self.settings().call_deadline, operations).await
    }

    /// Operations of all tenants, newest first.
    ///
    /// ```
    /// # use fresco_core::{OperationQuery, OperationStatus, Orchestrator, memory::MemoryWorld};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> fresco_core::Result<()> {
    /// # let backends = MemoryWorld::new().backends();
    /// # let orchestrator = Orchestrator::builder(backends, "example.org".parse().expect("a host"))
    /// #     .build().await?;
    /// let mut failed = OperationQuery::all();
    /// (failed.status, failed.limit) = (Some(OperationStatus::Failed), 20);
    /// let page = orchestrator.history(&failed).await?;
    /// assert_eq!(page.total, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store's own.
    pub async fn history(&self, query: &OperationQuery) -> Result<OperationPage> {
        let history = self.backends().store.history(query);
        call("store.history", self.settings().call_deadline, history).await
    }

    /// The events of an operation from this place in its history on (0: all), as they happen. The
    /// stream ends after [`Event::Done`].
    ///
    /// # Errors
    /// `NotFound` for an unknown one.
    pub async fn watch(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let events = self.backends().store.events(operation, after);
        call("store.events", self.settings().call_deadline, events).await
    }

    /// Waits until an operation is finished, however it ends. Give it a deadline of your own.
    ///
    /// # Errors
    /// `NotFound` for an unknown one; the store's own while it is away.
    pub async fn wait(&self, operation: OperationId) -> Result<Operation> {
        let mut events = self.watch(operation, 0).await?;
        while let Some(event) = events.next().await {
            if let Event::Done { operation, .. } = event? {
                return Ok(*operation);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the events ended before the operation did"))
    }

    /// The tenant's log.
    ///
    /// # Errors
    /// `NotFound` for an unknown tenant, or one without a container.
    pub async fn logs(
        &self,
        id: TenantId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let container = self.tenant(id).await?.state.container.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this tenant has no container, so it has no log")
        })?;
        let logs = self.backends().runtime.logs(&container.id, query);
        call("runtime.logs", self.settings().call_deadline, logs).await
    }

    /// The address of a tenant, for people.
    #[must_use]
    pub fn url(&self, tenant: &Tenant) -> String {
        let host = self.settings().base_domain.join(&tenant.spec.subdomain);
        let route = Route::new(tenant.id, tenant.generation, host, tenant.spec.app.port);
        self.backends().router.plan(&route).url
    }

    /// What is really there of a tenant, whatever the store says.
    ///
    /// # Errors
    /// The backends' own.
    pub async fn inventory(&self, id: TenantId) -> Result<Inventory> {
        let (backends, deadline) = (self.backends(), self.settings().call_deadline);
        let containers = backends.runtime.list(Some(id));
        let databases = backends.database.list(Some(id));
        let mut routes = call("router.list", deadline, backends.router.list()).await?;
        routes.retain(|route| route.tenant == id);
        Ok(Inventory {
            containers: call("runtime.list", deadline, containers).await?,
            databases: call("database.list", deadline, databases).await?,
            routes,
        })
    }

    /// Whether tenants are kept apart, as the workers of this program last saw it; `None` when the
    /// runtime can't tell.
    #[must_use]
    pub fn isolation(&self) -> Option<IsolationState> {
        self.backends().runtime_isolation.as_ref().map(|_| self.shop.proof.state())
    }

    /// For how long the store has refused to give work to this program's workers; `None` while it gives
    /// some, or has none. What is accepted meanwhile waits. Why is in the log.
    #[must_use]
    pub fn stalled(&self) -> Option<Duration> {
        self.shop.stalled.borrow().map(|since| since.elapsed())
    }

    /// Tells the proxy that a tenant's gate was opened: from then on it asks nobody. Without this call
    /// the reconciler does so in time. A tenant that does not run is told of when it starts.
    ///
    /// # Errors
    /// `NotFound` for an unknown tenant; the backends' own.
    pub async fn publish_opened_gate(&self, id: TenantId) -> Result<()> {
        let tenant = self.tenant(id).await?;
        let list = self.backends().runtime.list(Some(id));
        let instances = call("runtime.list", self.settings().call_deadline, list).await?;
        match instances.iter().find(|instance| reconcile::is_own(&tenant, instance)) {
            Some(own) => routes::publish_if_opened(&self.shop, &tenant, own).await,
            None => Ok(()),
        }
    }

    /// Looks now at what tenants do to the database that they share, and stops those that are past
    /// a limit. It tells what was found; without a database that can be watched, nothing.
    ///
    /// # Errors
    /// The backends' own.
    pub async fn watch_database(&self) -> Result<Vec<DatabaseOffence>> {
        database::once(&self.shop).await
    }

    /// Compares what runs with the store now, and mends the difference.
    ///
    /// # Errors
    /// The backends' own.
    pub async fn reconcile(&self) -> Result<Reconciliation> {
        reconcile::once(&self.shop).await
    }
}

/// The action that this wish leads to, as the tenant stands.
fn allowed(tenant: &Tenant, wish: Action) -> Result<Action> {
    if tenant.state.first_active_at.is_some() {
        return Ok(wish);
    }
    match wish {
        Action::Destroy => Ok(wish),
        Action::Stop => Err(Error::new(
            ErrorKind::Conflict,
            "this tenant was never active, so there is nothing to stop; destroy it, or restart it",
        )),
        // Its creation failed and left nothing: whatever shall run must be created.
        _ => Ok(Action::Create),
    }
}
