//! The server is killed in the middle of a deploy, and the deploy ends as if it had not been.

use std::time::Duration;

use fresco_isolation::{Expected, Table, Wrong};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::docker::{containers_of, run};
use crate::platform::{Made, Place, Platform};

/// The step in which it is killed: the one that has most to lose.
const STEP: &str = "container";
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// What happens, with the seconds since the beginning.
struct Story(Instant);

impl Story {
    fn tell(&self, words: &str) {
        println!("  {:6.1} s  {words}", self.0.elapsed().as_secs_f32());
    }
}

/// The tenant that came of it.
pub(crate) async fn story(
    place: &Place,
    platform: &Platform,
    table: &mut Table,
) -> Result<Made, Wrong> {
    table.part = "kill -9".into();
    let before = server(place)?;
    let story = Story(Instant::now());
    let made = platform.ask_for_one().await?;
    story.tell(&format!("asked for the tenant {}: accepted", made.subdomain));
    let told = until_step(platform, &made, &story).await?;
    run("kill", &["-KILL", &before.to_string()], &[]).await?;
    let killed = Instant::now();
    story.tell(&format!("{STEP}: begun, and the server (process {before}) killed: kill -9"));
    while !platform.is_healthy().await {
        if killed.elapsed() > PATIENCE {
            return Err("no server was started again: is it one of dev/up?".into());
        }
        sleep(PAUSE).await;
    }
    let after = server(place)?;
    let away = killed.elapsed().as_secs_f32();
    story.tell(&format!("dev/up has started it again (process {after}), and it answers"));
    story.tell("the deploy goes on when the dead server's lease has ended (LEASE_SECONDS)");
    let end = until_end(platform, &made, &story, told).await?;
    let took = killed.elapsed().as_secs_f32();
    page(place, &made).await?;
    story.tell("the tenant's page answers through Traefik");
    let attempt = "a deploy in which the server is killed ends in a tenant";
    let observed = match &*end {
        _ if before == after => Err("the server was not killed".into()),
        "success" => Ok(format!("{end}, {took:.1} s after the kill; no server for {away:.1} s")),
        _ => Err(Wrong(format!("it ended: {end}"))),
    };
    let counted = once(place, platform, &made).await;
    if let Ok(words) = &counted {
        story.tell(&format!("it has {words}"));
    }
    crate::screen::columns();
    table.add(Expected::Works, attempt, observed);
    table.add(Expected::Works, "nothing of it is there twice, or missing", counted);
    Ok(made)
}

fn server(place: &Place) -> Result<u32, Wrong> {
    let text = std::fs::read_to_string(&place.server)?;
    text.trim().parse().map_err(|_| "dev/up does not say which process its server is".into())
}

/// Follows the events until the step has begun; how many steps were done by then.
async fn until_step(platform: &Platform, made: &Made, story: &Story) -> Result<usize, Wrong> {
    let mut stream = platform.events(&made.operation).await?;
    let (mut text, mut told) = (String::new(), 0);
    loop {
        let part = stream.chunk().await.map_err(|_| "the stream of events broke off")?;
        let part = part.ok_or("the stream of events ended before the step began")?;
        text.push_str(&String::from_utf8_lossy(&part));
        while let Some((event, rest)) = text.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data:"));
            let operation: Value =
                data.and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
            text = rest.to_owned();
            told = tell_steps(&operation, told, story);
            let steps = operation["steps"].as_array().cloned().unwrap_or_default();
            let begun = |step: &Value| step["name"] == STEP && step["status"] == "running";
            if steps.iter().any(begun) {
                return Ok(told);
            }
        }
    }
}

/// Tells which steps are done beside the first ones; how many are done now.
fn tell_steps(operation: &Value, told: usize, story: &Story) -> usize {
    let steps = operation["steps"].as_array().cloned().unwrap_or_default();
    let done: Vec<_> = steps.iter().filter(|step| step["status"] == "done").collect();
    for step in done.iter().skip(told) {
        story.tell(&format!("{}: done", step["name"].as_str().unwrap_or("?")));
    }
    told.max(done.len())
}

async fn until_end(
    platform: &Platform,
    made: &Made,
    story: &Story,
    mut told: usize,
) -> Result<String, Wrong> {
    let begun = Instant::now();
    loop {
        let tenant = platform.tenant(made.id).await?;
        let operation = &tenant["operations"][0];
        told = tell_steps(operation, told, story);
        let status = operation["status"].as_str().unwrap_or_default();
        if ["success", "failed"].contains(&status) {
            return Ok(status.to_owned());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("the deploy is still {status} after {PATIENCE:?}").into());
        }
        sleep(PAUSE).await;
    }
}

async fn page(place: &Place, made: &Made) -> Result<(), Wrong> {
    let url = format!("http://127.0.0.1:{}/signin", place.sites_port);
    let host = format!("{}.localhost", made.subdomain);
    let ask = reqwest::Client::new().get(url).header("Host", host).timeout(PATIENCE);
    match ask.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("the tenant's page answers {}", answer.status()).into()),
        Err(_) => Err("the tenant's page does not answer".into()),
    }
}

/// Asks Docker, PostgreSQL and Traefik themselves.
async fn once(place: &Place, platform: &Platform, made: &Made) -> Result<String, Wrong> {
    let containers = containers_of(made.id).await?.len();
    let (name, role) = (made.id.database_name(), made.id.role_name());
    let database = platform.tenant(made.id).await?["tenant"]["isolation"] == "database";
    let kind = if database { "database" } else { "schema" };
    let tenants = place.superuser("fresco_tenants").await?;
    let sql = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1)
                    + (SELECT count(*) FROM pg_database WHERE datname = $1),
                      (SELECT count(*) FROM pg_roles WHERE rolname = $2)";
    let row = tenants.query_one(sql, &[&name, &role]).await?;
    let (places, roles): (i64, i64) = (row.get(0), row.get(1));
    let url = format!("http://127.0.0.1:{}/api/http/routers", place.dashboard_port);
    let routers: Value = match reqwest::get(url).await {
        Ok(answer) => answer.json().await.map_err(|_| "Traefik tells no routers")?,
        Err(_) => return Err("Traefik does not answer".into()),
    };
    let host = format!("Host(`{}.localhost`)", made.subdomain);
    let routers = routers.as_array().cloned().unwrap_or_default();
    let leads = |router: &&Value| router["rule"].as_str().is_some_and(|rule| rule.contains(&host));
    let routes = routers.iter().filter(leads).count();
    let words = format!("{containers} container, {places} {kind}, {roles} role, {routes} route");
    match (containers, places, roles, routes) {
        (1, 1, 1, 1) => Ok(words),
        _ => Err(words.into()),
    }
}
