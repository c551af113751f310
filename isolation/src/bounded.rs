//! What a tenant can do up to a limit.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::table::{Expected, Table};
use crate::world::{Tenant, World, Wrong};

/// From a limit until something past it has ended.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn rows(world: &dyn World, table: &mut Table) -> Result<(), Wrong> {
    let bounded = Expected::Bounded;
    let idle = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET idle_session_timeout = 0; BEGIN; SELECT pg_current_xact_id()";
    let role = "ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = 0";
    let compute = "DO $$BEGIN LOOP END LOOP; END$$";
    let at_once = async {
        table.add(bounded, "exhaust the server's connections", connections(world).await);
        table.add(bounded, "change its own password, and keep it", password(world).await);
        table.add(bounded, "put settings on its own role, and keep them", settings(world).await);
        table.add(bounded, "fill the disk with temporary files", temporary(world).await);
        table.add(bounded, "take the server's memory", memory(world).await);
    };
    // These wait for the limit meanwhile.
    let ((), deaf, idle, role, compute) = tokio::join!(
        at_once,
        deaf(world),
        transaction(world, idle, None),
        role_timeout(world, role),
        transaction(world, "", Some(compute))
    );
    let attempt = "compute in a function that never looks whether it is to end (strpos)";
    table.add(Expected::Open, attempt, deaf);
    table.add(bounded, "hold a transaction open, its timeouts lifted", idle);
    table.add(bounded, "the same, lifted for its role", role);
    table.add(bounded, "compute for ever", compute);
    table.add(bounded, "log in again and again, in twenty loops", logins(world).await);
    let attempt = "grant to another tenant, which is then destroyed";
    table.add(bounded, attempt, grants(world).await);
    let attempt = "hold the lock by which the platform changes it, and be destroyed";
    table.add(bounded, attempt, platform_lock(world).await);
    Ok(())
}

async fn connections(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let mut open = vec![tenant.connect().await?];
    let sql = "SELECT rolconnlimit, (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname)
               FROM pg_roles WHERE rolname = current_user";
    let row = open[0].query_one(sql, &[]).await?;
    // Its app has some already.
    let (limit, before) = (row.get::<_, i32>(0), row.get::<_, i64>(1) - 1);
    let most = usize::try_from(i64::from(limit) - before).map_err(|_| "it has no limit")?;
    let error = loop {
        match tenant.connect().await {
            Ok(client) => open.push(client),
            Err(error) => break error,
        }
        if open.len() > most {
            return Err(format!("{} connections past a limit of {limit}", open.len()).into());
        }
    };
    match error.as_db_error().map(|db| db.code().code()) {
        Some("53300") if open.len() == most => Ok(format!("{limit} connections, then 53300")),
        _ => Err(format!("{} connections, then {error}", open.len()).into()),
    }
}

async fn password(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let me = tenant.connect().await?;
    me.batch_execute("ALTER ROLE CURRENT_USER PASSWORD 'own'").await?;
    let own = tenant.with_password("own");
    own.connect().await?;
    let issued = world.issue(&tenant).await?;
    issued.connect().await?;
    let session_is_over = me.batch_execute("SELECT 1").await.is_err();
    match issued.with_password("own").connect().await {
        Err(_) if session_is_over => Ok("until the next credentials are issued".into()),
        _ => Err("outlives new credentials".into()),
    }
}

async fn settings(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let me = tenant.connect().await?;
    let database: String = me.query_one("SELECT current_database()::text", &[]).await?.get(0);
    let sql = format!(
        "ALTER ROLE CURRENT_USER SET work_mem = '65kB';
         ALTER ROLE CURRENT_USER IN DATABASE {database} SET statement_timeout = '7s'"
    );
    me.batch_execute(&sql).await?;
    let next = world.issue(&tenant).await?.connect().await?;
    let sql = "SELECT current_setting('work_mem') = '65kB' OR current_setting('statement_timeout') = '7s'";
    match next.query_one(sql, &[]).await?.get(0) {
        false => Ok("until the next credentials are issued".into()),
        true => Err("outlive new credentials".into()),
    }
}

async fn temporary(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let me = tenant.connect().await?;
    let sql = "SET work_mem = '64kB'; SET statement_timeout = 0;
               SELECT count(*) FROM (SELECT repeat(i::text, 500) AS t FROM generate_series(1, 2000000) i ORDER BY 1 DESC) s";
    match me.batch_execute(sql).await {
        Err(error) if error.code().is_some_and(|code| code.code() == "53400") => {
            Ok("53400 past the server's temp_file_limit".into())
        }
        Err(error) => Err(error.into()),
        Ok(()) => Err("no limit".into()),
    }
}

/// How much memory a process may have is set where the server runs, since no setting of PostgreSQL
/// bounds it.
async fn memory(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let (me, bystander) = (tenant.connect().await?, tenant.connect().await?);
    let sql = "SELECT length(repeat('x', 900000000))";
    match me.batch_execute(sql).await {
        Err(error) if error.code().is_some_and(|code| code.code() == "53200") => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Err("no limit".into()),
    }
    bystander.batch_execute("SELECT 1").await.map_err(|_| "all sessions were ended")?;
    Ok("53200 past what a process may have; no other session noticed".into())
}

/// A login costs the server a process. What others notice of it is measured.
async fn logins(world: &dyn World) -> Result<String, Wrong> {
    let (tenant, other) = tokio::try_join!(world.tenant(), world.tenant())?;
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let tenant = tenant.clone();
        loops.spawn(async move {
            loop {
                drop(tenant.connect().await);
            }
        });
    }
    let (end, mut longest, mut rounds) =
        (Instant::now() + Duration::from_secs(5), Duration::ZERO, 0);
    while Instant::now() < end {
        let begun = Instant::now();
        other.connect().await?.batch_execute("SELECT 1").await?;
        world.ask(tenant.id).await?;
        longest = longest.max(begun.elapsed());
        rounds += 1;
    }
    drop(loops);
    let words = format!(
        "{rounds} rounds of a neighbour's login and the platform's calls, none longer than {} ms",
        longest.as_millis()
    );
    if longest < Duration::from_secs(3) { Ok(words) } else { Err(words.into()) }
}

/// A transaction past the limit is ended; nothing else happens to the tenant.
async fn transaction(world: &dyn World, begin: &str, run: Option<&str>) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let me = tenant.connect().await?;
    let bystander = tenant.connect().await?;
    let begun = Instant::now();
    me.batch_execute(begin).await?;
    if let Some(run) = run {
        let _ =
            tokio::time::timeout(world.limits().transaction + SOON, me.batch_execute(run)).await;
    }
    until_ended(world, &tenant, &me, &bystander, begun).await
}

async fn until_ended(
    world: &dyn World,
    tenant: &Tenant,
    me: &Client,
    bystander: &Client,
    begun: Instant,
) -> Result<String, Wrong> {
    let limit = world.limits().transaction;
    // The workers of the platform look every two seconds.
    while !me.is_closed() {
        if begun.elapsed() > limit + SOON {
            return Err(format!("open after {:.1} s", begun.elapsed().as_secs_f32()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed().as_secs_f32();
    bystander.batch_execute("SELECT 1").await.map_err(|_| "another session was ended, too")?;
    match world.is_barred(tenant).await? {
        false => {
            Ok(format!("that session was ended after {took:.1} s (limit {} s)", limit.as_secs()))
        }
        true => Err("the whole tenant was barred".into()),
    }
}

/// Nobody can end such a session before it is done, so that the tenant is barred with one of them.
async fn deaf(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    // Long enough that it is told to end, and does not.
    let limit = world.limits().transaction;
    let enough = limit + SOON * 8 / 5;
    let mut length = 200_000;
    loop {
        let took = match search(world, &tenant, length).await? {
            (took, Some(barred)) => {
                if tenant.connect().await.is_ok() {
                    return Err("its role can still log in".into());
                }
                let (barred, took) = (barred.as_secs(), took.as_secs());
                return Ok(format!(
                    "the tenant was barred after {barred} s, its session went on for {took} s"
                ));
            }
            (took, None) if took > limit + SOON * 3 => {
                let took = took.as_secs();
                return Err(
                    format!("it computed for {took} s, and the tenant is not barred").into()
                );
            }
            (took, None) => took,
        };
        // It was too short to tell anything on this machine.
        let times = (enough.as_secs_f64() / took.as_secs_f64().max(0.01)).max(1.5);
        length = (f64::from(length) * times).min(100e6) as i32;
    }
}

/// How long the search of such a text takes, and after what time the tenant was barred meanwhile.
async fn search(
    world: &dyn World,
    tenant: &Tenant,
    length: i32,
) -> Result<(Duration, Option<Duration>), Wrong> {
    let me = tenant.connect().await?;
    let pid: i32 = me.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let begun = Instant::now();
    let searched = async {
        let sql = "SELECT strpos(repeat('a', $1), 'b' || repeat('a', 4999))";
        let values: [&(dyn ToSql + Sync); 1] = [&length];
        // Past the limit it ends with an error.
        let _ = me.query_one(sql, &values).await;
        begun.elapsed()
    };
    let barred = async {
        while !world.is_barred(tenant).await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, Wrong>(begun.elapsed())
    };
    let barred = tokio::select! {
        barred = barred => barred?,
        took = searched => return Ok((took, None)),
    };
    // Its container is being stopped, so that the session's end may never come to its client.
    let superuser = world.superuser(&world.names().database).await?;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    while superuser.query_one(sql, &[&pid]).await?.get::<_, i64>(0) != 0 {
        if begun.elapsed() > world.limits().transaction + SOON * 30 {
            return Err("the session never ends".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((begun.elapsed(), Some(barred)))
}

async fn role_timeout(world: &dyn World, sql: &str) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    tenant.connect().await?.batch_execute(sql).await?;
    let (me, bystander) = (tenant.connect().await?, tenant.connect().await?);
    let begun = Instant::now();
    me.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
    until_ended(world, &tenant, &me, &bystander, begun).await
}

async fn grants(world: &dyn World) -> Result<String, Wrong> {
    let (one, other) = tokio::try_join!(world.tenant(), world.tenant())?;
    let role = other.id.role_name();
    let me = one.connect().await?;
    let sql = format!(
        "CREATE TABLE lent (id int); GRANT ALL ON lent TO {role};
         CREATE FUNCTION given() RETURNS int LANGUAGE sql AS 'SELECT 1';
         GRANT EXECUTE ON FUNCTION given() TO {role};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role};
         CREATE POLICY theirs ON lent TO {role} USING (true);
         DO $$BEGIN EXECUTE format('GRANT ALL ON LARGE OBJECT %s TO {role}', lo_create(0)); END$$;"
    );
    me.batch_execute(&sql).await?;
    world.remove_all(&other).await?;
    me.batch_execute("INSERT INTO lent VALUES (1)").await?;
    Ok("it is destroyed without a trace; the grantor keeps its things".into())
}

async fn platform_lock(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let me = tenant.connect().await?;
    let sql = format!("SELECT pg_advisory_lock({})", tenant.id.lock_key());
    me.batch_execute(&sql).await?;
    world.remove_all(&tenant).await?;
    Ok("its session is ended; it is destroyed without a trace".into())
}
