//! What a tenant's role tries in the database, and what is left of it all.

use std::sync::Arc;

use fresco_isolation::{Expected, GROUPS, Table, Wrong, try_group};

use crate::docker::{self, Docker};
use crate::platform::{Place, Platform};
use crate::world::Running;

pub(crate) async fn rows(
    place: &Arc<Place>,
    docker: &Arc<Docker>,
    platform: &Arc<Platform>,
    table: &mut Table,
) {
    let isolation = format!("{:?}", place.isolation()).to_lowercase();
    table.part.clone_from(&isolation);
    let world = Running::new(place, docker, platform);
    for group in GROUPS {
        crate::screen::heading(&format!("database, a {isolation} for each tenant: {group}"));
        if let Err(Wrong(words)) = try_group(group, &world, table).await {
            table.add(Expected::Works, format!("try {group}"), Err(Wrong(words)));
        }
    }
}

/// All that was there before is there, and nothing else.
pub(crate) async fn left(place: &Place, before: &[String], table: &mut Table) {
    let observed = docker::others(place).await.and_then(|after| match after == before {
        true => Ok(format!("{} containers of other tenants, as before", after.len())),
        false => Err(Wrong(format!("before: {}; after: {}", before.join(", "), after.join(", ")))),
    });
    table.add(Expected::Works, "other tenants go on, and nothing is left of this", observed);
}
