//! Actions, and the steps that each is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tenant::{DesiredState, TenantStatus};

/// What an operation does to a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes a tenant from nothing.
    Create,
    /// Starts a stopped tenant.
    Start,
    /// Stops a tenant, keeping its data.
    Stop,
    /// Stops and starts a tenant.
    Restart,
    /// Runs a tenant with another image, other limits or another environment; starts a stopped one.
    Update,
    /// Removes a tenant with its data, for good.
    Destroy,
}

/// One step of an action. Each can be run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Makes the image ready and pins it.
    Image,
    /// Makes the schema or database, and the role.
    Database,
    /// Issues credentials, makes the container with them and starts it.
    Container,
    /// Starts the container that is there.
    Start,
    /// Waits until the app answers and holds a session in its database.
    Ready,
    /// Publishes the route and waits until a request through the proxy reaches the app.
    Route,
    /// Says that the tenant is active.
    Active,
    /// Takes the route back.
    Withdraw,
    /// Stops the container.
    Stop,
    /// Removes every container of the tenant.
    RemoveContainer,
    /// Removes the schema or database, and the role.
    RemoveDatabase,
    /// Says that the tenant is gone.
    Tombstone,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Start, Self::Stop, Self::Restart, Self::Update, Self::Destroy];

    /// The steps, in order.
    #[must_use]
    pub const fn steps(self) -> &'static [Step] {
        use Step::{
            Active, Container, Database, Image, Ready, RemoveContainer, RemoveDatabase, Route,
            Start, Stop, Tombstone, Withdraw,
        };
        match self {
            Self::Create => &[Image, Database, Container, Ready, Route, Active],
            Self::Start => &[Start, Ready, Route, Active],
            Self::Stop => &[Withdraw, Stop],
            Self::Restart => &[Stop, Start, Ready, Route, Active],
            Self::Update => &[Image, Container, Ready, Route, Active],
            Self::Destroy => &[Withdraw, RemoveContainer, RemoveDatabase, Tombstone],
        }
    }

    /// The steps that lead to the action's defined end after a step of it failed for good.
    ///
    /// - A failed create leaves nothing.
    /// - A failed start or restart leaves the tenant stopped, with its data.
    /// - A failed update runs the previous spec again (each step with the previous spec).
    /// - Stop and destroy only go forward: they have none.
    #[must_use]
    pub const fn undo_steps(self) -> &'static [Step] {
        use Step::{Container, Ready, RemoveContainer, RemoveDatabase, Route, Stop, Withdraw};
        match self {
            Self::Create => &[Withdraw, RemoveContainer, RemoveDatabase],
            Self::Start | Self::Restart => &[Withdraw, Stop],
            Self::Update => &[Container, Ready, Route],
            Self::Stop | Self::Destroy => &[],
        }
    }

    /// Whether this action has no way back: it is tried until it is done.
    #[must_use]
    pub const fn only_forward(self) -> bool {
        matches!(self, Self::Stop | Self::Destroy)
    }

    /// The status of a tenant while this action works on it, where it differs from the one before.
    #[must_use]
    pub const fn working_status(self) -> Option<TenantStatus> {
        match self {
            Self::Create => Some(TenantStatus::Provisioning),
            Self::Destroy => Some(TenantStatus::Destroying),
            Self::Start | Self::Stop | Self::Restart | Self::Update => None,
        }
    }

    /// The status of a tenant once this action succeeded.
    #[must_use]
    pub const fn end_status(self) -> TenantStatus {
        match self {
            Self::Create | Self::Start | Self::Restart | Self::Update => TenantStatus::Active,
            Self::Stop => TenantStatus::Stopped,
            Self::Destroy => TenantStatus::Destroyed,
        }
    }

    /// What the owner wants from the moment of asking for this action on.
    #[must_use]
    pub const fn desired_state(self) -> DesiredState {
        match self {
            Self::Create | Self::Start | Self::Restart | Self::Update => DesiredState::Running,
            Self::Stop | Self::Destroy => DesiredState::Stopped,
        }
    }

    /// The action's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Update => "update",
            Self::Destroy => "destroy",
        }
    }
}

impl Step {
    /// The step's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Database => "database",
            Self::Container => "container",
            Self::Start => "start",
            Self::Ready => "ready",
            Self::Route => "route",
            Self::Active => "active",
            Self::Withdraw => "withdraw",
            Self::Stop => "stop",
            Self::RemoveContainer => "remove_container",
            Self::RemoveDatabase => "remove_database",
            Self::Tombstone => "tombstone",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
