//! The port to whatever runs containers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::app::AppProfile;
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::ids::{CredentialId, Generation, TenantId};
use crate::subdomain::Subdomain;
use crate::tenant::{EnvName, Limits};

/// An image as a person names it: `repository[:tag]` or `repository@digest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

impl ImageRef {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without tag and digest.
    #[must_use]
    pub fn repository(&self) -> &str {
        let name = self.0.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            // A colon before the last slash belongs to a registry's port.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > 512 || !text.bytes().all(plain) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "an image is named repository:tag or repository@digest",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ImageRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id with this text.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id!(
    /// One exact image, in the runtime's own terms (Docker: the digest of its configuration).
    /// [`ContainerRuntime::prepare`] takes it back as a reference.
    ImageId
);
opaque_id!(
    /// One container, in the runtime's own terms. A container that replaces another has another id.
    InstanceId
);

/// Which image to prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Whatever this name stands for now; fetched when it is not there.
    Named(ImageRef),
    /// Exactly this image under this name; fetched by name only if it is not there.
    Pinned(ImageId, ImageRef),
}

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
    /// No way from one tenant's container to another's.
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

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == InstanceState::Running
    }
}

/// How far an image has been fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullProgress {
    /// What is being done, in words.
    pub detail: String,
    /// Bytes fetched so far.
    pub bytes: u64,
    /// Bytes in all, as far as known.
    pub total_bytes: Option<u64>,
}

/// Takes progress reports. Cheap to clone; reporting never blocks.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(PullProgress) + Send + Sync>);

impl ProgressSink {
    /// A sink that calls this function, which must not block.
    pub fn new(report: impl Fn(PullProgress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// A sink that forgets.
    #[must_use]
    pub fn ignore() -> Self {
        Self::new(|_| {})
    }

    /// Reports.
    pub fn report(&self, progress: PullProgress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}

/// What one try to reach an app led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The app answered with this HTTP status.
    Status(u16),
    /// It did not answer: why, for people.
    Unreachable(String),
}

/// Which log lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// The number of newest lines to begin with.
    pub lines: u32,
    /// Only lines since this moment.
    pub since: Option<DateTime<Utc>>,
    /// Whether to go on with new lines until the container ends or the stream is dropped.
    pub follow: bool,
}

impl LogQuery {
    /// The newest lines, without following.
    #[must_use]
    pub const fn last(lines: u32) -> Self {
        Self { lines, since: None, follow: false }
    }

    /// The same query, but following.
    #[must_use]
    pub const fn follow(mut self) -> Self {
        self.follow = true;
        self
    }
}

/// Where a log line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of an app's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// Where.
    pub stream: LogStream,
    /// The text, without its line end; what is not UTF-8 is replaced.
    pub text: String,
}

/// Runs tenants' containers.
///
/// Every call may be repeated, and may take effect although it was abandoned: a caller that saw no
/// answer knows nothing. Containers are addressed by their own id, so that a late call never hits
/// one that has replaced it. A runtime only ever sees and touches the containers of its own
/// platform (see [`labels::PLATFORM`](crate::labels::PLATFORM)).
#[async_trait]
pub trait ContainerRuntime: fmt::Debug + Send + Sync + 'static {
    /// Makes an image ready for use and tells exactly which one it is.
    ///
    /// # Behavior
    /// - An image that is there is used; nothing is fetched.
    /// - An image that is not there is fetched, with progress.
    /// - A pinned image that is there is used even if its name stands for another one by now.
    /// - An image that does not exist is `NotFound`, and the message names it.
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId>;

    /// Makes the tenant's container from the spec, without starting it.
    ///
    /// # Behavior
    /// - Without a container, one is made, and its values are the spec's.
    /// - A container with the same [`Revision`] is kept, running or not: same id.
    /// - A container with another revision is replaced: stopped, removed, made anew, other id.
    /// - Of several containers of the tenant, at most one is left.
    /// - A spec of a lower generation than the container's is `LeaseLost` and changes nothing.
    /// - A container of this name that carries another platform's mark, or none, is `Conflict` and
    ///   is left alone.
    /// - An image that is not there is `NotFound`.
    /// - What can't be enforced is in [`Instance::unenforced`].
    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance>;

    /// Starts a container.
    ///
    /// # Behavior
    /// - Starting a running one changes nothing.
    /// - A stopped one runs again with the same environment and the same id.
    /// - An unknown one is `NotFound`.
    async fn start(&self, instance: &InstanceId) -> Result<Instance>;

    /// Stops a container: asks it to end, and ends it once the grace is over.
    ///
    /// # Behavior
    /// - When it returns, the container does not run.
    /// - One that ignores the request is ended after the grace.
    /// - Stopping one that does not run, or an unknown one, is success.
    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()>;

    /// Removes a container, running or not, with all that belongs to it.
    ///
    /// # Behavior
    /// - Afterwards it is not listed.
    /// - Removing an unknown one is success.
    /// - Another platform's container is `Conflict` and is left alone.
    async fn remove(&self, instance: &InstanceId) -> Result<()>;

    /// All containers of this platform, or those of one tenant.
    ///
    /// # Behavior
    /// - Stopped ones are listed too.
    /// - Other platforms' are not listed.
    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>>;

    /// The lines that a container wrote, oldest first.
    ///
    /// # Behavior
    /// - Standard output and error are told apart.
    /// - Of a stopped container the lines are still there.
    /// - An unknown one is `NotFound`.
    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// Tries once to get an HTTP answer from the container's app, at its own address and under a
    /// deadline; follows no redirect and reads no body.
    ///
    /// # Behavior
    /// - A running app that answers gives its status.
    /// - One that does not listen, or does not run, is `Unreachable`, which is no error.
    /// - An unknown container is `NotFound`.
    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach>;

    /// Whether the runtime can be used now.
    ///
    /// # Behavior
    /// - It names the runtime and its version.
    async fn health(&self) -> Result<Health>;
}

/// What a container used at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeSample {
    /// CPU time used since the container's start, in nanoseconds. Two samples give a rate.
    pub cpu_nanos: u64,
    /// Memory in use, in bytes, without what can be given back at once.
    pub memory_bytes: u64,
    /// The memory limit in bytes.
    pub memory_limit_bytes: u64,
    /// Bytes received.
    pub network_rx_bytes: u64,
    /// Bytes sent.
    pub network_tx_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// An ability of some runtimes: measuring.
#[async_trait]
pub trait RuntimeMetrics: fmt::Debug + Send + Sync + 'static {
    /// What these containers use now; those that do not run are left out.
    ///
    /// # Behavior
    /// - All are measured side by side: many take about as long as one.
    /// - A running container uses memory and has at least one process.
    async fn sample(&self, instances: &[InstanceId]) -> Result<Vec<(InstanceId, RuntimeSample)>>;
}

/// Something that happened to a tenant's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The tenant.
    pub tenant: TenantId,
    /// The container.
    pub instance: InstanceId,
    /// What happened.
    pub kind: RuntimeEventKind,
}

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuntimeEventKind {
    /// It was started.
    Started,
    /// It ended.
    Exited,
    /// A process in it was ended for using too much memory.
    OutOfMemory,
    /// It was removed.
    Removed,
}

/// An ability of some runtimes: telling what happens. A hint to look, never the truth itself.
#[async_trait]
pub trait RuntimeEvents: fmt::Debug + Send + Sync + 'static {
    /// What happens to this platform's containers from now on. The stream ends with an error when
    /// the runtime is lost; ask again then, and look at everything once.
    ///
    /// # Behavior
    /// - A container's start, end and removal are told.
    async fn watch(&self) -> Result<BoxStream<'static, Result<RuntimeEvent>>>;
}

/// An ability of some runtimes: changing a running container's limits.
#[async_trait]
pub trait RuntimeResize: fmt::Debug + Send + Sync + 'static {
    /// Sets the limits of a container without restarting it.
    ///
    /// # Behavior
    /// - The new limits hold at once, and the container keeps its id.
    /// - An unknown container is `NotFound`.
    async fn resize(&self, instance: &InstanceId, limits: &Limits) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references() {
        for (text, repository) in [
            ("app", "app"),
            ("app:1", "app"),
            ("registry:5000/team/app:1.2", "registry:5000/team/app"),
            ("registry:5000/team/app", "registry:5000/team/app"),
            ("app@sha256:abc", "app"),
            ("app:1@sha256:abc", "app"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().repository(), repository);
        }
        for text in ["", "-x", "a b", "a\nb", "a`b"] {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?}");
        }
    }

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
    fn secrets_are_not_printed() {
        let mut spec = spec();
        spec.environment.insert(EnvName::known("A"), "hunter2".to_owned().into());
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
