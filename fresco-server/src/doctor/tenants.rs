//! The server of the tenants' data: the role's rights, who may come in, and how tenants reach it.

use std::net::IpAddr;

use fresco_core::{ErrorKind, Guarantee};
use fresco_postgres::PostgresReport;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::finding::{Finding, Level};
use super::mend::fill;
use super::postgres::{Server, place, schemas};
use super::shell::{DEV_STACK, Place, ident};
use super::{Facts, Inside, within};
use crate::config::Config;

/// What Fresco's own pool of connections takes.
const SESSIONS_OF_A_TENANT: u32 = 10;
/// What the platform itself takes at most.
const SESSIONS_OF_THE_PLATFORM: u32 = 30;
/// The database for tenants that are kept apart by schemas.
const SCHEMAS: &str = "fresco_tenants";

/// Logs in at the address that tenants' containers are given. This machine's own way there is not
/// wholly theirs: a firewall may let the one pass and not the other.
pub(super) async fn inside(config: &Config, gateway: Option<IpAddr>) -> Option<Inside> {
    let (host, port) = &config.tenant_database_host;
    let host = match host {
        Some(host) => host.clone(),
        None => gateway?.to_string(),
    };
    let url = at(&config.tenant_database_admin_url, &host, *port)?;
    let login = within(PostgresReport::gather(&url)).await;
    Some(Inside { address: format!("{host}:{port}"), login })
}

/// The same URL with another address.
fn at(url: &SecretString, host: &str, port: u16) -> Option<SecretString> {
    let mut url = Url::parse(url.expose_secret()).ok()?;
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    url.set_host(Some(&bracketed)).ok()?;
    url.set_port(Some(port)).ok()?;
    Some(String::from(url).into())
}

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let url = &config.tenant_database_admin_url;
    let server = Server {
        setting: "TENANT_DATABASE_ADMIN_URL",
        place: place(url, config),
        report: facts.tenants_server(),
    };
    // With one URL for both, what is wrong with it was said above.
    let mut findings =
        if facts.tenants.is_some() { server.basics(&facts.listeners) } else { Vec::new() };
    let (Ok(report), Some(place)) = (server.report, &server.place) else { return findings };
    findings.extend(own_cluster(config, facts, report));
    if facts.tenants.is_some() {
        findings.push(schemas(report, place));
    }
    findings.extend([
        rights(report, place),
        database(report),
        public(report, place),
        sessions(report, place),
        temporary_files(report, place),
        reach(config, facts, report, place),
    ]);
    findings
}

fn own_cluster(config: &Config, facts: &Facts, report: &PostgresReport) -> Option<Finding> {
    let shared = facts.platform.as_ref().is_ok_and(|own| own.cluster == report.cluster);
    (shared && config.is_production()).then(|| {
        Finding::warning(
            "server",
            "the platform's own database is on the same server: a tenant that exhausts it stops the platform too",
        )
        .mend(fill(
            "TENANT_DATABASE_ADMIN_URL",
            "postgresql://role:password@another-server:5432/database",
        ))
    })
}

fn rights(report: &PostgresReport, place: &Place) -> Finding {
    let role = &report.role;
    let missing: Vec<_> =
        [(report.makes_roles, "CREATEROLE"), (report.makes_databases, "CREATEDB")]
            .into_iter()
            .filter_map(|(has, right)| (!has).then_some(right))
            .collect();
    if report.superuser {
        let level = if place.production { Level::Wrong } else { Level::Warning };
        let sql = "CREATE ROLE fresco_platform_app LOGIN CREATEROLE CREATEDB";
        return Finding::new(
            level,
            "role",
            format!("{role} is a superuser: a fault in the platform would give all away; use a role that has CREATEROLE and CREATEDB"),
        )
        .mend(place.as_superuser(sql));
    }
    if missing.is_empty() {
        return Finding::ok(
            "role",
            format!("{role} has CREATEROLE and CREATEDB, and is no superuser"),
        );
    }
    let sql = format!("ALTER ROLE {} {}", ident(role), missing.join(" "));
    Finding::wrong("role", format!("{role} lacks {}", missing.join(" and ")))
        .mend(place.as_superuser(&sql))
}

fn database(report: &PostgresReport) -> Finding {
    if report.database == SCHEMAS {
        let seen = format!(
            "{SCHEMAS} is for tenants' schemas; the administration needs another database, such as the platform's own"
        );
        return Finding::wrong("database", seen).mend(fill(
            "TENANT_DATABASE_ADMIN_URL",
            format!("postgresql://{}:password@host:5432/fresco_platform", report.role),
        ));
    }
    Finding::ok("database", format!("the administration keeps its record in {}", report.database))
}

/// Tenants could sit in these databases; a session in `template1` blocks `CREATE DATABASE`.
fn public(report: &PostgresReport, place: &Place) -> Finding {
    let open = &report.open_databases;
    if open.is_empty() {
        return Finding::ok("PUBLIC", "no database is open to every role");
    }
    let core = open.iter().any(|name| matches!(name.as_str(), "postgres" | "template1"));
    let level = if core { Level::Wrong } else { Level::Warning };
    let names: Vec<_> = open.iter().map(|name| ident(name)).collect();
    let names = names.join(", ");
    let sql = format!("REVOKE CONNECT, TEMPORARY ON DATABASE {names} FROM PUBLIC");
    let seen = format!("every tenant's role may use these databases: {names}");
    Finding::new(level, "PUBLIC", seen).mend(place.as_superuser(&sql))
}

fn sessions(report: &PostgresReport, place: &Place) -> Finding {
    let room = report.max_sessions.saturating_sub(SESSIONS_OF_THE_PLATFORM) / SESSIONS_OF_A_TENANT;
    let PostgresReport { max_sessions, tenants, .. } = report;
    let seen = format!(
        "{max_sessions} at the same time: enough for {room} tenants with {SESSIONS_OF_A_TENANT} each; {tenants} are there"
    );
    if *tenants < room {
        return Finding::ok("sessions", seen);
    }
    let more = (tenants + 20) * SESSIONS_OF_A_TENANT + SESSIONS_OF_THE_PLATFORM;
    Finding::warning("sessions", seen)
        .mend(place.as_superuser(&format!("ALTER SYSTEM SET max_connections = {more}")))
        .mend(place.restart())
}

/// The platform sees neither whose they are nor how many there are.
fn temporary_files(report: &PostgresReport, place: &Place) -> Finding {
    if let Some(bytes) = report.temp_file_limit {
        let seen = format!("at most {} MB for each session", bytes >> 20);
        return Finding::ok("temporary files", seen);
    }
    let seen = "no limit: a tenant can fill the disk with temporary files of its queries";
    Finding::warning("temporary files", seen.to_owned())
        .mend(place.as_superuser("ALTER SYSTEM SET temp_file_limit = '1GB'"))
        .mend(place.as_superuser("SELECT pg_reload_conf()"))
}

fn reach(config: &Config, facts: &Facts, report: &PostgresReport, place: &Place) -> Finding {
    let Some(Inside { address, login }) = &facts.inside else {
        return Finding::warning(
            "tenants' way",
            "how tenants reach it can be looked at once Docker answers and its network is there",
        );
    };
    let error = match login {
        Ok(there) if there.cluster == report.cluster => {
            return Finding::ok("tenants' way", format!("tenants reach it at {address}"));
        }
        Ok(_) => {
            return Finding::wrong(
                "tenants' way",
                format!("another PostgreSQL than that of TENANT_DATABASE_ADMIN_URL answers tenants at {address}"),
            )
            .mend(fill("TENANT_DATABASE_HOST", "host:port"));
        }
        Err(error) => error,
    };
    if error.kind() == ErrorKind::Denied {
        let seen =
            format!("PostgreSQL lets nobody in who comes through {address}: {}", error.chain());
        return Finding::wrong("tenants' way", seen).mend(place.let_networks_in());
    }
    // Docker on another machine, or in one of its own, has a gateway that is not ours to reach.
    let remote = super::docker::socket(config).is_none()
        || facts.docker.as_ref().is_ok_and(|d| d.unenforced.contains(&Guarantee::Network));
    let level = if remote { Level::Warning } else { Level::Wrong };
    let seen = format!(
        "PostgreSQL does not answer at {address}, where tenants look for it (TENANT_DATABASE_HOST)"
    );
    let finding = Finding::new(level, "tenants' way", seen);
    // The right address for a server on this machine: it need only listen there.
    let host = super::gateway(&facts.docker).map(|gateway| gateway.to_string());
    let right = |host: &String| place.is_here() && *address == format!("{host}:{}", place.port);
    let Some(host) = host.filter(right) else {
        return finding.mend(fill("TENANT_DATABASE_HOST", "host:port"));
    };
    if place.is_dev_stack() {
        return finding.mend(DEV_STACK);
    }
    finding
        .mend(
            place.as_superuser(&format!("ALTER SYSTEM SET listen_addresses = 'localhost,{host}'")),
        )
        .mend(place.restart())
}
