//! What harms all who share the server: found, ended and stopped by the running platform, which
//! answers meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fresco_core::{
    Actor, DesiredState, OperationStatus, Store, TenantDatabase, TenantQuery, TenantStatus,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::attack::{Attack, Harm};
use crate::support::connect;
use crate::table::{Expected, Table};
use crate::world::{Tenant, World, patient};

/// From the beginning of an offence to its end, and the longest time without an answer.
const LIMIT: Duration = Duration::from_secs(10);
/// What writes slowly takes this long to come to the limit, on a machine that has other work.
const FILLING: Duration = Duration::from_secs(20);

pub(crate) const LOCKS: Harm = Harm {
    first: "SET statement_timeout = 0",
    again: "SELECT count(pg_advisory_lock(pg_backend_pid(), i)) FROM generate_series(1, 1000000) i",
};
const TABLE: Harm = Harm {
    first: "CREATE TABLE IF NOT EXISTS filler (t text); ALTER TABLE filler ALTER t SET STORAGE EXTERNAL",
    again: "INSERT INTO filler SELECT repeat('x', 1000000) FROM generate_series(1, 4)",
};
const UNCOMMITTED: Harm = Harm {
    first: "BEGIN; CREATE TABLE hidden (t text); ALTER TABLE hidden ALTER t SET STORAGE EXTERNAL",
    again: "INSERT INTO hidden SELECT repeat('x', 1000000) FROM generate_series(1, 4)",
};
const TEMPORARY: Harm = Harm {
    first: "CREATE TEMPORARY TABLE filler (t text); ALTER TABLE filler ALTER t SET STORAGE EXTERNAL",
    again: "INSERT INTO filler SELECT repeat('x', 1000000) FROM generate_series(1, 4)",
};
const OBJECTS: Harm = Harm {
    first: "",
    again: "WITH random AS MATERIALIZED (
                SELECT convert_to(string_agg(md5(random()::text), ''), 'UTF8') AS data
                FROM generate_series(1, 30000))
            SELECT count(lo_from_bytea(0, data)) FROM random, generate_series(1, 8)",
};
const SOURCES: Harm = Harm {
    first: "SET check_function_bodies = off; SELECT set_config('my.text', (
                SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 60000)), false)",
    again: "DO $$BEGIN FOR i IN 1..10 LOOP
                EXECUTE format('CREATE FUNCTION f%s() RETURNS text LANGUAGE sql AS %L',
                    md5(random()::text), current_setting('my.text'));
            END LOOP; END$$",
};
const LISTENER: Harm =
    Harm { first: "LISTEN flood; COMMIT; BEGIN; SELECT 1", again: "SELECT pg_sleep(1)" };
const SENDER: Harm = Harm {
    first: "",
    again: "SELECT count(pg_notify('flood', repeat('x', 7900) || i)) FROM generate_series(1, 2000) i",
};

pub(crate) async fn rows(world: &World, table: &mut Table) {
    let bystander = world.deploy().await;
    let at_once = Duration::ZERO;
    for (attempt, sessions, filling) in [
        (
            "take a million advisory locks, in four sessions that come back",
            &[LOCKS; 4][..],
            at_once,
        ),
        ("fill the disk with a table", &[TABLE], at_once),
        ("fill the disk in one transaction that does not end", &[UNCOMMITTED], at_once),
        ("fill the disk with temporary tables", &[TEMPORARY], at_once),
        ("fill the disk with large objects", &[OBJECTS], at_once),
        ("fill the disk with the sources of functions", &[SOURCES], FILLING),
        (
            "fill the queue of notifications, and keep it from being emptied",
            &[LISTENER, SENDER],
            at_once,
        ),
    ] {
        let observed = ended(world, &bystander, sessions, LIMIT + filling).await;
        table.add(Expected::SharedRisk, attempt, observed);
    }
    let attempt = "hold all places for new connections without logging in";
    table.add(Expected::Open, attempt, half_open(world, &bystander).await);
}

/// The offender is ended and stopped within this time from its beginning.
async fn ended(
    world: &World,
    bystander: &Tenant,
    sessions: &[Harm],
    limit: Duration,
) -> Result<String, String> {
    let offender = world.deploy().await;
    let watched = Answers::watch(world, bystander).await;
    // Somebody else's tenant is made in the middle of it.
    let newcomer = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        let tenant = world.deploy().await;
        tenant.connect().await.batch_execute("SELECT 1").await.map_err(|e| e.to_string())?;
        Ok::<_, String>(begun.elapsed())
    };
    let attack = Attack::begin(&offender, sessions);
    let stopped = async {
        let took = attack.ended(limit * 2).await?;
        let mut state =
            patient(|| world.orchestrator.tenant(offender.id)).await.map_err(|e| e.chain())?.state;
        while state.status != TenantStatus::Stopped && attack.begun.elapsed() < limit * 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            state = patient(|| world.orchestrator.tenant(offender.id))
                .await
                .map_err(|e| e.chain())?
                .state;
        }
        Ok::<_, String>((took, attack.begun.elapsed(), state))
    };
    let (stopped, newcomer) = tokio::join!(stopped, newcomer);
    let (took, stop, state) = stopped?;
    let newcomer = newcomer?;
    let reason = state.error.map(|error| error.message).unwrap_or_default();
    if state.status != TenantStatus::Stopped || state.desired != DesiredState::Stopped {
        return Err(format!("ended after {took:.1} s, but the tenant is {}", state.status));
    }
    // Nobody starts it again: the reconciler looks every second.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let state =
        patient(|| world.orchestrator.tenant(offender.id)).await.map_err(|e| e.chain())?.state;
    if state.status != TenantStatus::Stopped {
        return Err(format!("the tenant is {} again", state.status));
    }
    let logins = attack.logins();
    drop(attack);
    let answers = watched.end().await;
    let owner = Actor::User("alice".into());
    let accepted = world.orchestrator.destroy_tenant(offender.id, owner).await;
    let accepted = accepted.map_err(|e| e.chain())?;
    let end = world.orchestrator.wait(accepted.operation.id).await.map_err(|e| e.chain())?;
    let left = world.traces(offender.id).await;
    let words = format!(
        "ended after {took:.1} s, stopped after {:.1} s ({}); {logins} logins; {answers}; a new tenant meanwhile took {:.1} s",
        stop.as_secs_f32(),
        what(&reason),
        newcomer.as_secs_f32()
    );
    let good = took <= limit.as_secs_f32()
        && stop <= limit
        && answers.gap <= LIMIT
        && reason.contains("The platform stopped this tenant")
        && end.status == OperationStatus::Success
        && left == 0;
    if good { Ok(words) } else { Err(format!("{words}; {left} traces are left")) }
}

/// The part of a reason that tells what was measured.
fn what(reason: &str) -> &str {
    let told = reason.split(": ").nth(1).unwrap_or(reason);
    told.split(". Its data").next().unwrap_or(told)
}

/// Whoever reaches the port can hold places before it has logged in, and nobody sees who it is.
async fn half_open(world: &World, bystander: &Tenant) -> Result<String, String> {
    let watched = Answers::watch(world, bystander).await;
    let address = ("127.0.0.1", world.platform.server.port);
    let login = hello(&bystander.id.role_name());
    let mut held = Vec::new();
    for _ in 0..70 {
        let mut stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        stream.write_all(&login).await.map_err(|e| e.to_string())?;
        held.push(stream);
    }
    let begun = Instant::now();
    let mut locked = false;
    while let Err(error) = connect(&bystander.url).await {
        locked = true;
        if begun.elapsed() > LIMIT * 3 {
            return Err(format!("no login after {:.1} s: {error}", begun.elapsed().as_secs_f32()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed().as_secs_f32();
    let mut closed = 0;
    for stream in &mut held {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut rest)).await;
        closed += usize::from(end.is_ok());
    }
    let answers = watched.end().await;
    let words = match locked {
        true => format!("no new login for {took:.1} s"),
        false => "logins went on".into(),
    };
    let words = format!(
        "{words}; {closed} of 70 were ended by the server (authentication_timeout is 5 s); {answers}"
    );
    if closed == 70 && answers.gap <= LIMIT { Ok(words) } else { Err(words) }
}

/// How a login begins: what follows would be the answer to the server's question for a password.
fn hello(role: &str) -> Vec<u8> {
    let body = format!("user\0{role}\0database\0{role}\0\0");
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), body.as_bytes()].concat()
}

/// How the platform and a neighbour were answered while something else went on.
struct Answers {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Counted>,
}

#[derive(Default)]
struct Counted {
    good: u32,
    bad: u32,
    gap: Duration,
    last_error: String,
}

impl Answers {
    /// Asks the store, the tenants' database and, in a session of its own, a neighbour's tables.
    async fn watch(world: &World, neighbour: &Tenant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, id) = (stop.clone(), neighbour.id);
        let neighbour = neighbour.connect().await;
        let store = world.orchestrator.backends().store.clone();
        let database = world.database.clone();
        let task = tokio::spawn(async move {
            let mut counted = Counted::default();
            let mut last = Instant::now();
            while !ended.load(Ordering::SeqCst) {
                let query = TenantQuery::one(id);
                let answer = tokio::time::timeout(LIMIT * 2, async {
                    store.tenants(&query).await.map_err(|e| e.chain())?;
                    database.list(Some(id)).await.map_err(|e| e.chain())?;
                    database.activity(id).await.map_err(|e| e.chain())?;
                    neighbour.batch_execute("SELECT 1").await.map_err(|e| e.to_string())
                });
                match answer.await {
                    Ok(Ok(())) => {
                        counted.good += 1;
                        last = Instant::now();
                    }
                    Ok(Err(error)) => {
                        counted.bad += 1;
                        counted.last_error = error;
                    }
                    Err(_) => counted.bad += 1,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                counted.gap = counted.gap.max(last.elapsed());
            }
            counted
        });
        Self { stop, task }
    }

    async fn end(self) -> Counted {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.good + self.bad;
        write!(
            f,
            "{} of {all} rounds of calls answered, {:.1} s the longest without",
            self.good,
            self.gap.as_secs_f32()
        )
    }
}
