//! What each step does. Before its effect a step may store what it saw (`intend`); its effect
//! (`perform`) can be repeated at any time.

mod build;
mod remove;
mod serve;
mod start;

use futures_util::StreamExt;

use crate::backends::call;
use crate::database_watch::DatabaseOffence;
use crate::error::Result;
use crate::ids::TenantId;
use crate::instance::Instance;
use crate::router::Route;
use crate::routes;
use crate::run::{Detail, Run};
use crate::runtime::LogQuery;
use crate::step::Step;

/// Log lines that a failure keeps.
const LOG_TAIL: u32 = 20;
/// Characters that it keeps of each.
const LOG_LINE: usize = 1_000;

/// Takes down what the step sees before its first effect. True when there is something to store.
pub(crate) async fn intend(run: &mut Run<'_>, step: Step) -> Result<bool> {
    match step {
        Step::Database => build::intend_database(run).await,
        Step::Container => build::intend_container(run).await,
        Step::Start => start::intend(run).await,
        _ => Ok(false),
    }
}

/// Brings about what the step is for.
pub(crate) async fn perform(run: &mut Run<'_>, step: Step) -> Result<Detail> {
    match step {
        Step::Image => build::image(run).await,
        Step::Database => build::database(run).await,
        Step::Container => build::container(run).await,
        Step::Start => start::perform(run).await,
        Step::Ready => serve::ready(run).await,
        Step::Route => serve::route(run).await,
        Step::Withdraw => remove::withdraw(run).await,
        Step::Stop => remove::stop(run).await,
        Step::RemoveContainer => remove::remove_container(run).await,
        Step::RemoveDatabase => remove::remove_database(run).await,
        // These two only say what is: the write that ends the operation makes it so.
        Step::Active | Step::Tombstone => Ok(None),
    }
}

/// The last lines of the app's log, or none when they can't be read: they only explain a failure
/// that is already known.
pub(crate) async fn log_tail(run: &Run<'_>) -> Vec<String> {
    let Some(container) = &run.stage.instance else { return Vec::new() };
    let deadline = run.settings.call_deadline;
    let read = async {
        let lines = run.backends.runtime.logs(&container.id, &LogQuery::last(LOG_TAIL)).await?;
        let texts =
            lines.filter_map(|line| std::future::ready(line.ok().map(|line| cut(line.text))));
        Ok(texts.collect().await)
    };
    call("runtime.logs", deadline, read).await.unwrap_or_default()
}

/// The beginning of a line: what is stored with every event must stay small.
fn cut(mut line: String) -> String {
    if let Some((end, _)) = line.char_indices().nth(LOG_LINE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

impl Run<'_> {
    fn tenant_id(&self) -> TenantId {
        self.lease.tenant.id
    }

    /// The tenant's route to a container of this generation, with its gate as it stands now.
    async fn route_to(&self, generation: crate::ids::Generation) -> Result<Route> {
        let was_active = self.tenant.first_active_at.is_some();
        let spec = &self.target().spec;
        routes::to(self.backends, self.settings, self.tenant_id(), spec, was_active, generation)
            .await
    }

    /// What the tenant's role is barred for, if it is.
    async fn offence(&self) -> Result<Option<DatabaseOffence>> {
        let Some(watch) = &self.backends.database_watch else { return Ok(None) };
        let barred = watch.barred(Some(self.tenant_id()));
        let barred = call("database_watch.barred", self.settings.call_deadline, barred).await?;
        Ok(barred.into_iter().next())
    }

    async fn instances(&self) -> Result<Vec<Instance>> {
        let list = self.backends.runtime.list(Some(self.tenant_id()));
        call("runtime.list", self.settings.call_deadline, list).await
    }

    /// Removes every container of the tenant but this one.
    async fn remove_instances(&self, keep: Option<&crate::ids::InstanceId>) -> Result<usize> {
        let instances = self.instances().await?;
        let surplus: Vec<_> = instances.iter().filter(|i| Some(&i.id) != keep).collect();
        for instance in &surplus {
            let remove = self.backends.runtime.remove(&instance.id);
            call("runtime.remove", self.settings.call_deadline, remove).await?;
        }
        Ok(surplus.len())
    }
}
