//! The platform's own database; and what is asked of every PostgreSQL server.

use fresco_core::{Error, ErrorKind, Result};
use fresco_postgres::PostgresReport;
use secrecy::{ExposeSecret, SecretString};

use super::Facts;
use super::finding::{Finding, Level};
use super::listeners::Listeners;
use super::mend::fill;
use super::shell::{Place, ident, show_listener};
use crate::config::Config;

/// The versions that the platform's tests run on, and what lies between them.
const TESTED: std::ops::RangeInclusive<i32> = 15..=18;

/// How to get a newer one.
const UPGRADE: &str =
    "; how to take its data to a newer one: https://www.postgresql.org/docs/current/upgrading.html";

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let server = Server {
        setting: "DATABASE_URL",
        place: place(&config.database_url, config),
        report: &facts.platform,
    };
    let mut findings = server.basics(&facts.listeners);
    if let (Ok(report), Some(place)) = (&facts.platform, &server.place) {
        findings.push(schemas(report, place));
    }
    findings
}

pub(super) fn place(url: &SecretString, config: &Config) -> Option<Place> {
    Place::of(url.expose_secret(), config.is_production())
}

/// Both the server and a tenants' administrator keep tables of their own in the URL's database.
pub(super) fn schemas(report: &PostgresReport, place: &Place) -> Finding {
    let (database, role) = (&report.database, &report.role);
    if report.makes_schemas {
        return Finding::ok("rights", format!("{role} may keep its tables in {database}"));
    }
    let sql = format!("ALTER DATABASE {} OWNER TO {}", ident(database), ident(role));
    Finding::wrong("rights", format!("{role} may not make a schema in {database}"))
        .mend(place.as_superuser(&sql))
}

/// One server, as its URL leads to it.
pub(super) struct Server<'a> {
    pub(super) setting: &'static str,
    pub(super) place: Option<Place>,
    pub(super) report: &'a Result<PostgresReport>,
}

impl Server<'_> {
    /// Whether it lets us in, and whether its version will do.
    pub(super) fn basics(&self, listeners: &Listeners) -> Vec<Finding> {
        match (self.report, &self.place) {
            (Ok(report), Some(place)) => {
                let version = version(report.version_number, &report.version, place.production);
                vec![login(self.setting, report, place), version]
            }
            (Err(error), Some(place)) => vec![self.refused(error, place, listeners)],
            (Ok(_), None) => Vec::new(),
            (Err(error), None) => {
                vec![Finding::wrong("login", format!("{}: {}", self.setting, error.chain()))]
            }
        }
    }

    fn refused(&self, error: &Error, place: &Place, listeners: &Listeners) -> Finding {
        let Place { host, port, role, database, .. } = place;
        let setting = self.setting;
        let words = error.chain();
        let wrong = |seen: String| Finding::wrong("login", seen);
        let as_superuser = |sql: String| place.as_superuser(&sql);
        match error.kind() {
            ErrorKind::Denied if words.contains("SQLSTATE 28P01") => wrong(format!(
                "PostgreSQL at {host}:{port} refuses the password of {role} in {setting} (or has no such role)"
            ))
            .mend(format!(
                "{}  # asks for the new one",
                as_superuser(format!("\\password {}", ident(role)))
            ))
            .mend(format!(
                "{}  # if there is no such role",
                as_superuser(format!("CREATE ROLE {} LOGIN CREATEROLE CREATEDB", ident(role)))
            )),
            ErrorKind::Denied if words.contains("pg_hba.conf") => {
                wrong(format!("{words}: a line of pg_hba.conf must let {role} in"))
                    .mend(as_superuser("SHOW hba_file".to_owned()))
            }
            ErrorKind::Denied => {
                wrong(words).mend(as_superuser(format!("ALTER ROLE {} LOGIN", ident(role))))
            }
            ErrorKind::NotFound => {
                wrong(format!("PostgreSQL at {host}:{port} has no database {database}")).mend(
                    as_superuser(format!(
                        "CREATE DATABASE {} OWNER {}",
                        ident(database),
                        ident(role)
                    )),
                )
            }
            ErrorKind::Unavailable => {
                // A server that answers has its own words for why it won't talk now.
                let said = if words.contains("SQLSTATE") { format!(": {words}") } else { String::new() };
                let taken = listeners.at(([127, 0, 0, 1], *port).into());
                let silent = format!("PostgreSQL does not answer at {host}:{port} ({setting}){said}");
                match taken.filter(|_| place.is_here() && said.is_empty()) {
                    Some(owner) if owner.name() != Some("postgres") => {
                        wrong(format!("{silent}; {owner} has that port"))
                            .mend(show_listener(*port))
                            .mend(fill(setting, place.pattern()))
                    }
                    _ if said.is_empty() => {
                        let seen = format!(
                            "{silent}: it is not running, or {setting} names another place"
                        );
                        started_or_renamed(wrong(seen), setting, place)
                    }
                    _ => started_or_renamed(wrong(silent), setting, place),
                }
            }
            ErrorKind::Invalid | ErrorKind::Unsupported => wrong(format!("{setting}: {words}"))
                .mend(fill(setting, "postgresql://role:password@host:5432/database")),
            _ => started_or_renamed(wrong(words), setting, place),
        }
    }
}

/// Either the server is not running, or the URL leads to where it is not.
fn started_or_renamed(finding: Finding, setting: &'static str, place: &Place) -> Finding {
    let finding = match place.start() {
        Some(start) => finding.mend(start),
        None => finding,
    };
    if place.is_dev_stack() { finding } else { finding.mend(fill(setting, place.pattern())) }
}

fn login(setting: &'static str, report: &PostgresReport, place: &Place) -> Finding {
    let (role, database) = (&report.role, &report.database);
    let at = format!("{}:{}", place.host, place.port);
    if report.read_only {
        return Finding::wrong("login", format!("{at} is a read-only copy, or still recovering"))
            .mend(fill(setting, format!("postgresql://{role}:password@primary:5432/{database}")));
    }
    Finding::ok("login", format!("{role} reaches {database} at {at}"))
}

/// No command is right for every way to run PostgreSQL, and its data must go with it.
fn version(number: i32, words: &str, production: bool) -> Finding {
    let major = number / 10_000;
    let seen = format!("PostgreSQL {words}");
    let (level, why) = verdict(major, production);
    if level == Level::Ok {
        return Finding::ok("version", seen);
    }
    let how = if major > *TESTED.end() { "" } else { UPGRADE };
    Finding::new(level, "version", format!("{seen}: {why}{how}"))
}

/// What a major version is good for.
fn verdict(major: i32, production: bool) -> (Level, &'static str) {
    match major {
        15 if production => {
            (Level::Wrong, "with it, CREATEROLE equals all rights; production needs 16 or newer")
        }
        15 => (Level::Warning, "it will do for development; production needs 16 or newer"),
        n if n < *TESTED.start() => (Level::Wrong, "15 or newer is needed, 16 for production"),
        n if n > *TESTED.end() => (Level::Warning, "newer than what this program was tested with"),
        _ => (Level::Ok, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_needs_a_version_that_keeps_roles_apart() {
        for (major, development, production) in [
            (14, Level::Wrong, Level::Wrong),
            (15, Level::Warning, Level::Wrong),
            (16, Level::Ok, Level::Ok),
            (18, Level::Ok, Level::Ok),
            (19, Level::Warning, Level::Warning),
        ] {
            assert_eq!(verdict(major, false).0, development, "{major}");
            assert_eq!(verdict(major, true).0, production, "{major}");
            let finding = version(major * 10_000 + 4, "as it says", true);
            assert!(finding.mends.is_empty(), "none fits every way to run it: {finding:?}");
            assert_eq!(finding.seen.contains("/upgrading.html"), major < 16, "{finding:?}");
        }
    }
}
