//! What a tenant's role can try against the others and the platform, on real servers: a table of
//! attempts. The long tests make one for each version of PostgreSQL, with both isolations.
//!
//! `cargo test -p fresco-postgres --test isolation -- --ignored --nocapture` prints it. It is also
//! left in the build's folder for temporary files, as `isolation-15.md` and so on.
//!
//! What is tried stands in the crate `fresco-isolation`; `dev/prove` tries the same on a platform that runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod lasting;
mod world;

use std::path::Path;

use fresco_core::Isolation;
use fresco_isolation::{GROUPS, Table, try_group};
use tokio::sync::Mutex;

use self::world::World;

/// Times are measured, so one server is tried at a time.
static TURN: Mutex<()> = Mutex::const_new(());

const BOTH: [Isolation; 2] = [Isolation::Schema, Isolation::Database];

async fn attempt(version: &'static str, isolations: &[Isolation], groups: &[&str]) {
    let _turn = TURN.lock().await;
    let mut table = Table::default();
    for &isolation in isolations {
        table.part = format!("{isolation:?}").to_lowercase();
        let world = World::new(version, isolation).await;
        for group in groups {
            try_group(group, &world, &mut table).await.unwrap();
        }
    }
    let text = format!("## PostgreSQL {version}\n\n{}", table.markdown());
    println!("{text}");
    let name = format!("isolation-{version}.md");
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), &text).unwrap();
    let (_, wrong, untried) = table.counts();
    assert_eq!((wrong, untried), (0, 0), "not as expected, and not tried; see the table");
}

/// Without the groups that wait for a limit. `dev/prove`, which `dev/test` runs, tries all in schemas.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_table_of_databases_without_waiting() {
    attempt("16", &[Isolation::Database], &[GROUPS[0], GROUPS[1], GROUPS[3]]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn long_the_table_of_postgres_15() {
    attempt("15", &BOTH, &GROUPS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn long_the_table_of_postgres_16() {
    attempt("16", &BOTH, &GROUPS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn long_the_table_of_postgres_18() {
    attempt("18", &BOTH, &GROUPS).await;
}
