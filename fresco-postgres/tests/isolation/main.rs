//! What a tenant's role can try against the others and the platform, on real servers: one table of
//! attempts for each version of PostgreSQL, with both isolations.
//!
//! `cargo test -p fresco-postgres --test isolation -- --ignored --nocapture` prints it. It is also
//! left in the build's folder for temporary files, as `isolation-15.md` and so on.
//!
//! - *refused*: the server does not do it, or shows nothing.
//! - *bounded*: it can be done, up to a limit that the tenant can't lift.
//! - *shared risk*: it harms all who share the server. It is ended by stopping the tenant, within 10
//!   seconds of its beginning (what fills the disk slowly: of being past its limit), and the platform's own calls are answered meanwhile.
//! - *open*: a shared risk that only the server's settings or its network bound.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod attack;
mod bounded;
mod closed;
mod lasting;
mod refused;
mod shared;
mod table;
mod traps;
mod world;

use fresco_core::Isolation;
use tokio::sync::Mutex;

use self::table::Table;
use self::world::World;

/// Times are measured, so one server is tried at a time.
static TURN: Mutex<()> = Mutex::const_new(());

async fn try_all(version: &'static str) {
    let _turn = TURN.lock().await;
    let mut table = Table::new(version);
    for isolation in [Isolation::Schema, Isolation::Database] {
        table.isolation = isolation;
        let world = World::new(version, isolation).await;
        refused::rows(&world, &mut table).await;
        closed::rows(&world, &mut table).await;
        bounded::rows(&world, &mut table).await;
        traps::rows(&world, &mut table).await;
        shared::rows(&world, &mut table).await;
    }
    table.file();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn long_the_table_of_postgres_15() {
    try_all("15").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_table_of_postgres_16() {
    try_all("16").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn long_the_table_of_postgres_18() {
    try_all("18").await;
}
