//! A tenant: what was asked for ([`TenantSpec`]) and what is ([`TenantState`]).

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::app::{AppProfile, Isolation};
use crate::environment::{EnvName, EnvValue};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CredentialId, Generation, ImageId, InstanceId, OwnerId, TenantId};
use crate::image::ImageRef;
use crate::operation::Failure;
use crate::step::Action;
use crate::subdomain::Subdomain;

/// What a tenant shall be.
///
/// ```
/// use fresco_core::{AppProfile, OwnerId, TenantSpec};
///
/// let spec = TenantSpec::new(
///     OwnerId::new("alice"),
///     "my-study".parse()?,
///     AppProfile::generic(),
///     "example/app:1".parse()?,
/// );
/// spec.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantSpec {
    /// The owner.
    pub owner: OwnerId,
    /// The name below the platform's base domain.
    pub subdomain: Subdomain,
    /// The app; a copy, so that a later change of the profile does not touch running tenants.
    pub app: AppProfile,
    /// How the tenant's data is kept apart. Never changes.
    pub isolation: Isolation,
    /// The image as it was named. The exact image in use is [`TenantState::image`].
    pub image: ImageRef,
    /// The most that the tenant's container may use.
    pub limits: Limits,
    /// Variables of the owner, added to the app's.
    pub environment: BTreeMap<EnvName, EnvValue>,
}

impl TenantSpec {
    /// A spec with the app's isolation, default limits and no variables of the owner.
    #[must_use]
    pub fn new(owner: OwnerId, subdomain: Subdomain, app: AppProfile, image: ImageRef) -> Self {
        Self {
            owner,
            subdomain,
            isolation: app.isolation,
            limits: Limits::for_app(&app),
            app,
            image,
            environment: BTreeMap::new(),
        }
    }

    /// The same spec with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same spec with another isolation than the app's own.
    #[must_use]
    pub fn with_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// The same spec with one more variable of the owner.
    #[must_use]
    pub fn with_env(mut self, name: EnvName, value: EnvValue) -> Self {
        self.environment.insert(name, value);
        self
    }

    /// Checks what the types can't.
    ///
    /// # Errors
    /// `Invalid`, naming what is wrong: the owner's name, the app profile, limits below what the app needs, or a
    /// variable that the app profile sets itself.
    pub fn validate(&self) -> Result<()> {
        self.owner.validate()?;
        self.app.validate()?;
        self.limits.validate(&self.app)?;
        match self.environment.keys().find(|name| self.app.environment.contains_key(*name)) {
            Some(name) => Err(Error::new(
                ErrorKind::Invalid,
                "this variable is set by the platform and can't be chosen",
            )
            .with("variable", name)),
            None => Ok(()),
        }
    }
}

/// The most that a tenant's container may use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Memory in MB (2²⁰ bytes); more ends the process. Swap is off.
    pub memory_mb: u32,
    /// CPUs, in parts of one: 0.5 is half of one core.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
}

impl Eq for Limits {}

impl Limits {
    /// 512 MB, half a CPU and 256 processes, or the app's own minimum where that is more.
    #[must_use]
    pub fn for_app(app: &AppProfile) -> Self {
        Self { memory_mb: app.min_memory_mb.max(512), cpus: 0.5, pids: app.min_pids.max(256) }
    }

    /// Memory in bytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        self.memory_mb as u64 * 1024 * 1024
    }

    fn validate(&self, app: &AppProfile) -> Result<()> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Invalid, what).with("app", &app.name));
        if self.memory_mb < app.min_memory_mb {
            return wrong(format!("this app needs at least {} MB of memory", app.min_memory_mb));
        }
        if !(0.01..=1024.0).contains(&self.cpus) {
            return wrong("the number of CPUs must be between 0.01 and 1024".into());
        }
        if self.pids < app.min_pids {
            return wrong(format!("this app needs at least {} processes", app.min_pids));
        }
        Ok(())
    }
}

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Accepted; no worker has begun.
    Pending,
    /// Being created.
    Provisioning,
    /// Running and reachable.
    Active,
    /// Stopped by its owner.
    Stopped,
    /// The last operation failed; [`TenantState::error`] says how.
    Error,
    /// Being destroyed.
    Destroying,
    /// Gone. The row stays as a tombstone.
    Destroyed,
}

impl TenantStatus {
    /// The status's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the owner wants the tenant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// Running and reachable.
    Running,
    /// Stopped, its data kept.
    Stopped,
}

/// The one container that a tenant has, as the store knows it. Any other is surplus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRef {
    /// The runtime's own id of it.
    pub id: InstanceId,
    /// The tenant's generation when it was made; the proxy names it in its answers.
    pub generation: Generation,
    /// The credentials it received.
    pub credential: CredentialId,
}

/// What a tenant is, as far as the work on it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantState {
    /// Where it stands.
    pub status: TenantStatus,
    /// What its owner wants.
    pub desired: DesiredState,
    /// The exact image in use; only a create or an update changes it.
    pub image: Option<ImageId>,
    /// Its container.
    pub container: Option<ContainerRef>,
    /// When it was reachable for the first time. From then on its data is kept, whatever fails.
    pub first_active_at: Option<DateTime<Utc>>,
    /// When it last became reachable with a new container.
    pub last_deployed_at: Option<DateTime<Utc>>,
    /// When it was destroyed, by the store's clock: the store notes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<DateTime<Utc>>,
    /// How the last operation failed, or why the platform stopped the tenant; `None` once one
    /// succeeded.
    pub error: Option<Failure>,
}

impl TenantState {
    /// The state of a tenant that was just accepted.
    #[must_use]
    pub fn pending() -> Self {
        Self {
            status: TenantStatus::Pending,
            desired: DesiredState::Running,
            image: None,
            container: None,
            first_active_at: None,
            last_deployed_at: None,
            destroyed_at: None,
            error: None,
        }
    }

    /// Notes when the tenant was destroyed, once it is. A store does so as it takes a write.
    pub fn note_destroyed(&mut self, now: DateTime<Utc>) {
        if self.status == TenantStatus::Destroyed {
            self.destroyed_at.get_or_insert(now);
        }
    }

    /// What follows for a tenant from accepting this action: what its owner wants, and that one
    /// which is created again is no longer in error, since it takes its room from now on.
    pub fn accept(&mut self, action: Action) {
        self.desired = action.desired_state();
        if action == Action::Create {
            self.status = TenantStatus::Pending;
        }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What it shall be.
    pub spec: TenantSpec,
    /// What it is.
    pub state: TenantState,
    /// How often its work has been taken up.
    pub generation: Generation,
    /// When it was accepted, by the store's clock.
    pub created_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TenantSpec {
        TenantSpec::new(
            OwnerId::new("o"),
            "abc".parse().unwrap(),
            AppProfile::generic(),
            "app:1".parse().unwrap(),
        )
    }

    #[test]
    fn a_variable_of_the_platform_can_not_be_chosen() {
        let spec = spec().with_env("DATABASE_URL".parse().unwrap(), "x".parse().unwrap());
        let error = spec.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("DATABASE_URL"));
    }

    #[test]
    fn limits_below_the_apps_needs_are_refused() {
        let limits = Limits { memory_mb: 32, cpus: 0.5, pids: 256 };
        assert!(spec().with_limits(limits).validate().is_err());
        let limits = Limits { memory_mb: 512, cpus: f64::NAN, pids: 256 };
        assert!(spec().with_limits(limits).validate().is_err());
    }

    #[test]
    fn values_are_not_printed() {
        let spec = spec().with_env("KEY".parse().unwrap(), "hunter2".parse().unwrap());
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
