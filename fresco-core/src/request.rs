//! What an orchestrator is asked for, and what it answers.

use std::collections::BTreeMap;
use std::fmt;

use crate::database::DatabaseEntry;
use crate::environment::{EnvName, EnvValue};
use crate::image::ImageRef;
use crate::instance::Instance;
use crate::operation::Operation;
use crate::router::RouteEntry;
use crate::tenant::{Limits, Tenant};

/// A request that was accepted: it will end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The tenant as it was when the request was accepted.
    pub tenant: Tenant,
    /// The operation.
    pub operation: Operation,
}

/// What an update changes; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// The image. Named again, even if it is the same, it is looked up again.
    pub image: Option<ImageRef>,
    /// The owner's variables, all of them.
    pub environment: Option<BTreeMap<EnvName, EnvValue>>,
    /// The limits.
    pub limits: Option<Limits>,
}

impl Update {
    /// An update to another image.
    #[must_use]
    pub fn image(image: ImageRef) -> Self {
        Self { image: Some(image), ..Self::default() }
    }

    /// The same update with other limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The same update with these variables of the owner, in place of all before.
    #[must_use]
    pub fn with_environment(mut self, environment: BTreeMap<EnvName, EnvValue>) -> Self {
        self.environment = Some(environment);
        self
    }
}

/// What is really there of a tenant, whatever the store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// Its containers.
    pub containers: Vec<Instance>,
    /// Its schema or database, and its role.
    pub databases: Vec<DatabaseEntry>,
    /// Its routes.
    pub routes: Vec<RouteEntry>,
}

impl Inventory {
    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.databases.is_empty() && self.routes.is_empty()
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storages = self.databases.iter().filter(|d| d.storage.is_some()).count();
        let roles = self.databases.iter().filter(|d| d.role).count();
        write!(
            f,
            "containers: {}, schemas or databases: {storages}, roles: {roles}, routes: {}",
            self.containers.len(),
            self.routes.len()
        )
    }
}
