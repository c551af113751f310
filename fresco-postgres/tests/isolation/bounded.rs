//! What a tenant can do up to a limit.

use std::time::Duration;

use fresco_core::{DatabaseExcess, DatabaseWatch, TenantDatabase};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::support::connect;
use crate::support::tenants::fence;
use crate::table::{Expected, Table};
use crate::world::{CONNECTIONS, TRANSACTION_LIMIT, Tenant, World};

/// From a limit until something past it has ended.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn rows(world: &World, table: &mut Table) {
    let bounded = Expected::Bounded;
    table.add(bounded, "exhaust the server's connections", connections(world).await);
    table.add(bounded, "change its own password, and keep it", password(world).await);
    table.add(bounded, "put settings on its own role, and keep them", settings(world).await);
    table.add(bounded, "fill the disk with temporary files", temporary(world).await);
    table.add(bounded, "take the server's memory", memory(world).await);
    table.add(bounded, "log in again and again, in twenty loops", logins(world).await);
    let idle = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET idle_session_timeout = 0; BEGIN; SELECT pg_current_xact_id()";
    let attempt = "hold a transaction open, its timeouts lifted";
    table.add(bounded, attempt, transaction(world, idle, None).await);
    let attempt = "the same, lifted for its role";
    let role = "ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = 0";
    table.add(bounded, attempt, role_timeout(world, role).await);
    let attempt = "compute for ever";
    let compute = "DO $$BEGIN LOOP END LOOP; END$$";
    table.add(bounded, attempt, transaction(world, "", Some(compute)).await);
    let attempt = "grant to another tenant, which is then destroyed";
    table.add(bounded, attempt, grants(world).await);
    let attempt = "hold the lock by which the platform changes it, and be destroyed";
    table.add(bounded, attempt, platform_lock(world).await);
}

async fn connections(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let mut open = Vec::new();
    let error = loop {
        match connect(&tenant.url).await {
            Ok(client) => open.push(client),
            Err(error) => break error,
        }
        if open.len() > CONNECTIONS as usize {
            return Err(format!("{} connections", open.len()));
        }
    };
    match error.as_db_error().map(|db| db.code().code()) {
        Some("53300") if open.len() == CONNECTIONS as usize => {
            Ok(format!("{} connections, then 53300", open.len()))
        }
        _ => Err(format!("{} connections, then {error}", open.len())),
    }
}

async fn password(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let me = tenant.connect().await;
    me.batch_execute("ALTER ROLE CURRENT_USER PASSWORD 'own'").await.unwrap();
    let role = tenant.id.role_name();
    let (_, place) = tenant.url.rsplit_once('@').unwrap();
    let own = format!("postgresql://{role}:own@{place}");
    connect(&own).await.map_err(|e| e.to_string())?;
    let issued = world.issue(tenant.id, 1).await;
    connect(&issued.url).await.map_err(|e| e.to_string())?;
    let session_is_over = me.batch_execute("SELECT 1").await.is_err();
    match connect(&own).await {
        Err(_) if session_is_over => Ok("until the next credentials are issued".into()),
        _ => Err("outlives new credentials".into()),
    }
}

async fn settings(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let me = tenant.connect().await;
    let database: String =
        me.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
    let sql = format!(
        "ALTER ROLE CURRENT_USER SET work_mem = '65kB';
         ALTER ROLE CURRENT_USER IN DATABASE {database} SET statement_timeout = '7s'"
    );
    me.batch_execute(&sql).await.unwrap();
    let next = world.issue(tenant.id, 1).await.connect().await;
    let sql = "SELECT current_setting('work_mem') = '65kB' OR current_setting('statement_timeout') = '7s'";
    match next.query_one(sql, &[]).await.unwrap().get(0) {
        false => Ok("until the next credentials are issued".into()),
        true => Err("outlive new credentials".into()),
    }
}

async fn temporary(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let me = tenant.connect().await;
    let sql = "SET work_mem = '64kB'; SET statement_timeout = 0;
               SELECT count(*) FROM (SELECT repeat(i::text, 50) AS t FROM generate_series(1, 2000000) i ORDER BY 1 DESC) s";
    match me.batch_execute(sql).await {
        Err(error) if error.code().is_some_and(|code| code.code() == "53400") => {
            Ok("53400 past the server's temp_file_limit".into())
        }
        Err(error) => Err(error.to_string()),
        Ok(()) => Err("no limit".into()),
    }
}

/// A process may have [`MEMORY`](crate::world::MEMORY) bytes of its own: that is set where the
/// server runs, since no setting of PostgreSQL bounds it.
async fn memory(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let (me, bystander) = (tenant.connect().await, tenant.connect().await);
    let sql = "SELECT length(repeat('x', 900000000))";
    match me.batch_execute(sql).await {
        Err(error) if error.code().is_some_and(|code| code.code() == "53200") => {}
        Err(error) => return Err(error.to_string()),
        Ok(()) => return Err("no limit".into()),
    }
    bystander.batch_execute("SELECT 1").await.map_err(|_| "all sessions were ended")?;
    let limit = crate::world::MEMORY >> 20;
    Ok(format!("53200 past {limit} MB for one session; no other session noticed"))
}

/// A login costs the server a process. What others notice of it is measured.
async fn logins(world: &World) -> Result<String, String> {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let url = tenant.url.clone();
        loops.spawn(async move {
            loop {
                drop(connect(&url).await);
            }
        });
    }
    let (end, mut longest, mut rounds) =
        (Instant::now() + Duration::from_secs(5), Duration::ZERO, 0);
    while Instant::now() < end {
        let begun = Instant::now();
        other.connect().await.batch_execute("SELECT 1").await.map_err(|e| e.to_string())?;
        world.database.inspect().await.map_err(|e| e.chain())?;
        world.database.list(Some(tenant.id)).await.map_err(|e| e.chain())?;
        longest = longest.max(begun.elapsed());
        rounds += 1;
    }
    drop(loops);
    let words = format!(
        "{rounds} rounds of a neighbour's login and the platform's calls, none longer than {} ms",
        longest.as_millis()
    );
    if longest < Duration::from_secs(3) { Ok(words) } else { Err(words) }
}

/// A transaction past the limit is ended; nothing else happens to the tenant.
async fn transaction(world: &World, begin: &str, run: Option<&str>) -> Result<String, String> {
    let tenant = world.tenant().await;
    let me = tenant.connect().await;
    let bystander = tenant.connect().await;
    let begun = Instant::now();
    me.batch_execute(begin).await.map_err(|e| e.to_string())?;
    if let Some(run) = run {
        let _ = tokio::time::timeout(TRANSACTION_LIMIT + SOON, me.batch_execute(run)).await;
    }
    until_ended(world, &tenant, &me, &bystander, begun).await
}

async fn until_ended(
    world: &World,
    tenant: &Tenant,
    me: &Client,
    bystander: &Client,
    begun: Instant,
) -> Result<String, String> {
    // The workers of the platform look every two seconds.
    while !me.is_closed() {
        if begun.elapsed() > TRANSACTION_LIMIT + SOON {
            return Err(format!("open after {:.1} s", begun.elapsed().as_secs_f32()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed().as_secs_f32();
    bystander.batch_execute("SELECT 1").await.map_err(|_| "another session was ended, too")?;
    match world.database.barred(Some(tenant.id)).await.unwrap().first() {
        None => Ok(format!(
            "that session was ended after {took:.1} s (limit {} s)",
            TRANSACTION_LIMIT.as_secs()
        )),
        Some(offence) => {
            Err(format!("barred for {:?}", DatabaseExcess::Transaction == offence.excess))
        }
    }
}

async fn role_timeout(world: &World, sql: &str) -> Result<String, String> {
    let tenant = world.tenant().await;
    tenant.connect().await.batch_execute(sql).await.unwrap();
    let (me, bystander) = (tenant.connect().await, tenant.connect().await);
    let begun = Instant::now();
    me.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    until_ended(world, &tenant, &me, &bystander, begun).await
}

async fn grants(world: &World) -> Result<String, String> {
    let (one, other) = (world.tenant().await, world.tenant().await);
    let role = other.id.role_name();
    let me = one.connect().await;
    let sql = format!(
        "CREATE TABLE lent (id int); GRANT ALL ON lent TO {role};
         CREATE FUNCTION given() RETURNS int LANGUAGE sql AS 'SELECT 1';
         GRANT EXECUTE ON FUNCTION given() TO {role};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role};
         CREATE POLICY theirs ON lent TO {role} USING (true);
         DO $$BEGIN EXECUTE format('GRANT ALL ON LARGE OBJECT %s TO {role}', lo_create(0)); END$$;"
    );
    me.batch_execute(&sql).await.map_err(|e| e.to_string())?;
    destroyed(world, &other).await?;
    me.batch_execute("INSERT INTO lent VALUES (1)").await.map_err(|e| e.to_string())?;
    Ok("it is destroyed without a trace; the grantor keeps its things".into())
}

async fn platform_lock(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let me = tenant.connect().await;
    let sql = format!("SELECT pg_advisory_lock({})", tenant.id.lock_key());
    me.batch_execute(&sql).await.unwrap();
    destroyed(world, &tenant).await?;
    Ok("its session is ended; it is destroyed without a trace".into())
}

async fn destroyed(world: &World, tenant: &Tenant) -> Result<(), String> {
    world.database.remove(fence(tenant.id, 2)).await.map_err(|e| e.chain())?;
    match world.traces(tenant.id).await {
        0 => Ok(()),
        left => Err(format!("{left} traces are left")),
    }
}
