//! What a tenant's database role tries against the others and the platform, each attempt once: the
//! tests of `fresco-postgres` run them on servers of their own, `dev/prove` on a platform that runs.
//!
//! - *refused*: the server does not do it, or shows nothing.
//! - *bounded*: it can be done, up to a limit that the tenant can't lift.
//! - *shared risk*: it harms all who share the server. It is ended by stopping the tenant, within 10
//!   seconds of being past a limit, and the platform's own calls are answered meanwhile.
//! - *open*: a shared risk that only the server's settings or its network bound.

mod attack;
mod bounded;
mod closed;
mod refused;
mod shared;
mod table;
mod traps;
mod wire;
mod world;

pub use attack::{Attack, Harm};
pub use shared::LOCKS;
pub use table::{Expected, Outcome, Row, Table};
pub use world::{Limits, Names, Standing, Tenant, World, Wrong};

/// What is tried, in groups, and what each shows.
pub const GROUPS: [&str; 5] = [
    "statements the server must refuse",
    "databases and views of others",
    "what is bounded",
    "traps for the platform",
    "what harms all, and is ended by stopping the tenant",
];

/// Tries one group of attempts.
///
/// # Errors
/// When the attempts could not be prepared: those of the group that are missing were not tried.
pub async fn try_group(group: &str, world: &dyn World, table: &mut Table) -> Result<(), Wrong> {
    match GROUPS.iter().position(|name| *name == group) {
        Some(0) => refused::rows(world, table).await,
        Some(1) => closed::rows(world, table).await,
        Some(2) => bounded::rows(world, table).await,
        Some(3) => traps::rows(world, table).await,
        Some(4) => shared::rows(world, table).await,
        _ => Err(format!("there is no group {group}").into()),
    }
}
