//! The connection that sees, and ends sessions, also on a server that can do nothing else any more.
//!
//! It stays in one transaction. To read a table takes a lock on it and on its indexes, which is
//! kept until the transaction ends; for tables that all databases share, that is a place in the
//! table of locks, which a tenant can fill. The first look takes those places. The later ones, and
//! what the server reads by itself to check a right, find the locks taken. Locks on tables of this
//! database alone have places of their own, up to sixteen.
//!
//! Such a transaction hinders nobody: between two statements it sees no older state than anybody
//! else (read committed), and its locks are of the weakest kind. Only rebuilding a shared catalog
//! (`VACUUM FULL pg_database`) waits for it.

use fresco_core::{Result, TenantId};
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Row, Statement};

use super::tenant_of;
use crate::errors::Mapped;
use crate::server::Server;

/// What the roles of tenants do. Functions, not views: a view would read more shared tables than
/// it must, and that of locks is one for each version anyway.
const LOOK: &str = r"
    WITH session AS (
        SELECT pid, usesysid, datid, xact_start, backend_xid IS NOT NULL AS writes
        FROM pg_stat_get_activity(NULL) WHERE usesysid IS NOT NULL
    ), held AS (
        SELECT pid, count(*) FILTER (WHERE NOT fastpath) AS locks,
               bool_or(locktype = 'object' AND database = 0 AND classid = 1262 AND objid = 0) AS notifies,
               bool_or(locktype = 'relation' AND mode = 'AccessExclusiveLock') AS excludes
        FROM pg_lock_status() GROUP BY pid
    )
    SELECT r.oid::bigint, r.rolname::text, shobj_description(r.oid, 'pg_authid'),
           coalesce(max(extract(epoch FROM clock_timestamp() - s.xact_start)), 0)::float8,
           coalesce(max(extract(epoch FROM clock_timestamp() - s.xact_start)) FILTER (WHERE s.writes), 0)::float8,
           coalesce(sum(h.locks), 0)::bigint, coalesce(bool_or(h.notifies), false),
           array_agg(DISTINCT d.datname::text) FILTER (WHERE d.datname IS NOT NULL),
           coalesce(bool_or(h.excludes), false), r.rolcanlogin,
           (array_agg(s.pid ORDER BY s.xact_start))[1]
    FROM pg_roles r
    JOIN session s ON s.usesysid = r.oid
    LEFT JOIN held h ON h.pid = s.pid
    LEFT JOIN pg_database d ON d.oid = s.datid
    WHERE r.rolname LIKE 'tenant\_user\_%'
    GROUP BY r.oid, r.rolname, r.rolcanlogin";

/// Ends a role's sessions: those whose transaction is open for longer than this, or all.
const END: &str = "
    SELECT count(*), count(*) FILTER (WHERE pg_terminate_backend(pid))
    FROM pg_stat_get_activity(NULL)
    WHERE usesysid::bigint = $1
      AND ($2::float8 IS NULL OR extract(epoch FROM clock_timestamp() - xact_start) > $2)";

/// To check whether a session may be ended the server reads memberships, which nothing above does.
/// The number of places in the table of locks is read on the way.
const WARM_UP: &str = "
    SELECT current_setting('max_locks_per_transaction')::bigint
           * (current_setting('max_connections')::bigint
              + current_setting('max_prepared_transactions')::bigint),
           (SELECT count(*) FROM pg_auth_members), (SELECT count(*) FROM pg_db_role_setting)";

/// Before each question. Within a transaction the server keeps two things that must be as they are
/// now: what sessions do, and what it knows of roles and memberships. The latter it looks at again
/// when it takes a lock on a table; one that it holds no lock on, and gives back at once.
const FRESH: &str = "
    SAVEPOINT question; SELECT FROM pg_catalog.pg_language LIMIT 1; ROLLBACK TO SAVEPOINT question;
    SELECT pg_stat_clear_snapshot()";
/// After a question, and after one that failed.
const KEEP: &str = "RELEASE SAVEPOINT question";
const BACK: &str = "ROLLBACK TO SAVEPOINT question; RELEASE SAVEPOINT question";

/// What a tenant's role does now.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    pub(super) tenant: TenantId,
    /// The role's number in the server.
    pub(super) role: i64,
    /// Whose it is.
    pub(super) comment: Option<String>,
    /// Seconds since its oldest open transaction began.
    pub(super) transaction: f64,
    /// The same of its oldest one that has written something.
    pub(super) writing: f64,
    /// Places in the table of locks.
    pub(super) locks: u64,
    /// Whether it was sending notifications just then.
    pub(super) notifies: bool,
    /// Whether it keeps everybody else out of a table.
    pub(super) excludes: bool,
    /// Whether it may log in.
    pub(super) admitted: bool,
    /// The process of the session with the oldest open transaction.
    pub(super) oldest: i32,
    /// Where its sessions are.
    pub(super) databases: Vec<String>,
}

pub(super) struct Eyes {
    client: Client,
    look: Statement,
    end: Statement,
    queue: Statement,
    lock_table: u64,
}

impl Eyes {
    /// Connects, and takes beforehand what a later look needs.
    pub(super) async fn open(server: &Server) -> Result<Self> {
        let client = server.connect().await?;
        // Without a snapshot that outlives a statement, and without a number of its own.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
        client.batch_execute(begin).await.mapped()?;
        let table: i64 = client.query_one(WARM_UP, &[]).await.mapped()?.try_get(0).mapped()?;
        let sql = "SELECT (pg_notification_queue_usage() * 100)::float8";
        let eyes = Self {
            look: client.prepare(LOOK).await.mapped()?,
            end: client.prepare(END).await.mapped()?,
            queue: client.prepare(sql).await.mapped()?,
            client,
            lock_table: u64::try_from(table).unwrap_or(0),
        };
        eyes.look().await?;
        eyes.queue().await?;
        // Nobody has this number.
        eyes.end_all(0).await?;
        Ok(eyes)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Places in the server's table of locks.
    pub(super) const fn lock_table(&self) -> u64 {
        self.lock_table
    }

    /// What all roles of tenants' names do that have a session.
    pub(super) async fn look(&self) -> Result<Vec<Doing>> {
        let rows = self.ask(&self.look, &[]).await?;
        rows.iter().filter_map(|row| doing(row).transpose()).collect()
    }

    /// How full the queue of notifications is, in hundredths.
    pub(super) async fn queue(&self) -> Result<u64> {
        let used: f64 = number(&self.ask(&self.queue, &[]).await?)?;
        Ok(used.ceil() as u64)
    }

    /// Asks all of a role's sessions to end. Tells how many there are.
    pub(super) async fn end_all(&self, role: i64) -> Result<i64> {
        number(&self.ask(&self.end, &[&role, &None::<f64>]).await?)
    }

    /// Asks those of a role's sessions to end whose transaction is open for longer than this many
    /// seconds. Tells how many there are.
    pub(super) async fn end_older(&self, role: i64, seconds: f64) -> Result<i64> {
        number(&self.ask(&self.end, &[&role, &Some(seconds)]).await?)
    }

    /// Asks what is so now. An error must not end the transaction.
    async fn ask(&self, what: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.client.batch_execute(FRESH).await.mapped()?;
        let answer = self.client.query(what, values).await;
        let end = if answer.is_ok() { KEEP } else { BACK };
        self.client.batch_execute(end).await.mapped()?;
        answer.mapped()
    }
}

/// The number in the first column of the only row.
fn number<T: FromSqlOwned + Default>(rows: &[Row]) -> Result<T> {
    rows.first().map_or_else(|| Ok(T::default()), |row| row.try_get(0).mapped())
}

fn doing(row: &Row) -> Result<Option<Doing>> {
    let Some(tenant) = tenant_of(row.try_get(1).mapped()?) else { return Ok(None) };
    let locks: i64 = row.try_get(5).mapped()?;
    let databases: Option<Vec<String>> = row.try_get(7).mapped()?;
    Ok(Some(Doing {
        tenant,
        role: row.try_get(0).mapped()?,
        comment: row.try_get(2).mapped()?,
        transaction: row.try_get(3).mapped()?,
        writing: row.try_get(4).mapped()?,
        locks: u64::try_from(locks).unwrap_or(0),
        notifies: row.try_get(6).mapped()?,
        excludes: row.try_get(8).mapped()?,
        admitted: row.try_get(9).mapped()?,
        oldest: row.try_get(10).mapped()?,
        databases: databases.unwrap_or_default(),
    }))
}
