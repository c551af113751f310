//! What a backend's author brings so that the suites can be run on it.
//!
//! A fixture may panic when it can't do what it is asked for: the case fails then, as it should.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{
    AppProfile, ContainerRuntime, DatabaseMetrics, DatabaseSnapshots, DatabaseWatch, Endpoint,
    EnvName, Gate, Guarantee, Hostname, ImageId, ImageRef, InstanceId, Isolation, Limits, Result,
    Route, Router, RuntimeEvents, RuntimeIsolation, RuntimeMetrics, RuntimeResize, Store,
    TenantDatabase, TenantId,
};

/// What all fixtures have in common.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Removes all that the case and this fixture made. It runs after every case, passed or
    /// failed, and tolerates what is gone already.
    async fn clean_up(&self);
}

/// An app that the cases need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExampleApp {
    /// Answers [`AppProfile::health_path`] with [`AppProfile::health_status`] until it is asked to
    /// end, and then ends.
    Serves,
    /// The same, but it does not end when it is asked to.
    IgnoresStop,
    /// Ends by itself at its start, with exit code 3.
    ExitsAtBoot,
    /// Takes connections on [`AppProfile::port`] and never answers, until it is asked to end.
    Hangs,
    /// Writes the line `to stdout` to its standard output and the line `to stderr` to its standard
    /// error at its start, and then serves. Other lines may be among them.
    Prints,
}

/// How an app is run.
#[derive(Clone, Debug)]
pub struct Example {
    /// The image.
    pub image: ImageRef,
    /// The whole environment, so that it runs without a database.
    pub environment: BTreeMap<EnvName, SecretString>,
}

/// A [`ContainerRuntime`] to be tried.
#[async_trait]
pub trait RuntimeFixture: Fixture {
    /// The runtime, for a platform of this fixture alone.
    fn runtime(&self) -> Arc<dyn ContainerRuntime>;

    /// The same engine, for another platform of this fixture alone.
    fn other_platform(&self) -> Arc<dyn ContainerRuntime>;

    /// The profile that all example apps fit.
    fn app(&self) -> AppProfile;

    /// How to run this example; its image is there already.
    fn example(&self, app: ExampleApp) -> Example;

    /// An image that is there already and is another one than that of [`ExampleApp::Serves`].
    fn second_image(&self) -> ImageRef;

    /// An image that does not exist and can't be fetched.
    fn missing_image(&self) -> ImageRef;

    /// The id of an image that is not there, as the runtime would write it.
    fn missing_image_id(&self) -> ImageId;

    /// What this runtime is known not to enforce.
    fn unenforced(&self) -> Vec<Guarantee>;

    /// The shortest time that the runtime can give an app to end.
    fn shortest_grace(&self) -> Duration;

    /// Makes, past the runtime, a container under the tenant's own name
    /// ([`TenantId::container_name`]) that carries no mark of any platform. It need not run.
    async fn make_unmarked(&self, tenant: TenantId);

    /// Whether the container of [`make_unmarked`](RuntimeFixture::make_unmarked) is still there,
    /// and is the same one.
    async fn unmarked_is_there(&self, tenant: TenantId) -> bool;

    /// Makes, past the runtime, one more container of the tenant: with all marks of the platform
    /// of [`runtime`](RuntimeFixture::runtime) and of this generation 1, under another name.
    async fn make_surplus(&self, tenant: TenantId);

    /// The environment that a container of [`runtime`](RuntimeFixture::runtime) was made with,
    /// read past the runtime. It may hold more than the spec asked for.
    async fn environment_of(&self, instance: &InstanceId) -> BTreeMap<String, String>;
}

/// A runtime that fetches images.
#[async_trait]
pub trait RuntimeFetchFixture: RuntimeFixture {
    /// An image that is not there and can be fetched.
    async fn fetchable_image(&self) -> ImageRef;
}

/// A runtime that measures.
pub trait RuntimeMetricsFixture: RuntimeFixture {
    /// The ability, for the platform of [`runtime`](RuntimeFixture::runtime).
    fn metrics(&self) -> Arc<dyn RuntimeMetrics>;
}

/// A runtime that tells what happens.
pub trait RuntimeEventsFixture: RuntimeFixture {
    /// The ability, for the platform of [`runtime`](RuntimeFixture::runtime).
    fn events(&self) -> Arc<dyn RuntimeEvents>;
}

/// A runtime that changes limits of what runs.
#[async_trait]
pub trait RuntimeResizeFixture: RuntimeFixture {
    /// The ability, for the platform of [`runtime`](RuntimeFixture::runtime).
    fn resize(&self) -> Arc<dyn RuntimeResize>;

    /// The limits that hold for a container now, read past the runtime.
    async fn limits_of(&self, instance: &InstanceId) -> Limits;
}

/// A runtime that keeps tenants' containers apart, and proves it.
#[async_trait]
pub trait RuntimeIsolationFixture: Fixture {
    /// The ability, for a platform of this fixture alone.
    fn isolation(&self) -> Arc<dyn RuntimeIsolation>;

    /// Takes away, past the runtime, what keeps the containers apart, or a part of it.
    async fn take_isolation_away(&self);
}

/// A [`TenantDatabase`] to be tried.
#[async_trait]
pub trait DatabaseFixture: Fixture {
    /// The database, for a platform of this fixture alone.
    fn database(&self) -> Arc<dyn TenantDatabase>;

    /// The same server, for another platform of this fixture alone.
    fn other_platform(&self) -> Arc<dyn TenantDatabase>;

    /// The isolation that this run is for.
    fn isolation(&self) -> Isolation;

    /// Logs in, as a tenant's app would, with one of the URLs of [`Credentials`](crate::Credentials). The fixture may
    /// put another host into it, when the server has another address from here.
    ///
    /// # Errors
    /// When the database does not let it in.
    async fn connect(&self, url: &SecretString) -> Result<Box<dyn DatabaseClient>>;

    /// Makes, past the backend, a role and a schema or database under the tenant's own names
    /// ([`TenantId::role_name`], [`TenantId::database_name`]) without any platform's mark.
    async fn make_unmarked(&self, tenant: TenantId);

    /// Whether role and storage of [`make_unmarked`](DatabaseFixture::make_unmarked) are still
    /// there without a mark.
    async fn unmarked_is_there(&self, tenant: TenantId) -> bool;

    /// Removes, past the backend, the tenant's role alone.
    async fn drop_role(&self, tenant: TenantId);

    /// Removes, past the backend, the tenant's schema or database alone.
    async fn drop_storage(&self, tenant: TenantId);
}

/// A session of a tenant's app.
#[async_trait]
pub trait DatabaseClient: Send + Sync + fmt::Debug {
    /// Keeps a value in the tenant's storage (in SQL: a row of a table, made when it is absent,
    /// that the role can also use in later sessions).
    ///
    /// # Errors
    /// When the database refuses, or the session is over.
    async fn put(&self, key: &str, value: &str) -> Result<()>;

    /// Reads a value back; `None` when it was never put, also when nothing was put at all.
    ///
    /// # Errors
    /// When the database refuses, or the session is over.
    async fn get(&self, key: &str) -> Result<Option<String>>;

    /// Puts a setting on the tenant's own role that later sessions have (in SQL:
    /// `ALTER ROLE CURRENT_USER SET …`).
    ///
    /// # Errors
    /// When the database refuses, or the session is over.
    async fn change_role(&self) -> Result<()>;

    /// Whether this session has the setting that
    /// [`change_role`](DatabaseClient::change_role) put on the role.
    ///
    /// # Errors
    /// When the session is over.
    async fn has_role_setting(&self) -> Result<bool>;

    /// Takes the strongest lock on all that [`put`](DatabaseClient::put) made, and keeps it until
    /// the session ends (in SQL: an open transaction with `LOCK TABLE`). Nothing to do for a
    /// database without locks.
    ///
    /// # Errors
    /// When the database refuses, or the session is over.
    async fn lock(&self) -> Result<()>;

    /// Whether the session still answers. It asks the server.
    async fn is_open(&self) -> bool;

    /// Ends the session.
    async fn close(self: Box<Self>);
}

/// A database that measures.
pub trait DatabaseMetricsFixture: DatabaseFixture {
    /// The ability, for the platform of [`database`](DatabaseFixture::database).
    fn metrics(&self) -> Arc<dyn DatabaseMetrics>;
}

/// A database that copies data out and in.
#[async_trait]
pub trait DatabaseSnapshotsFixture: DatabaseFixture {
    /// The ability, for the platform of [`database`](DatabaseFixture::database).
    fn snapshots(&self) -> Arc<dyn DatabaseSnapshots>;

    /// What copying made for itself and has not removed by now, in words: roles, sessions,
    /// processes, files. Of this fixture alone, whatever the tenant.
    async fn leftovers(&self) -> Vec<String>;
}

/// A database that is watched. Its tenants may keep so little that a case can pass the limit.
pub trait DatabaseWatchFixture: DatabaseFixture {
    /// The ability, for the platform of [`database`](DatabaseFixture::database).
    fn watch(&self) -> Arc<dyn DatabaseWatch>;

    /// The same, as another program of the same platform has it open.
    fn second_watch(&self) -> Arc<dyn DatabaseWatch>;

    /// Bytes in one value that are past the limit for a tenant, at least the limit itself.
    fn too_many_bytes(&self) -> usize;
}

/// A [`Router`] to be tried.
#[async_trait]
pub trait RouterFixture: Fixture {
    /// The router, for a platform of this fixture alone.
    fn router(&self) -> Arc<dyn Router>;

    /// The same kind of router, whose proxy is not there.
    fn unreachable(&self) -> Arc<dyn Router>;

    /// The host name of this label that the proxy may serve, such as `label.localhost`.
    fn host(&self, label: &str) -> Hostname;

    /// The port that the fixture's apps listen on, for [`Route::port`].
    fn port(&self) -> u16;

    /// Starts a container for the route that carries the annotations of [`Router::plan`]. Its app
    /// answers [`Route::probe_path`] with status 200, or does not listen at all. A container that
    /// the tenant had before is removed first.
    async fn start_app(&self, route: &Route, answers: bool) -> Endpoint;

    /// Removes the tenant's container.
    async fn stop_app(&self, tenant: TenantId);

    /// Leads the route's host name, past the router, to an app that answers the route's probe with
    /// status 200, just as the tenant's would, but for the mark of the router.
    async fn start_impostor(&self, route: &Route);

    /// A gate of its own that lets everybody pass, or nobody: it answers GET with 204, or with 403.
    async fn start_gate(&self, allows: bool) -> Gate;

    /// A gate where nobody answers.
    fn absent_gate(&self) -> Gate;

    /// The status of the answer to a stranger's GET for the first host of the route and this path,
    /// through the proxy.
    async fn visit(&self, route: &Route, path: &str) -> u16;
}

/// A [`Store`] to be tried. It is empty: no case shares it with another.
#[async_trait]
pub trait StoreFixture: Fixture {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// The same store, as another program has it open.
    fn second(&self) -> Arc<dyn Store>;

    /// A short time for leases: cases wait until such a lease has ended. Long enough that a few
    /// calls fit into half of it.
    fn ttl(&self) -> Duration;

    /// Returns once the store's clock has gone on by at least this much (by waiting, where the
    /// clock is real).
    async fn pass(&self, time: Duration);
}
