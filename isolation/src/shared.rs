//! What harms all who share the server: found, ended and stopped by the running platform, which
//! answers meanwhile.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use fresco_core::Isolation;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

use crate::attack::{Attack, Harm};
use crate::table::{Expected, Table};
use crate::world::{Standing, Tenant, World, Wrong};

/// From the moment in which a limit is passed to the tenant's stop, and the longest time without an answer.
const LIMIT: Duration = Duration::from_secs(10);
/// What writes slowly takes this long to come to a limit, on a machine that has other work.
const FILLING: Duration = Duration::from_secs(60);

/// The limit that an attack passes.
#[derive(Clone, Copy, Debug)]
enum Passing {
    /// As soon as it begins.
    AtOnce,
    /// Its data on disk.
    Disk,
    /// Its part of the queue of notifications.
    Queue,
}

/// Takes a million advisory locks.
pub const LOCKS: Harm = Harm {
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

pub(crate) async fn rows(world: &dyn World, table: &mut Table) -> Result<(), Wrong> {
    use Passing::{AtOnce, Disk, Queue};

    let bystander = world.deploy().await?;

    for (attempt, sessions, passing) in [
        ("take a million advisory locks, in four sessions that come back", &[LOCKS; 4][..], AtOnce),
        ("fill the disk with a table", &[TABLE], Disk),
        ("fill the disk in one transaction that does not end", &[UNCOMMITTED], Disk),
        ("fill the disk with temporary tables", &[TEMPORARY], Disk),
        ("fill the disk with large objects", &[OBJECTS], Disk),
        ("fill the disk with the sources of functions", &[SOURCES], Disk),
        (
            "fill the queue of notifications, and keep it from being emptied",
            &[LISTENER, SENDER],
            Queue,
        ),
    ] {
        let observed = ended(world, &bystander, sessions, passing).await;
        table.add(Expected::SharedRisk, attempt, observed);
    }
    let attempt = "hold all places for new connections without logging in";
    table.add(Expected::Open, attempt, half_open(world, &bystander).await);
    Ok(())
}

/// The offender is ended and stopped in time, from the moment in which it is past its limit.
async fn ended(
    world: &dyn World,
    bystander: &Tenant,
    sessions: &[Harm],
    passing: Passing,
) -> Result<String, Wrong> {
    let offender = world.deploy().await?;
    let watch = Watch::new(world, &offender, passing).await?;
    let attacked = async {
        let attack = Attack::begin(&offender, sessions);
        // Somebody else's tenant is made in the middle of it.
        let newcomer = async {
            sleep(Duration::from_millis(500)).await;
            let begun = Instant::now();
            world.newcomer().await?.connect().await?.batch_execute("SELECT 1").await?;
            Ok::<_, Wrong>(begun.elapsed())
        };
        let begun = attack.begun;
        let stopping = async {
            let mut passed = pin!(watch.passed(begun));
            let mut stopped = pin!(stopped(world, &offender, &attack));
            tokio::select! {
                biased;
                passed = &mut passed => stopped.await.map(|end| (passed, end)),
                // It was ended before a superuser saw it pass the limit: the platform counts more than the
                // size of the database, and is early.
                end = &mut stopped => end.map(|end| (end.0, end)),
            }
        };
        let (stopped, newcomer) = tokio::join!(stopping, newcomer);
        let ((passed, (took, stop, trouble)), newcomer) = (stopped?, newcomer?);
        // Nobody starts it again: the platform looks at least every few seconds.
        sleep(Duration::from_millis(2500)).await;
        let now = world.standing(offender.id).await?.status;
        if now != "stopped" {
            return Err(format!("the tenant is {now} again").into());
        }
        Ok::<_, Wrong>((passed, took, stop, trouble, newcomer, attack.logins()))
    };
    let (attacked, answers) = meanwhile(world, bystander, attacked).await?;
    let (passed, took, stop, trouble, newcomer, logins) = attacked?;
    world.remove_all(&offender).await?;
    let words = format!(
        "{}ended after {:.1} s, stopped after {:.1} s ({}); {logins} logins; {answers}; a new tenant meanwhile took {:.1} s",
        match passed.is_zero() {
            true => String::new(),
            false => format!("past the limit in {:.1} s; then ", passed.as_secs_f32()),
        },
        took.saturating_sub(passed).as_secs_f32(),
        stop.saturating_sub(passed).as_secs_f32(),
        what(&trouble),
        newcomer.as_secs_f32()
    );
    let good = stop.saturating_sub(passed) <= LIMIT
        && answers.gap <= LIMIT
        && trouble.contains("The platform stopped this tenant");
    if good { Ok(words) } else { Err(words.into()) }
}

/// Sees when a tenant passes its limit.
struct Watch {
    superuser: Client,
    sql: String,
    most: i64,
}

impl Watch {
    async fn new(world: &dyn World, of: &Tenant, passing: Passing) -> Result<Self, Wrong> {
        let superuser = world.superuser(&world.names().database).await?;
        let limits = world.limits();
        let (sql, most) = match passing {
            Passing::AtOnce => ("SELECT 1::bigint".into(), 0),
            Passing::Queue => {
                let most = i64::from(limits.queue) * 100;
                ("SELECT (pg_notification_queue_usage() * 10000)::bigint".into(), most)
            }
            Passing::Disk => {
                let disk = i64::try_from(limits.disk).map_err(|_| "the limit is too large")?;
                let place = match world.isolation() {
                    Isolation::Schema => world.names().schemas.clone(),
                    _ => of.id.database_name(),
                };
                let sql = format!("SELECT pg_database_size('{place}')");
                // In a database that tenants share, all that comes to it is the offender's.
                let before: i64 = match world.isolation() {
                    Isolation::Schema => superuser.query_one(&sql, &[]).await?.get(0),
                    _ => 0,
                };
                (sql, before + disk)
            }
        };
        Ok(Self { superuser, sql, most })
    }

    /// How long after the beginning that was.
    async fn passed(&self, begun: Instant) -> Duration {
        loop {
            match self.superuser.query_one(&self.sql, &[]).await {
                Ok(row) if row.get::<_, i64>(0) > self.most => {
                    return if self.most == 0 { Duration::ZERO } else { begun.elapsed() };
                }
                Ok(_) => sleep(Duration::from_millis(50)).await,
                // It can't be seen: it counts from the beginning.
                Err(_) => return Duration::ZERO,
            }
        }
    }
}

/// When the attack was ended, when the tenant was stopped, and why.
async fn stopped(
    world: &dyn World,
    offender: &Tenant,
    attack: &Attack,
) -> Result<(Duration, Duration, String), Wrong> {
    let patience = FILLING + LIMIT;
    let took = Duration::from_secs_f32(attack.ended(patience).await?);
    loop {
        let Standing { status, stopped, trouble } = world.standing(offender.id).await?;
        if stopped {
            return Ok((took, attack.begun.elapsed(), trouble));
        }
        if attack.begun.elapsed() > patience {
            let took = took.as_secs_f32();
            return Err(format!("ended after {took:.1} s, but the tenant is {status}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The part of a reason that tells what was measured.
fn what(reason: &str) -> &str {
    let told = reason.split(": ").nth(1).unwrap_or(reason);
    told.split(". Its data").next().unwrap_or(told)
}

/// Whoever reaches the port can hold places before it has logged in, and nobody sees who it is.
async fn half_open(world: &dyn World, bystander: &Tenant) -> Result<String, Wrong> {
    let places = world.server_setting("max_connections").await? + 10;
    let patience = world.server_setting("authentication_timeout").await?;
    let held = async {
        let mut held = Vec::new();
        for _ in 0..places {
            let mut wire = bystander.wire().await?;
            wire.hello(&bystander.id.role_name()).await?;
            held.push(wire);
        }
        let begun = Instant::now();
        let mut locked = false;
        while let Err(error) = bystander.connect().await {
            locked = true;
            if begun.elapsed() > LIMIT * 3 {
                let took = begun.elapsed().as_secs_f32();
                return Err(format!("no login after {took:.1} s: {error}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let took = begun.elapsed().as_secs_f32();
        let mut closed = 0;
        for wire in &mut held {
            let end = timeout(Duration::from_secs(patience + 3), wire.ended()).await;
            closed += u64::from(end.is_ok());
        }
        Ok::<_, Wrong>((locked, took, closed))
    };
    let (held, answers) = meanwhile(world, bystander, held).await?;
    let (locked, took, closed) = held?;
    let words = match locked {
        true => format!("no new login for {took:.1} s"),
        false => "logins went on".into(),
    };
    let words = format!(
        "{words}; {closed} of {places} were ended by the server (authentication_timeout is {patience} s); {answers}"
    );
    if closed == places && answers.gap <= LIMIT { Ok(words) } else { Err(words.into()) }
}

/// How the platform and a neighbour were answered while something else went on.
#[derive(Default)]
struct Answers {
    good: u32,
    bad: u32,
    gap: Duration,
}

/// Does this, and meanwhile asks the platform and, in a session of its own, a neighbour's tables.
async fn meanwhile<T>(
    world: &dyn World,
    neighbour: &Tenant,
    work: impl Future<Output = T>,
) -> Result<(T, Answers), Wrong> {
    let session = neighbour.connect().await?;
    let (done, mut ended) = oneshot::channel::<()>();
    let asking = async {
        let mut answers = Answers::default();
        let mut last = Instant::now();
        while matches!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            let round = async {
                world.ask(neighbour.id).await?;
                Ok::<_, Wrong>(session.batch_execute("SELECT 1").await?)
            };
            match timeout(LIMIT * 2, round).await {
                Ok(Ok(())) => {
                    answers.good += 1;
                    last = Instant::now();
                }
                _ => answers.bad += 1,
            }
            sleep(Duration::from_millis(50)).await;
            answers.gap = answers.gap.max(last.elapsed());
        }
        answers
    };
    let work = async {
        let came = work.await;
        let _ = done.send(());
        came
    };
    Ok(tokio::join!(work, asking))
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.good + self.bad;
        write!(
            f,
            "{} of {all} rounds of calls answered, {:.1} s the longest without",
            self.good,
            self.gap.as_secs_f32()
        )
    }
}
