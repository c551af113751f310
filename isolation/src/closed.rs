//! Databases that a tenant may not enter, and views that must show it nothing of others.

use fresco_core::Isolation;

use crate::table::{Expected, Table, said};
use crate::world::{World, Wrong};

/// Each counts what may not be seen.
const VIEWS: &[(&str, &str)] = &[
    (
        "see other roles' statements (pg_stat_activity)",
        "SELECT count(*) FROM pg_stat_activity
         WHERE usename <> current_user AND query <> '<insufficient privilege>'",
    ),
    (
        "see other roles' addresses (pg_stat_activity)",
        "SELECT count(*) FROM pg_stat_activity
         WHERE usename <> current_user AND (client_addr IS NOT NULL OR client_port IS NOT NULL)",
    ),
    (
        "see subdomains or addresses in comments on roles and databases",
        "SELECT count(*) FROM pg_shdescription s
         WHERE description !~ '^fresco platform=[-0-9a-f]{36}( generation=[0-9]+ credential=([-0-9a-f]{36}|none))?$'
           AND NOT EXISTS (SELECT FROM pg_database d WHERE d.oid = s.objoid AND s.objoid < 16384)",
    ),
    (
        "see secrets in settings of other roles (pg_db_role_setting)",
        "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(setconfig) c
         WHERE c !~ '^(idle_in_transaction_session_timeout=[0-9]+|search_path=tenant_[0-9a-f_]+)$'",
    ),
    (
        "see columns of other tenants' tables (pg_statistic)",
        "SELECT count(*) FROM pg_stats WHERE schemaname LIKE 'tenant%' AND schemaname <> current_schema()",
    ),
];

pub(crate) async fn rows(world: &dyn World, table: &mut Table) -> Result<(), Wrong> {
    let (mine, theirs) = tokio::try_join!(world.tenant(), world.tenant())?;
    let they = theirs.connect().await?;
    they.batch_execute("CREATE TABLE private AS SELECT 'x' AS text FROM generate_series(1, 100)")
        .await?;
    they.batch_execute("ANALYZE private").await?;

    let (own, names) = (theirs.id.database_name(), world.names());
    let mut closed = vec![
        ("sit in postgres", "postgres"),
        ("sit in template1 (blocks every CREATE DATABASE)", "template1"),
        ("sit in template0", "template0"),
        ("enter the platform's database", names.database.as_str()),
    ];
    if world.isolation() == Isolation::Database {
        closed.push(("enter another tenant's database", &own));
        closed.push(("enter the database that holds schemas", &names.schemas));
    }
    for (attempt, database) in closed {
        let observed = match mine.in_database(database).connect().await {
            Ok(_) => Err(Wrong::from("entered")),
            Err(error) => match error.as_db_error() {
                Some(db) if ["42501", "55000"].contains(&db.code().code()) => Ok(said(db)),
                _ => Err(error.into()),
            },
        };
        table.add(Expected::Refused, attempt, observed);
    }

    let me = mine.connect().await?;
    for (attempt, sql) in VIEWS {
        let observed = match me.query_one(*sql, &[]).await {
            Ok(row) if row.get::<_, i64>(0) == 0 => Ok("nothing is shown".into()),
            Ok(row) => Err(Wrong(format!("{} shown", row.get::<_, i64>(0)))),
            Err(error) => Err(error.into()),
        };
        table.add(Expected::Refused, *attempt, observed);
    }
    let sql = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tenant%'),
                      (SELECT count(*) FROM pg_roles
                       WHERE rolname LIKE 'tenant%' AND rolname !~ '^tenant_user_[0-9a-f_]{36}$')";
    let row = me.query_one(sql, &[]).await?;
    let (seen, telling): (i64, i64) = (row.get(0), row.get(1));
    let observed = match telling {
        0 => Ok(format!("{seen} names, random numbers all")),
        _ => Err(Wrong(format!("{telling} names tell something"))),
    };
    table.add(Expected::Bounded, "see that other tenants exist (names of roles)", observed);

    // Whoever shares a database shares its catalog and its advisory locks: the price of a schema.
    let shares = world.isolation() == Isolation::Schema;
    let expected = if shares { Expected::Open } else { Expected::Refused };
    they.batch_execute("SELECT pg_advisory_lock(7100)").await?;
    for (attempt, sql) in [
        (
            "see the names of other tenants' tables (pg_class)",
            "SELECT count(*) FROM pg_class
             WHERE relname = 'private' AND relnamespace <> current_schema()::regnamespace",
        ),
        (
            "stand in the way of another tenant's advisory locks",
            "SELECT count(*) FROM (SELECT pg_try_advisory_lock(7100) AS free) l WHERE NOT free",
        ),
    ] {
        let seen: i64 = me.query_one(sql, &[]).await?.get(0);
        let observed = match (seen, shares) {
            (0, false) => Ok("nothing is shown".into()),
            (1.., true) => {
                Ok("in the database that tenants share; TENANT_ISOLATION=database ends it".into())
            }
            _ => Err(Wrong(format!("{seen} shown"))),
        };
        table.add(expected, attempt, observed);
    }
    Ok(())
}
