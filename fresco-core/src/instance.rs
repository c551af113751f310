//! A tenant's container: what it shall be, and what it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::app::AppProfile;
use crate::environment::EnvName;
use crate::ids::{CredentialId, Generation, ImageId, InstanceId, TenantId};
use crate::subdomain::Subdomain;
use crate::tenant::Limits;

/// A hash of everything non-secret that a container is made from, and of the issue of credentials
/// that it received. A container is replaced only when it differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(String);

impl Revision {
    /// The revision with this text, as read back from a label.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text: 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a tenant's container shall be.
///
/// The environment holds secrets and so does this type: it can't be serialised, and its `Debug`
/// hides the values.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceSpec {
    /// The tenant.
    pub tenant: TenantId,
    /// Its subdomain, for people who look at the container.
    pub subdomain: Subdomain,
    /// The generation that this container is made in.
    pub generation: Generation,
    /// The issue of credentials in the environment.
    pub credential: CredentialId,
    /// The exact image.
    pub image: ImageId,
    /// The app: port, scratch folders, user, processes.
    pub app: AppProfile,
    /// The most that the container may use.
    pub limits: Limits,
    /// The whole environment.
    pub environment: BTreeMap<EnvName, SecretString>,
    /// What the router asks the container to carry (labels, for Traefik).
    pub annotations: BTreeMap<String, String>,
}

impl InstanceSpec {
    /// A spec with an empty environment and no annotations.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        subdomain: Subdomain,
        generation: Generation,
        credential: CredentialId,
        image: ImageId,
        app: AppProfile,
        limits: Limits,
    ) -> Self {
        Self {
            tenant,
            subdomain,
            generation,
            credential,
            image,
            app,
            limits,
            environment: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// The hash of everything but the secrets and the generation.
    #[must_use]
    pub fn revision(&self) -> Revision {
        #[derive(Serialize)]
        struct Hashed<'a> {
            subdomain: &'a Subdomain,
            credential: CredentialId,
            image: &'a ImageId,
            app: &'a AppProfile,
            limits: &'a Limits,
            variables: Vec<&'a EnvName>,
            annotations: &'a BTreeMap<String, String>,
        }
        let hashed = Hashed {
            subdomain: &self.subdomain,
            credential: self.credential,
            image: &self.image,
            app: &self.app,
            limits: &self.limits,
            variables: self.environment.keys().collect(),
            annotations: &self.annotations,
        };
        // Serialising plain data to memory can't fail; should it ever, no two specs are equal.
        let text =
            serde_json::to_vec(&hashed).unwrap_or_else(|_| CredentialId::new().to_string().into());
        let digest = Sha256::digest(text);
        Revision(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Whether a container runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum InstanceState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited {
        /// The exit code of its first process.
        code: i64,
        /// Whether it was ended for using more memory than its limit.
        out_of_memory: bool,
    },
}

/// Something that the core asks of every container and that a runtime may be unable to enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Guarantee {
    /// The memory limit.
    Memory,
    /// The CPU limit.
    Cpus,
    /// The limit of processes.
    Pids,
    /// No way from one tenant's container to another's; with
    /// [`RuntimeIsolation`](crate::RuntimeIsolation), nor to the host's services and private networks.
    Network,
    /// No way out of the container's own files and rights.
    Confinement,
}

/// Where a container's app can be reached from the platform and from the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint(pub SocketAddr);

/// A tenant's container, as the runtime sees it now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The generation that it was made in.
    pub generation: Generation,
    /// The credentials that it received.
    pub credential: CredentialId,
    /// What it was made from.
    pub revision: Revision,
    /// The exact image that it runs.
    pub image: ImageId,
    /// Whether it runs.
    pub state: InstanceState,
    /// Where its app can be reached; only while it runs.
    pub endpoint: Option<Endpoint>,
    /// What this runtime can't enforce for it.
    pub unenforced: Vec<Guarantee>,
    /// The limits that hold for it now, whoever set them; 0 stands for one that does not hold, such
    /// as a memory limit with swap beside it. `None`: this runtime does not tell.
    pub limits: Option<Limits>,
}

impl Instance {
    /// An instance that was made and not started, and for which everything is enforced.
    #[must_use]
    pub fn new(
        id: InstanceId,
        tenant: TenantId,
        generation: Generation,
        credential: CredentialId,
        revision: Revision,
        image: ImageId,
    ) -> Self {
        Self {
            id,
            tenant,
            generation,
            credential,
            revision,
            image,
            state: InstanceState::Created,
            endpoint: None,
            unenforced: Vec::new(),
            limits: None,
        }
    }

    /// The same instance in another state.
    #[must_use]
    pub fn with_state(mut self, state: InstanceState, endpoint: Option<Endpoint>) -> Self {
        self.state = state;
        self.endpoint = endpoint;
        self
    }

    /// The same instance with guarantees that are not enforced.
    #[must_use]
    pub fn with_unenforced(mut self, unenforced: Vec<Guarantee>) -> Self {
        self.unenforced = unenforced;
        self
    }

    /// The same instance with the limits that hold for it now.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Whether these limits hold for it, as far as its runtime enforces and tells them.
    #[must_use]
    pub fn keeps_within(&self, wanted: &Limits) -> bool {
        let Some(limits) = &self.limits else { return true };
        let ignored = |guarantee| self.unenforced.contains(&guarantee);
        // Runtimes count CPUs in whole parts: less than a thousandth is no difference.
        (ignored(Guarantee::Memory) || limits.memory_mb == wanted.memory_mb)
            && (ignored(Guarantee::Cpus) || (limits.cpus - wanted.cpus).abs() < 0.001)
            && (ignored(Guarantee::Pids) || limits.pids == wanted.pids)
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == InstanceState::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> InstanceSpec {
        let app = AppProfile::generic();
        InstanceSpec::new(
            TenantId::new(),
            "abc".parse().unwrap(),
            Generation::new(1),
            CredentialId::new(),
            ImageId::new("sha256:1"),
            app.clone(),
            Limits::for_app(&app),
        )
    }

    fn instance() -> Instance {
        let spec = spec();
        let (revision, id) = (spec.revision(), InstanceId::new("c0ffee"));
        Instance::new(id, spec.tenant, spec.generation, spec.credential, revision, spec.image)
    }

    #[test]
    fn the_revision_ignores_the_generation_and_the_secrets_but_not_the_credential() {
        let first = spec();
        let mut second = first.clone();
        second.generation = first.generation.next();
        assert_eq!(first.revision(), second.revision());
        second.environment.insert(EnvName::known("A"), "secret".to_owned().into());
        let named = second.revision();
        second.environment.insert(EnvName::known("A"), "other".to_owned().into());
        assert_eq!(named, second.revision());
        second.credential = CredentialId::new();
        assert_ne!(named, second.revision());
    }

    #[test]
    fn limits_that_are_not_enforced_or_not_told_make_no_difference() {
        let wanted = Limits { memory_mb: 512, cpus: 0.1, pids: 256 };
        let told = |limits| instance().with_limits(limits);
        assert!(instance().keeps_within(&wanted), "not told");
        assert!(told(wanted).keeps_within(&wanted));
        let rounded = Limits { cpus: 0.100_000_001, ..wanted };
        assert!(told(rounded).keeps_within(&wanted), "a rounded number");
        for (guarantee, other) in [
            (Guarantee::Memory, Limits { memory_mb: 0, ..wanted }),
            (Guarantee::Cpus, Limits { cpus: 0.2, ..wanted }),
            (Guarantee::Pids, Limits { pids: 257, ..wanted }),
        ] {
            assert!(!told(other).keeps_within(&wanted), "{guarantee:?}");
            let unenforced = told(other).with_unenforced(vec![guarantee]);
            assert!(unenforced.keeps_within(&wanted), "{guarantee:?} is not enforced");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut spec = spec();
        spec.environment.insert(EnvName::known("A"), "hunter2".to_owned().into());
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
