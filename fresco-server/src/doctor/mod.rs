//! `fresco-server doctor`: looks at everything that the platform needs, says what is wrong, and
//! names the command that mends it.
//!
//! It makes and changes nothing. First it asks all parts at once, each under a deadline; then each
//! area judges what came back.

mod clock;
mod docker;
mod finding;
mod gate;
mod host;
mod image;
mod listeners;
mod mail;
mod mend;
mod ports;
mod postgres;
mod print;
mod secrets;
mod shell;
mod tenants;
mod traefik;

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use fresco_core::{Error, ErrorKind, Result};
use fresco_docker::{DockerReport, NetworkReport, TraefikReport};
use fresco_postgres::PostgresReport;
use secrecy::ExposeSecret;

use crate::config::Config;
use crate::settings::Values;
use finding::{Level, Section};
use host::Machine;
use listeners::Listeners;
use mend::Mend;

/// The time that each part has for all its answers.
const TIME: Duration = Duration::from_secs(12);

/// Looks at everything, and writes what it saw: in colours if they are wanted. `values` are those
/// that the configuration was read from: a mend depends on where a value comes from.
///
/// The exit code is 0 when nothing is wrong, warnings allowed, and 1 otherwise. It ends within half
/// a minute, whatever hangs.
///
/// # Errors
/// When `out` can't be written to.
pub async fn run(
    config: &Config,
    values: &Values,
    out: &mut impl Write,
    colours: bool,
) -> io::Result<ExitCode> {
    let kind = if config.is_production() { "production" } else { "development" };
    writeln!(out, "Fresco Platform at {}, set up for {kind}\n", config.public_url)?;
    out.flush()?;
    // On the heap: what waits for all parts at once is large, and a thread may have a small stack.
    let facts = Box::pin(Facts::gather(config)).await;
    let sections = judge(config, &facts);
    let file = std::fs::read_to_string(".env").ok();
    let shown = |mend: &Mend| mend.command(values, file.as_deref());
    print::write(&sections, shown, out, colours)?;
    out.flush()?;
    let mut findings = sections.iter().flat_map(|section| &section.findings);
    let wrong = findings.any(|finding| finding.level == Level::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What all parts answered.
struct Facts {
    docker: Result<DockerReport>,
    /// The platform's own database.
    platform: Result<PostgresReport>,
    /// The server of the tenants' data, when it has a URL of its own.
    tenants: Option<Result<PostgresReport>>,
    /// The same server as tenants' containers reach it, when it is known where that is.
    inside: Option<Inside>,
    traefik: Result<TraefikReport>,
    /// What came of talking to the mail server, where there is one.
    mail: Option<Result<()>>,
    listeners: Listeners,
    machine: Machine,
    /// Free bytes in Docker's folder, when it is on this machine.
    free_space: Option<u64>,
    /// The address of a tenant's host, where that is asked of the network.
    names: Option<io::Result<Vec<IpAddr>>>,
}

/// A login at the address that tenants' containers are given.
struct Inside {
    address: String,
    login: Result<PostgresReport>,
}

impl Facts {
    async fn gather(config: &Config) -> Self {
        let admin = &config.tenant_database_admin_url;
        let own = admin.expose_secret() != config.database_url.expose_secret();
        let tenants =
            async { if own { Some(within(PostgresReport::gather(admin)).await) } else { None } };
        let (docker, platform, tenants, traefik, mail, (listeners, machine), names) = tokio::join!(
            docker::gather(config),
            within(PostgresReport::gather(&config.database_url)),
            tenants,
            within(traefik::gather(config)),
            mail::gather(config),
            on_a_thread(|| (Listeners::read().unwrap_or_default(), Machine::read())),
            host::names(config),
        );
        // Where the tenants' side is, Docker knows.
        let inside = match tenants.as_ref().unwrap_or(&platform) {
            Ok(_) => tenants::inside(config, gateway(&docker)).await,
            Err(_) => None,
        };
        let root = docker.as_ref().ok().map(|docker| docker.root.clone());
        let free_space = on_a_thread(move || host::free_space(&root?)).await;
        Self {
            docker,
            platform,
            tenants,
            inside,
            traefik,
            mail,
            listeners,
            machine,
            free_space,
            names,
        }
    }

    /// The server of the tenants' data.
    fn tenants_server(&self) -> &Result<PostgresReport> {
        self.tenants.as_ref().unwrap_or(&self.platform)
    }
}

fn judge(config: &Config, facts: &Facts) -> Vec<Section> {
    let section = |title, findings| Section { title, findings };
    vec![
        section("Docker", docker::judge(config, facts)),
        section("Image of new tenants", image::judge(config, facts)),
        section("PostgreSQL: the platform's database", postgres::judge(config, facts)),
        section("PostgreSQL: the tenants' data", tenants::judge(config, facts)),
        section("Traefik", traefik::judge(config, facts)),
        section("Mail", mail::judge(config, facts)),
        section("Ports of this machine", ports::judge(config, facts)),
        section("This machine", host::judge(config, facts)),
        section("Clocks", clock::judge(facts)),
        section("Secrets", secrets::judge(config)),
    ]
}

fn gateway(docker: &Result<DockerReport>) -> Option<IpAddr> {
    match docker.as_ref().ok()?.network {
        NetworkReport::Fit(gateway) => Some(gateway),
        _ => None,
    }
}

/// A part that hangs is one that does not answer.
async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(TIME, work).await.unwrap_or_else(|_| {
        let words = format!("no answer within {} s", TIME.as_secs());
        Err(Error::new(ErrorKind::TimedOut, words))
    })
}

/// Reads what blocks. What does not come in time, or breaks, is as if there were nothing to read.
async fn on_a_thread<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let read = tokio::time::timeout(TIME, tokio::task::spawn_blocking(work)).await;
    read.ok().and_then(std::result::Result::ok).unwrap_or_default()
}
