//! Every action × every call of every step × every fault: each case ends as it is defined to.
//!
//! A case sets its scene (a tenant that the action can work on), runs the action with one fault,
//! ends the program where the fault is a crash and lets another one go on, and then looks at what
//! is left: the operation's end, the culprit that it names, the inventory, the data.

mod cases;
mod end;
mod run;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{Call, Fault};
use crate::backends::Backends;
use crate::error::ErrorKind;
use crate::ids::OwnerId;
use crate::operation::{Operation, OperationStatus, StepStatus};
use crate::request::Update;
use crate::settings::Settings;
use crate::stage::Direction;
use crate::step::{Action, Step};
use crate::subdomain::{Hostname, Subdomain};
use crate::tenant::{Tenant, TenantSpec};

pub use cases::{cases, summary};
pub use run::run;

/// A place where cases can be run: backends, and a way to look at tenants' data.
#[async_trait]
pub trait Scene: fmt::Debug + Send + Sync {
    /// The backends, without faults.
    fn backends(&self) -> Backends;

    /// The base domain that the router serves.
    fn base_domain(&self) -> Hostname;

    /// Makes the settings fit.
    fn settings(&self, settings: &mut Settings);

    /// Makes deadlines so short that a hanging call does not hold up a case, and so long that an
    /// ordinary one passes. Only for whom a call hangs: a busy machine may miss them now and then.
    fn short_deadlines(&self, settings: &mut Settings);

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
    /// What strikes.
    pub faults: Vec<(Call, Fault)>,
    /// What strikes the program that goes on after a crash, if it comes there.
    pub then: Option<(Call, Fault)>,
}

impl Case {
    /// Where the last fault strikes: its direction and step.
    #[must_use]
    pub fn place(&self) -> Option<(Direction, Step)> {
        self.faults.last().and_then(|(call, _)| call.step)
    }

    fn hangs(&self) -> bool {
        self.faults.iter().any(|(_, fault)| *fault == Fault::Hang)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        for (call, fault) in &self.faults {
            write!(f, " / {call} {fault}")?;
        }
        if let Some((call, fault)) = self.then {
            write!(f, " / then {call} {fault}")?;
        }
        Ok(())
    }
}

fn fails_for_good(fault: Fault) -> bool {
    matches!(fault, Fault::FailBefore(kind) | Fault::FailAfter(kind) if kind == ErrorKind::Denied)
}

fn failed_step(operation: &Operation) -> Option<Step> {
    operation.steps.iter().find(|s| !s.undo && s.status == StepStatus::Failed).map(|s| s.name)
}

fn succeeded(operation: &Operation) -> Result<(), String> {
    match operation.status {
        OperationStatus::Success => Ok(()),
        status => {
            Err(format!("{} ended {}: {:?}", operation.action, status.as_str(), operation.error))
        }
    }
}

fn words(error: crate::Error) -> String {
    error.chain()
}
