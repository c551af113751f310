//! Whose is what lies in files that tenants share.
//!
//! A database of its own says exactly how much a tenant keeps. Of the one that holds schemas only
//! tables and their indexes tell whose they are. The rest is large objects, the server's catalogs,
//! and what a transaction wrote that has not ended yet. Each of these three is measured; to whom it
//! belongs is told by what is there to see.

use std::collections::BTreeMap;
use std::time::Duration;

use fresco_core::{DatabaseExcess, Result};
use tokio::time::Instant;
use tokio_postgres::{Client, Row};

use super::Found;
use super::eyes::Doing;
use crate::errors::Mapped;

/// `pg_db_role_setting`, which all databases share.
pub(super) const SETTINGS: u32 = 2964;

/// Stand in for an owner: of large objects, and of the catalogs.
const LARGE_OBJECTS: i64 = -1;
const CATALOGS: i64 = -2;

/// The bytes of all relations by their owners, temporary ones too. A relation under a lock that
/// keeps everybody out is left out: to ask for its size would wait.
const OWNERS: &str = "
    SELECT CASE WHEN c.oid = 2613 THEN -1 WHEN c.oid < 16384 THEN -2 ELSE c.relowner::bigint END,
           coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
    FROM pg_class c
    WHERE c.relkind IN ('r', 'm', 'S') AND NOT c.relisshared
      AND NOT EXISTS (
          SELECT FROM pg_locks l
          WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    GROUP BY 1";

/// Who owns how many large objects, most first. They are all in one table of the server's own, and
/// only their number is told.
const OBJECTS: &str = "
    SELECT lomowner::bigint, count(*) FROM pg_largeobject_metadata GROUP BY 1 ORDER BY 2 DESC";

/// Whose definitions take how many bytes of the catalogs, most first: what can be made long.
const DEFINITIONS: &str = "
    SELECT owner::bigint, sum(bytes)::bigint
    FROM (SELECT proowner, pg_column_size(prosrc) + 500 FROM pg_proc
          UNION ALL SELECT relowner, 500 + relnatts * 300 FROM pg_class
          UNION ALL SELECT c.relowner, pg_column_size(r.ev_action) + 200
                    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
          UNION ALL SELECT c.relowner, pg_column_size(a.adbin)
                    FROM pg_attrdef a JOIN pg_class c ON c.oid = a.adrelid
          UNION ALL SELECT c.relowner, pg_column_size(k.conbin)
                    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
          UNION ALL SELECT c.relowner, pg_column_size(t.tgqual) + pg_column_size(t.tgargs)
                    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
          UNION ALL SELECT c.relowner, pg_column_size(p.polqual)
                    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
          UNION ALL SELECT c.relowner, pg_column_size(d.description)
                    FROM pg_description d JOIN pg_class c ON d.classoid = 1259 AND c.oid = d.objoid
          UNION ALL SELECT f.proowner, pg_column_size(d.description)
                    FROM pg_description d JOIN pg_proc f ON d.classoid = 1255 AND f.oid = d.objoid
          UNION ALL SELECT typowner, pg_column_size(typdefault) + 300 FROM pg_type
         ) AS own (owner, bytes)
    GROUP BY 1 ORDER BY 2 DESC";

const SETTINGS_OF_ROLES: &str = "
    SELECT setrole::bigint, sum(pg_column_size(setconfig))::bigint FROM pg_db_role_setting
    GROUP BY 1 ORDER BY 2 DESC";

/// The least that a role's settings take before they are held against it: the platform's own are
/// some hundred bytes.
const MANY_SETTINGS: u64 = 64 << 10;

/// After this time what has grown slowly is nobody's fault.
const HOUR: Duration = Duration::from_secs(3600);

/// What of the database that holds schemas is in no tenant's tables, in bytes. It does not shrink
/// when a tenant goes, so it is its growth that is held against somebody.
pub(super) struct Rest {
    large_objects: u64,
    catalogs: u64,
    hidden: u64,
    at: Instant,
}

impl Rest {
    pub(super) fn is_old(&self) -> bool {
        self.at.elapsed() > HOUR
    }

    fn of(owners: &BTreeMap<i64, u64>, whole: u64) -> Self {
        let of = |kind| owners.get(&kind).copied().unwrap_or(0);
        let hidden = whole.saturating_sub(owners.values().sum());
        let (large_objects, catalogs) = (of(LARGE_OBJECTS), of(CATALOGS));
        Self { large_objects, catalogs, hidden, at: Instant::now() }
    }

    /// The least of each, since then.
    fn least(&self, other: &Self) -> Self {
        Self {
            large_objects: self.large_objects.min(other.large_objects),
            catalogs: self.catalogs.min(other.catalogs),
            hidden: self.hidden.min(other.hidden),
            at: self.at,
        }
    }
}

/// Whose schema is too large, or by whom what else lies in the same database has grown too much.
pub(super) async fn schemas(
    client: &Client,
    whole: u64,
    limit: u64,
    before: &mut Option<Rest>,
    tenants: &[&Doing],
) -> Result<Vec<Found>> {
    let owners: BTreeMap<_, _> = by_owner(client, OWNERS).await?.into_iter().collect();
    let large = tenants.iter().filter_map(|one| Some((*one, *owners.get(&one.role)?)));
    let found: Vec<_> = large
        .filter(|(_, bytes)| *bytes > limit)
        .map(|(one, bytes)| one.found(DatabaseExcess::Bytes, bytes, limit))
        .collect();
    let now = Rest::of(&owners, whole);
    let Some(least) = before.take().filter(|rest| !rest.is_old()).map(|rest| rest.least(&now))
    else {
        *before = Some(now);
        return Ok(found);
    };
    // What else there is may be of the same tenant: that is looked at when its sessions are over.
    if !found.is_empty() {
        *before = Some(least);
        return Ok(found);
    }
    let grown = |of: fn(&Rest) -> u64| of(&now) - of(&least);
    let writing: Vec<_> = tenants.iter().copied().filter(|one| one.writing > 0.0).collect();
    let objects = grown(|rest| rest.large_objects);
    let catalogs = grown(|rest| rest.catalogs);
    let hidden = grown(|rest| rest.hidden);
    let (bytes, whose) = if objects > limit {
        let most = by_owner(client, OBJECTS).await?;
        (objects, first(&most, &writing, 1).or_else(|| first(&most, tenants, 1)))
    } else if catalogs > limit {
        // A part that explains it; else it is of a transaction that nobody sees yet.
        (catalogs, first(&by_owner(client, DEFINITIONS).await?, tenants, catalogs / 4))
    } else if hidden > limit {
        // Files of tables that nobody else sees yet, or that are written anew: who does that keeps
        // all others out of the table.
        (hidden, writer(writing.iter().copied().filter(|one| one.excludes)))
    } else {
        *before = Some(least);
        return Ok(found);
    };
    let whose = whose.or_else(|| writer(writing.iter().copied()));
    if whose.is_none() {
        tracing::warn!(
            bytes,
            "the database that holds schemas has grown by what no tenant's schema accounts for"
        );
    }
    // Also when nobody was found: who writes next has not done it.
    *before = Some(now);
    Ok(whose.map(|one| one.found(DatabaseExcess::Bytes, bytes, limit)).into_iter().collect())
}

/// Who fills the table of roles' settings, which has this size. Versions of them that are over count
/// in it, too, so that it stays large for a while; who is told of must have many settings now.
pub(super) async fn settings(
    client: &Client,
    bytes: u64,
    limit: u64,
    ours: &[Doing],
) -> Result<Vec<Found>> {
    let most = by_owner(client, SETTINGS_OF_ROLES).await?;
    let ours: Vec<_> = ours.iter().collect();
    let whose = first(&most, &ours, MANY_SETTINGS);
    Ok(whose.map(|one| one.found(DatabaseExcess::Bytes, bytes, limit)).into_iter().collect())
}

/// The first of these owners that has a session, if it has at least so much.
fn first<'a>(owners: &[(i64, u64)], tenants: &[&'a Doing], least: u64) -> Option<&'a Doing> {
    let most = owners.iter().take_while(|(_, much)| *much >= least);
    most.filter_map(|(role, _)| tenants.iter().copied().find(|one| one.role == *role)).next()
}

/// Whose transaction has been writing for longest.
fn writer<'a>(tenants: impl Iterator<Item = &'a Doing>) -> Option<&'a Doing> {
    tenants.max_by(|a, b| a.writing.total_cmp(&b.writing))
}

async fn by_owner(client: &Client, sql: &str) -> Result<Vec<(i64, u64)>> {
    let rows = client.query(sql, &[]).await.mapped()?;
    rows.iter().map(|row| Ok((row.try_get(0).mapped()?, number(row, 1)?))).collect()
}

fn number(row: &Row, column: usize) -> Result<u64> {
    let number: i64 = row.try_get(column).mapped()?;
    Ok(u64::try_from(number).unwrap_or(0))
}
