//! What all tenants of a server share.

use fresco_core::{Error, ErrorKind, Result};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::config::PostgresTenantsConfig;
use super::names::ident;
use crate::close::{SETUP_LOCK, close};
use crate::errors::{Mapped, from_driver, was_overtaken};
use crate::server::Server;

/// Checks the server and the role's rights, and makes what is shared. Returns the server's
/// version.
pub(super) async fn prepare(server: &Server, config: &PostgresTenantsConfig) -> Result<i32> {
    let client = server.connect().await?;
    refuse_shared_admin(&client, config).await?;
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
                    rolsuper, rolcreaterole, rolcreatedb
             FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .await
        .mapped()?;
    let version: i32 = row.get(0);
    if version < 150_000 {
        return Err(Error::new(ErrorKind::Unsupported, "PostgreSQL 15 or newer is needed")
            .with("server", server)
            .with("version", row.get::<_, &str>(1)));
    }
    if version < 160_000 {
        tracing::warn!(
            version = row.get::<_, &str>(1),
            "with this PostgreSQL a role with CREATEROLE can get all rights on the server; production needs 16 or newer"
        );
    }
    let (superuser, roles, databases): (bool, bool, bool) = (row.get(2), row.get(3), row.get(4));
    if superuser {
        tracing::warn!(
            "the platform's role is a superuser; one with CREATEROLE and CREATEDB will do"
        );
    } else if !roles || !databases {
        return Err(Error::new(
            ErrorKind::Denied,
            "the platform's role needs CREATEROLE and CREATEDB; as a superuser: ALTER ROLE … CREATEROLE CREATEDB",
        )
        .with("server", server));
    }
    client.execute("SELECT pg_advisory_lock($1)", &[&SETUP_LOCK]).await.mapped()?;
    // The lock ends with the connection, whether this works or not.
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS fresco_fence;
             CREATE TABLE IF NOT EXISTS fresco_fence.tenants (
                 platform   uuid   NOT NULL,
                 tenant     uuid   NOT NULL,
                 generation bigint NOT NULL,
                 PRIMARY KEY (platform, tenant)
             );
             CREATE TABLE IF NOT EXISTS fresco_fence.barred (
                 platform uuid        NOT NULL,
                 tenant   uuid        NOT NULL,
                 excess   text        NOT NULL,
                 measured bigint      NOT NULL,
                 allowed  bigint      NOT NULL,
                 since    timestamptz NOT NULL DEFAULT now(),
                 PRIMARY KEY (platform, tenant)
             )",
        )
        .await
        .mapped()?;
    close(&client, server).await?;
    make_schema_database(&client, &config.schema_database).await?;
    // Whoever is overtaken by another platform looks anew; the caller ends this in time.
    while !close_schema_database(&client, server, &config.schema_database).await? {}
    Ok(version)
}

/// Makes the database that holds schemas. Nobody can come in before it is closed.
async fn make_schema_database(client: &Client, name: &str) -> Result<()> {
    let look = "SELECT FROM pg_database WHERE datname = $1";
    if client.query_opt(look, &[&name]).await.mapped()?.is_some() {
        return Ok(());
    }
    let name = ident(name);
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ALLOW_CONNECTIONS false");
    match client.batch_execute(&sql).await {
        // Another platform, with another database of its own, was faster.
        Err(e) if e.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        Err(e) if e.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
        other => other.map_err(from_driver),
    }
}

/// Closes the database that holds schemas to all but those who are let in. False says that another
/// platform changed it in the same moment, so that it must be looked at anew.
async fn close_schema_database(client: &Client, server: &Server, name: &str) -> Result<bool> {
    let look = "SELECT pg_has_role(datdba, 'USAGE'), datallowconn,
                       has_database_privilege('public', oid, 'CONNECT, TEMPORARY')
                FROM pg_database WHERE datname = $1";
    let Some(row) = client.query_opt(look, &[&name]).await.mapped()? else {
        return Err(Error::new(ErrorKind::Unavailable, "the database for schemas vanished")
            .with("database", name));
    };
    let (owner, connections, open): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if !owner {
        return Err(Error::new(
            ErrorKind::Denied,
            "the database for tenants' schemas belongs to another role; give it to the platform's role, or choose another name",
        )
        .with("database", name));
    }
    let quoted = ident(name);
    if open {
        let sql = format!("REVOKE ALL ON DATABASE {quoted} FROM PUBLIC");
        if !changed(client, &sql).await? {
            return Ok(false);
        }
    }
    if !connections {
        let sql = format!("ALTER DATABASE {quoted} ALLOW_CONNECTIONS true");
        if !changed(client, &sql).await? {
            return Ok(false);
        }
    }
    let inside = server.database(name).connect().await?;
    let sql = "SELECT has_schema_privilege('public', oid, 'USAGE, CREATE')
               FROM pg_namespace WHERE nspname = 'public'";
    let open = inside.query_opt(sql, &[]).await.mapped()?.is_some_and(|row| row.get(0));
    match open {
        true => changed(&inside, "REVOKE ALL ON SCHEMA public FROM PUBLIC").await,
        false => Ok(true),
    }
}

/// Whether the statement was done, and not overtaken by another session's.
async fn changed(client: &Client, sql: &str) -> Result<bool> {
    match client.batch_execute(sql).await {
        Ok(()) => Ok(true),
        Err(error) if was_overtaken(&error) => Ok(false),
        Err(error) => Err(from_driver(error)),
    }
}

/// The lock and the memory of a tenant's generation are in the URL's database, and tenants may not
/// come there; besides, one lock can't be taken there twice.
async fn refuse_shared_admin(client: &Client, config: &PostgresTenantsConfig) -> Result<()> {
    let row = client.query_one("SELECT current_database()::text", &[]).await.mapped()?;
    let database: String = row.get(0);
    if database != config.schema_database {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        "the tenants' administration needs another database than the one for tenants' schemas: let its URL end in the platform's own database",
    )
    .with("database", database))
}
