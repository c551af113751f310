//! The port to whatever keeps tenants' databases.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::app::Isolation;
use crate::error::Result;
use crate::health::Health;
use crate::ids::{CredentialId, Generation, TenantId};

/// Who acts on a tenant's database, and in which generation.
///
/// A backend remembers the highest generation it has seen of a tenant, also after the tenant's
/// data is gone, and refuses any lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The tenant.
    pub tenant: TenantId,
    /// The generation in which the caller holds the tenant's work.
    pub generation: Generation,
}

/// What a tenant's database shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseSpec {
    /// Who asks.
    pub fence: Fence,
    /// A schema or a database.
    pub isolation: Isolation,
    /// Connections that the tenant's role may have at most.
    pub connection_limit: u32,
}

impl DatabaseSpec {
    /// A spec.
    #[must_use]
    pub const fn new(fence: Fence, isolation: Isolation, connection_limit: u32) -> Self {
        Self { fence, isolation, connection_limit }
    }
}

/// How a tenant's app reaches its database: connection URLs with the password in them.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// This issue; also written where the database keeps the role.
    pub id: CredentialId,
    /// Straight to the server.
    pub direct: SecretString,
    /// Through a pool, where there is one; else the same as `direct`.
    pub pooled: SecretString,
}

impl Credentials {
    /// Credentials with these URLs.
    pub fn new(id: CredentialId, direct: impl Into<String>, pooled: impl Into<String>) -> Self {
        Self { id, direct: direct.into().into(), pooled: pooled.into().into() }
    }
}

/// What is there of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseEntry {
    /// The tenant.
    pub tenant: TenantId,
    /// Its schema or database, if there is one.
    pub storage: Option<Isolation>,
    /// Whether its role is there.
    pub role: bool,
    /// The last issue of credentials, if there was one.
    pub credential: Option<CredentialId>,
    /// Whether its role is there and can't log in, whatever it is for.
    pub locked: bool,
}

impl DatabaseEntry {
    /// An entry of which nothing is there.
    #[must_use]
    pub const fn new(tenant: TenantId) -> Self {
        Self { tenant, storage: None, role: false, credential: None, locked: false }
    }
}

/// What a tenant's role does in its database now. All times are by the database's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseActivity {
    /// Now.
    pub now: DateTime<Utc>,
    /// When the newest of the role's open sessions began or, where a pool keeps sessions open, was
    /// last asked something; `None` without a session.
    pub newest_session: Option<DateTime<Utc>>,
    /// Open sessions.
    pub sessions: u32,
}

/// Keeps tenants' data apart, each behind a role of its own.
///
/// Every call may be repeated, and may take effect although it was abandoned; that is why each
/// change carries a [`Fence`]. A backend only touches what carries its own platform's mark.
#[async_trait]
pub trait TenantDatabase: fmt::Debug + Send + Sync + 'static {
    /// Whether this backend can keep data apart in this way.
    fn supports(&self, isolation: Isolation) -> bool;

    /// Makes the tenant's schema or database and its role, which can't log in yet.
    ///
    /// # Behavior
    /// - Afterwards role and storage are listed.
    /// - Again with the same spec: nothing changes, and data and credentials stay.
    /// - Half of it there (only the role, only the storage): the rest is made.
    /// - A lower generation than one seen is `LeaseLost` and changes nothing.
    /// - A lower generation is refused after the tenant was removed, too.
    /// - Something of the tenant's name that carries another platform's mark, or none, is
    ///   `Conflict` and is left alone.
    /// - The other isolation than the one there is `Conflict`.
    /// - Many tenants may be made at the same time.
    async fn ensure(&self, spec: &DatabaseSpec) -> Result<()>;

    /// Gives the tenant's role a new password and returns it; it is kept nowhere.
    ///
    /// # Behavior
    /// - One can log in with it and reach the tenant's storage.
    /// - The password before it no longer works, and sessions that used it are ended.
    /// - Settings that the tenant put on its role are gone.
    /// - The issue is listed as the tenant's credential.
    /// - Without `ensure` before it: `NotFound`.
    /// - A lower generation than one seen is `LeaseLost`, and the old password still works.
    async fn issue(&self, fence: Fence) -> Result<Credentials>;

    /// Removes everything of the tenant: sessions, storage, grants, role.
    ///
    /// # Behavior
    /// - Afterwards it is not listed, and its credentials no longer work.
    /// - It works while the tenant's app is connected.
    /// - Removing an absent one is success.
    /// - A lower generation than one seen is `LeaseLost` and changes nothing.
    /// - Another platform's is `Conflict` and is left alone.
    async fn remove(&self, fence: Fence) -> Result<()>;

    /// What is there of every tenant of this platform, or of one.
    ///
    /// # Behavior
    /// - Halves are listed, too.
    /// - A role that can't log in is told as locked, one that can is not.
    /// - Other platforms' are not listed.
    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>>;

    /// What the tenant's role does now.
    ///
    /// # Behavior
    /// - A new session of the tenant's app is seen, and is newer than `now` of an earlier call.
    /// - Without sessions there is none, and that is no error.
    async fn activity(&self, tenant: TenantId) -> Result<DatabaseActivity>;

    /// Whether the database can be used now.
    ///
    /// # Behavior
    /// - It names the server and its version.
    async fn health(&self) -> Result<Health>;
}

/// What a tenant's data amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSample {
    /// Tables.
    pub tables: u64,
    /// Rows in all tables: an estimate, as the server's own statistics have it.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Open connections.
    pub connections: u32,
}

/// An ability of some databases: measuring.
#[async_trait]
pub trait DatabaseMetrics: fmt::Debug + Send + Sync + 'static {
    /// What the tenant's data amounts to now.
    ///
    /// # Behavior
    /// - Tables of the tenant are counted, and their bytes.
    /// - It reads no relation that the tenant owns.
    /// - An unknown tenant is `NotFound`.
    async fn measure(&self, tenant: TenantId) -> Result<DatabaseSample>;
}

/// A copy of a tenant's data, as it is read: bytes in the backend's own format, in order.
///
/// After an error nothing more comes, and what came before is no copy.
pub type DatabaseCopy = BoxStream<'static, Result<Vec<u8>>>;

/// An ability of some databases: copying a tenant's data out, and in again.
///
/// A copy holds what the tenant's app keeps, not the tenant's credentials, rights and limits. It
/// belongs to one tenant and one [`Isolation`], and can be used again for as long as the backend
/// that made it reads its own format. It is not encrypted.
#[async_trait]
pub trait DatabaseSnapshots: fmt::Debug + Send + Sync + 'static {
    /// Copies all the tenant's data out. The copy is made while the stream is read.
    ///
    /// # Behavior
    /// - The copy is of one moment, also while the app writes.
    /// - Nothing of another tenant is in it.
    /// - A stream that is dropped before its end leaves nothing behind.
    /// - A tenant without a database is `NotFound`.
    /// - Another platform's tenant is `Conflict`.
    async fn dump(&self, tenant: TenantId) -> Result<DatabaseCopy>;

    /// Replaces all the tenant's data by that of a copy, or changes nothing at all.
    ///
    /// The tenant must be there; it may be empty. Whoever calls this stops the app first: one
    /// that runs loses its sessions, and goes on with other data than it knew.
    ///
    /// # Behavior
    /// - What was changed or added since the copy is as it was then.
    /// - The data comes back after the tenant was removed and made anew.
    /// - The tenant's credentials stay as they are.
    /// - It works while the tenant's app is connected, whatever the app has locked.
    /// - A copy that is cut off, or is none, is `Invalid` and changes nothing.
    /// - A copy of another tenant is `Invalid` and changes nothing.
    /// - An error of the stream comes back as it is, and nothing is changed.
    /// - It leaves nothing behind, whether it works or not.
    /// - A lower generation than the one seen last is `LeaseLost` and the data stays.
    /// - Without a database for the tenant it is `NotFound`.
    async fn restore(&self, fence: Fence, copy: DatabaseCopy) -> Result<()>;
}
