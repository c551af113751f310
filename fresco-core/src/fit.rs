//! Whether a tenant's container is as it must be while the tenant runs: what the reconciler looks
//! for, and what a start mends.

use crate::database::DatabaseEntry;
use crate::instance::{Instance, InstanceState};
use crate::tenant::Limits;

/// The first thing found wrong with a tenant's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It is gone.
    Gone,
    /// It can't log in to its database any more.
    LockedOut,
    /// It does not run.
    Down(InstanceState),
    /// It runs, and can't be reached: it was paused, or taken off its network.
    CutOff,
    /// Other limits hold for it than the tenant's.
    Limits,
}

/// What is wrong with the container of a tenant that should run, if anything is.
///
/// Without its data nothing is wrong with the container: new credentials would not bring the data
/// back, and a wrong address of the database must not stop a machine full of tenants.
pub(crate) fn misfit(
    own: Option<&Instance>,
    limits: &Limits,
    database: Option<&DatabaseEntry>,
) -> Option<Misfit> {
    let Some(own) = own else { return Some(Misfit::Gone) };
    let database = database.filter(|entry| entry.storage.is_some());
    let locked_out = |entry: &DatabaseEntry| {
        !entry.role || entry.locked || entry.credential != Some(own.credential)
    };
    if database.is_some_and(locked_out) {
        return Some(Misfit::LockedOut);
    }
    if !own.is_running() {
        return Some(Misfit::Down(own.state.clone()));
    }
    if own.endpoint.is_none() {
        return Some(Misfit::CutOff);
    }
    (!own.keeps_within(limits)).then_some(Misfit::Limits)
}
