//! An ability of some databases: noticing a tenant that harms the others, and ending that at once.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::database::Fence;
use crate::error::Result;
use crate::ids::TenantId;

/// What a tenant's role can have too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DatabaseExcess {
    /// Bytes on disk.
    Bytes,
    /// Locks in the table of locks that all share.
    Locks,
    /// Hundredths of the queue of notifications that all share.
    Notifications,
    /// Seconds that a transaction has been open.
    Transaction,
}

impl DatabaseExcess {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::Locks, Self::Notifications, Self::Transaction];

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Locks => "locks",
            Self::Notifications => "notifications",
            Self::Transaction => "transaction",
        }
    }
}

/// That a tenant's role went past a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseOffence {
    /// The tenant.
    pub tenant: TenantId,
    /// What there was too much of.
    pub excess: DatabaseExcess,
    /// How much there was, in the unit of `excess`.
    pub measured: u64,
    /// How much may be.
    pub limit: u64,
}

impl DatabaseOffence {
    /// An offence.
    #[must_use]
    pub const fn new(tenant: TenantId, excess: DatabaseExcess, measured: u64, limit: u64) -> Self {
        Self { tenant, excess, measured, limit }
    }
}

/// A sentence for people; it names no tenant.
impl fmt::Display for DatabaseOffence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measured, limit) = (self.measured, self.limit);
        match self.excess {
            DatabaseExcess::Bytes => {
                let mb = |bytes: u64| bytes.div_ceil(1 << 20);
                write!(
                    f,
                    "its database takes {} MB on disk, and {} MB are allowed",
                    mb(measured),
                    mb(limit)
                )
            }
            DatabaseExcess::Locks => {
                write!(f, "its database sessions held {measured} locks, and {limit} are allowed")
            }
            DatabaseExcess::Notifications => write!(
                f,
                "its database sessions filled the queue of notifications to {measured} %, and {limit} % are allowed"
            ),
            DatabaseExcess::Transaction => write!(
                f,
                "a transaction in its database was open for {measured} s, and {limit} s are allowed"
            ),
        }
    }
}

/// An ability of some databases: watching what tenants' roles do to what all of them share.
///
/// A role can be kept from reading what is not its own, but not from using up a server's disk,
/// locks or queues. This notices it, and ends it before anything else is asked of the server. The
/// engine then stops the tenant by an ordinary operation; until somebody starts it again, its role
/// is *barred*: it has no session, and can't log in.
///
/// A transaction that is open for too long is ended and nothing more: that is the fault of an app
/// rather than an attack.
#[async_trait]
pub trait DatabaseWatch: fmt::Debug + Send + Sync + 'static {
    /// Looks once at what the platform's tenants do, ends what is past a limit, and tells of it.
    /// It is called every few seconds, and stays cheap.
    ///
    /// # Behavior
    /// - Whoever keeps more data than allowed is told of, with the measure and the limit.
    /// - Afterwards its sessions are over, and it can't log in.
    /// - Tenants within their limits are not told of, and keep their sessions.
    /// - Another platform's tenants are neither told of nor touched.
    async fn inspect(&self) -> Result<Vec<DatabaseOffence>>;

    /// Who is barred, and why: all of this platform's tenants, or one.
    ///
    /// # Behavior
    /// - Whoever was barred is listed from then on, by every program.
    /// - Without an offence nobody is.
    /// - A removed tenant no longer is.
    async fn barred(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseOffence>>;

    /// Lets a barred tenant's role log in again, with the password that it had.
    /// [`TenantDatabase::issue`](crate::TenantDatabase::issue) does so as well, with a new one.
    ///
    /// # Behavior
    /// - Its credentials work again, and it is barred no more.
    /// - New credentials end it as well.
    /// - For a tenant that is not barred it changes nothing.
    /// - A lower generation than one seen is `LeaseLost`, and the tenant stays barred.
    async fn admit(&self, fence: Fence) -> Result<()>;
}
