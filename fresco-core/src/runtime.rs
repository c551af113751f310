//! The port to whatever runs containers.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::health::Health;
use crate::ids::{ImageId, InstanceId, TenantId};
use crate::image::{ImageSource, ProgressSink};
#[cfg(doc)]
use crate::instance::Revision;
use crate::instance::{Instance, InstanceSpec};
use crate::tenant::Limits;

/// What one try to reach an app led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The app answered with this HTTP status.
    Status(u16),
    /// It took the connection and gave no proper answer in time: why, for people. It may be busy.
    Silent(String),
    /// There was no connection, since nobody listens there or no way leads there: why, for people.
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
    /// - The limits that hold for each are told, or none at all.
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
    /// - One that takes the connection and never answers is `Silent`, which is no error.
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
    /// - The new limits hold at once and are told, and the container keeps its id.
    /// - An unknown container is `NotFound`.
    async fn resize(&self, instance: &InstanceId, limits: &Limits) -> Result<()>;
}
