//! The fence: every change of a tenant's things goes through [`Guard`].
//!
//! A client that dies in the middle of a statement does not end the statement: the server goes on,
//! for seconds. Meanwhile somebody else, in a newer generation, takes over. What the dead one left
//! under way must not take effect after what the newer one does.
//!
//! So each connection that runs a change first takes the tenant's advisory lock *itself*, and looks
//! at the generation then. The lock belongs to the server's session, not to the client: it is held
//! until the late statement has ended, and the newer one waits for it. Whoever gets the lock later
//! with an older generation is refused, because the look comes after the lock. Between the look
//! and the end of the change the lock is never given back.
//!
//! Two things make this less simple:
//!
//! - Advisory locks are per database. The lock in the platform's database covers what is done
//!   there (roles, whole databases), but a statement in another database needs a lock *there*, and
//!   a look at something that can be seen there. The role's comment can: roles are shared by all
//!   databases. A newer generation writes its number into that comment, committed, before it goes
//!   to any other database, so whoever takes the lock there after it finds the number of the newer
//!   one, or no role at all, and stops. Whoever took the lock there before is waited for.
//! - The comment goes with the role. What must be known for ever, that a tenant of this generation
//!   was removed, is in the table `fresco_fence.tenants`. Nothing of a tenant is ever made without
//!   that table's consent, and outside of the platform's database nothing without the role.

use std::time::Duration;

use fresco_core::{Error, ErrorKind, Fence, Generation, PlatformId, Result};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::names::{RoleMark, ident, literal};
use crate::errors::{Mapped, from_driver};
use crate::server::Server;

/// One lock in the platform's database for the rights on what tenants share: PostgreSQL refuses
/// two changes of one object's rights at the same time.
const SHARED_RIGHTS: i64 = 0x6672_6573_636f_0003;

/// How often a connection that waits for work elsewhere says that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The right to change one tenant's things: a connection to the platform's database that holds the
/// tenant's lock there. The lock ends with it.
pub(super) struct Guard<'a> {
    pub(super) client: Client,
    server: &'a Server,
    platform: PlatformId,
    pub(super) fence: Fence,
    patience: Duration,
}

impl<'a> Guard<'a> {
    /// Takes the lock, and refuses a generation lower than one that was seen.
    pub(super) async fn take(
        server: &'a Server,
        platform: PlatformId,
        fence: Fence,
        patience: Duration,
    ) -> Result<Guard<'a>> {
        let client = locked(server, fence, patience, None).await?;
        let seen: i64 = client
            .query_one(
                "INSERT INTO fresco_fence.tenants AS seen (platform, tenant, generation)
                 VALUES ($1, $2, $3)
                 ON CONFLICT (platform, tenant) DO UPDATE
                 SET generation = greatest(seen.generation, excluded.generation)
                 RETURNING generation",
                &[&platform.as_uuid(), &fence.tenant.as_uuid(), &fence.generation.number()],
            )
            .await
            .mapped()?
            .try_get(0)
            .mapped()?;
        if seen > fence.generation.number() {
            return Err(lost(fence, Some(Generation::new(seen))));
        }
        Ok(Self { client, server, platform, fence, patience })
    }

    /// A connection to another database that holds the tenant's lock there. The role must be there
    /// and carry this guard's generation: [`Guard::mark`].
    pub(super) async fn enter(&self, database: &str) -> Result<Client> {
        let server = self.server.database(database);
        self.check(locked(&server, self.fence, self.patience, None).await?).await
    }

    /// The same with another login, in the same database as this connection of the platform's.
    pub(super) async fn enter_as(&self, server: &Server, inside: &Client) -> Result<Client> {
        self.check(locked(server, self.fence, self.patience, Some(inside)).await?).await
    }

    async fn check(&self, client: Client) -> Result<Client> {
        let sql = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1";
        let row = client.query_opt(sql, &[&self.fence.tenant.role_name()]).await.mapped()?;
        let comment: Option<String> = row.and_then(|row| row.get(0));
        let mark = comment.as_deref().and_then(RoleMark::parse);
        match mark.filter(|mark| mark.platform == self.platform) {
            Some(mark) if mark.generation == self.fence.generation => Ok(client),
            other => Err(lost(self.fence, other.map(|mark| mark.generation))),
        }
    }

    /// Does work that takes longer than a session may do nothing, with the tenant's lock held until
    /// its end: this connection says now and then that it is still there.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let stay = async {
            loop {
                tokio::time::sleep(SIGN_OF_LIFE).await;
                if let Err(error) = self.client.batch_execute("").await {
                    return from_driver(error);
                }
            }
        };
        tokio::select! {
            result = work => result,
            error = stay => Err(error),
        }
    }

    /// Begins a transaction in the platform's database.
    pub(super) async fn transaction(&mut self) -> Result<Transaction<'_>> {
        self.client.transaction().await.mapped()
    }

    /// The statement that writes this guard's generation into the role's comment.
    pub(super) fn mark(&self, credential: Option<fresco_core::CredentialId>) -> String {
        let mark =
            RoleMark { platform: self.platform, generation: self.fence.generation, credential };
        let role = ident(&self.fence.tenant.role_name());
        format!("COMMENT ON ROLE {role} IS {}", literal(mark))
    }
}

/// Within a transaction in the platform's database: nobody else changes rights on what tenants
/// share until it ends.
pub(super) async fn lock_shared_rights(transaction: &Transaction<'_>) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock($1)";
    transaction.execute(sql, &[&SHARED_RIGHTS]).await.mapped()?;
    Ok(())
}

/// A connection that holds the tenant's lock. Those who stand in the way are ended by itself, or by
/// a connection that may do more.
async fn locked(
    server: &Server,
    fence: Fence,
    patience: Duration,
    stronger: Option<&Client>,
) -> Result<Client> {
    let key = fence.tenant.lock_key();
    let client = server.connect().await?;
    let deadline = Instant::now() + patience;
    client.batch_execute("SET lock_timeout = '1s'").await.mapped()?;
    loop {
        match client.execute("SELECT pg_advisory_lock($1)", &[&key]).await {
            Ok(_) => break,
            Err(e) if e.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                if Instant::now() >= deadline {
                    return Err(Error::new(
                        ErrorKind::TimedOut,
                        "an earlier change of this tenant's database has not ended yet",
                    )
                    .with("tenant", fence.tenant)
                    .with_source(e));
                }
                evict(stronger.unwrap_or(&client), key).await?;
            }
            Err(e) => return Err(from_driver(e)),
        }
    }
    client.batch_execute("RESET lock_timeout").await.mapped()?;
    Ok(client)
}

/// Ends sessions of tenants that hold this lock: anybody who may connect to a database can take
/// any advisory lock there, and could keep the platform out for ever. A copy that is being put in
/// is ended as well: whoever comes now has the same generation or a newer one. So is a session of the
/// platform's own that gives no sign of life: its program hangs, or is frozen.
async fn evict(client: &Client, key: i64) -> Result<()> {
    client
        .execute(
            r"SELECT pg_terminate_backend(l.pid)
              FROM pg_locks l
              JOIN pg_database d ON d.oid = l.database
              JOIN pg_stat_activity a ON a.pid = l.pid
              WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 1
                AND l.classid::bigint = ($1::bigint >> 32) & 4294967295
                AND l.objid::bigint = $1::bigint & 4294967295
                AND (a.usename LIKE 'tenant\_user\_%' OR a.usename LIKE 'fresco\_copy\_%'
                     OR a.application_name = 'fresco-tenants' AND a.state = 'idle'
                        AND a.state_change < now() - interval '15 seconds')
                AND pg_has_role(a.usesysid, 'USAGE')",
            &[&key],
        )
        .await
        .mapped()?;
    Ok(())
}

/// The error for whoever comes too late. That a program was replaced in the meantime is rare, and
/// it stops by itself; but a store that was restored from a backup gives out generations that are
/// over, one after the other, and nobody would know why nothing gets done. So a person is told.
fn lost(fence: Fence, seen: Option<Generation>) -> Error {
    let error = |message| {
        Error::new(ErrorKind::LeaseLost, message)
            .with("tenant", fence.tenant)
            .with("generation", fence.generation)
    };
    let Some(seen) = seen.filter(|seen| *seen > fence.generation) else {
        return error("somebody else works on this tenant's database now, or has removed it");
    };
    let error = error(STALE).with("seen", seen);
    tracing::warn!(error = error.chain(), "refused a change of a tenant's database");
    error
}

/// What a refusal says when the server has seen a newer generation.
const STALE: &str = "the tenants' database has seen a newer generation of this tenant than this program holds: either somebody else works on the tenant now, and nothing need be done, or the store is older than the tenants' database (was it restored from a backup?): then raise the tenant's generation in the store to the one that was seen";
