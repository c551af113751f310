//! `tenant-app`: a small stand-in for Network Canvas Fresco.
//!
//! It behaves as the real app does where a platform can tell the difference, and it can be told to misbehave.
//! Built as one static program, it runs in an image that holds nothing else, as any numeric user,
//! with a read-only root, in 64 MB and one thread.
//!
//! # What it does
//! 1. Reads its settings; prints every problem and exits with 1 if one is missing or wrong.
//! 2. Migrates: over `DATABASE_URL_UNPOOLED` it takes a per-database advisory lock, makes a temporary table,
//!    and creates the tables `visits` and `settings`. A failure is printed and ends the program with 1.
//! 3. Opens one session over `DATABASE_URL` and keeps it (a lost one is opened again by the next request).
//! 4. Listens, prints `ready`, and answers:
//!
//! | path | answer |
//! |---|---|
//! | `/` | 308 to `/signin` |
//! | `/signin` | a page: tenant, database, schema, role, version, visits. 200 even when the database is down |
//! | `/visit` | GET or POST: counts one visit and shows the same page; 503 when the database is down |
//! | `/whoami` | JSON: `database`, `schema`, `role`, `visits`, `version`, `publicUrl`; 503 when the database is down |
//! | `/setup` | only with `APP_CLAIM`: the first GET or POST owns the app, every later one gets 403 |
//!
//! SIGTERM and SIGINT end it at once with 0.
//!
//! # Settings (environment variables)
//! | name | meaning |
//! |---|---|
//! | `DATABASE_URL`, `DATABASE_URL_UNPOOLED` | required. `postgresql://user:password@ip:port/database`, optionally `?options=-c%20search_path%3D…`. The host must be an IP address (a static program can't look names up), TLS is not spoken. The app never sets `search_path` itself |
//! | `PUBLIC_URL` | required: the address people use |
//! | `HOSTNAME` | the one address to listen on; `0.0.0.0` for all. Missing or not an IP address (Docker sets the container's id): `127.0.0.1` |
//! | `PORT` | default 3000 |
//! | `APP_VERSION` | shown; default: the version of this package |
//! | `GREETING` | shown on the page when set |
//!
//! # Switches for tests
//! A flag is on when `1`, off when `0`, empty or missing.
//!
//! | name | what it makes the app do |
//! |---|---|
//! | `APP_SQL_PUBLIC` (flag) | name `"public"."table"` in all its SQL, as Fresco does: works in a database of its own, fails at boot in a schema of a shared one |
//! | `APP_BOOT_DELAY` (seconds) | wait before the migration |
//! | `APP_EXIT_AT_BOOT` (exit code, 0 to 255) | print a few lines and exit, touching no database |
//! | `APP_EXIT_AFTER` (seconds) | exit with 1 that long after `ready` |
//! | `APP_IGNORE_TERM` (flag) | ignore SIGTERM |
//! | `APP_EAT_MEMORY` (MB) | after `ready`, take and touch that much in steps of 8 MB, one line a step, and keep it |
//! | `APP_NEVER_HEALTHY` (flag) | answer 500 on `/signin` |
//! | `APP_NO_DATABASE` (flag) | never connect to the database: the page is green, and nothing is behind it |
//! | `APP_CLAIM` (flag) | let the first visitor of `/setup` own the app |

mod config;
mod database;
mod log;
mod misbehave;
mod page;
mod server;

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use config::Config;
use database::Database;

fn main() -> ExitCode {
    // One thread does all: a tenant may have few processes to spend.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error(format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run())
}

async fn run() -> ExitCode {
    let config = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(problems) => {
            log::error("cannot start, the environment is not complete:");
            for problem in problems {
                log::error(format!("  {problem}"));
            }
            return ExitCode::FAILURE;
        }
    };
    // As process 1 of a container there is no default handler: without these, SIGTERM would do nothing.
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (terminate, interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            log::error(format!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ignore_term = config.switches.ignore_term;
    tokio::select! {
        biased;
        name = asked_to_end(terminate, interrupt, ignore_term) => {
            log::info(format!("{name}: ending"));
            ExitCode::SUCCESS
        }
        code = live(config) => code,
    }
}

/// Waits for the signal that ends the program, and names it.
async fn asked_to_end(mut term: Signal, mut interrupt: Signal, ignore_term: bool) -> &'static str {
    loop {
        tokio::select! {
            _ = term.recv() => {
                if !ignore_term {
                    return "SIGTERM";
                }
                log::info("SIGTERM: ignored, as APP_IGNORE_TERM asks");
            }
            _ = interrupt.recv() => return "SIGINT",
        }
    }
}

/// Boots and serves; returns only when the app ends by itself.
async fn live(config: Config) -> ExitCode {
    log::info(format!("tenant-app {} for {}", config.version, config.public_url));
    if let Some(code) = misbehave::at_boot(&config.switches).await {
        return ExitCode::from(code);
    }
    log::scratch_folder();

    let database = Database::new(&config);
    if !config.switches.no_database
        && let Err(code) = open(&database).await
    {
        return code;
    }

    let listener = match server::bind(config.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            log::error(format!("cannot listen on {}: {error}", config.listen));
            return ExitCode::FAILURE;
        }
    };
    log::info(format!("ready, listening on {}", config.listen));
    let switches = config.switches.clone();
    tokio::select! {
        code = misbehave::after_ready(&switches) => ExitCode::from(code),
        never = server::serve(listener, config, database) => match never {},
    }
}

/// Migrates and opens the session.
async fn open(database: &Database) -> Result<(), ExitCode> {
    log::info(format!("migrating {}", database.describe()));
    if let Err(error) = database.migrate().await {
        log::error(format!("migration failed: {error}"));
        return Err(ExitCode::FAILURE);
    }
    // The session is opened now, so that it can be seen from the database before the first visitor comes.
    match database.standing().await {
        Ok(s) => {
            log::info(format!("connected as {} to {}, schema {}", s.role, s.database, s.schema));
            Ok(())
        }
        Err(error) => {
            log::error(format!("first query failed: {error}"));
            Err(ExitCode::FAILURE)
        }
    }
}
