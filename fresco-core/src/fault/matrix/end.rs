//! Looking at what a case leaves.

use super::run::Set;
use super::{Case, Scene, failed_step, fails_for_good, succeeded, words};
use crate::operation::{Actor, Operation, OperationStatus, StepStatus};
use crate::orchestrator::Orchestrator;
use crate::request::Accepted;
use crate::router::{Route, RouteState};
use crate::step::{Action, Step};
use crate::tenant::{DesiredState, Tenant, TenantStatus};

/// What is left of a case.
pub(super) struct End<'a> {
    pub(super) scene: &'a dyn Scene,
    pub(super) orchestrator: &'a Orchestrator,
    pub(super) case: &'a Case,
    pub(super) before: &'a Set,
}

impl End<'_> {
    pub(super) async fn check(&self, accepted: Accepted) -> Result<(), String> {
        let operation = self.orchestrator.operation(accepted.operation.id).await.map_err(words)?;
        let expected_culprit = match (self.case.faults.as_slice(), self.case.then) {
            // Whether the program that goes on comes to the fault depends on where the first died.
            (_, Some(_)) => failed_step(&operation),
            ([(_, fault)], None) if fails_for_good(*fault) => {
                self.case.place().map(|(_, step)| step).or_else(|| failed_step(&operation))
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

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
