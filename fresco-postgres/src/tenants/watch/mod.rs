//! Watching what tenants' roles do to what all of them share, and ending it.
//!
//! A role with a database or a schema of its own still shares the server's disk, the table of
//! locks and the queue of notifications. A tenant that fills the table of locks stops the whole
//! server: nobody can connect any more, and no statement that needs a lock works. So the connection
//! that looks is opened beforehand, and holds beforehand all shared locks that looking and ending
//! take ([`eyes`]). What is done with it needs nothing that a tenant could use up. What comes after
//! it, on other connections ([`hand`]), is done once the offender's sessions are over.

mod bar;
mod eyes;
mod hand;
mod shared;
mod sizes;

pub(super) use self::bar::lift;

use std::collections::BTreeMap;
use std::fmt;
use std::mem::take;
use std::time::Duration;

use fresco_core::{DatabaseExcess, DatabaseOffence, Error, Isolation, Result, TenantId};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use self::eyes::{Doing, Eyes};
use self::hand::Hand;
use self::shared::Rest;
use super::PostgresTenants;
use super::names::RoleMark;

/// How often it is looked for who fills the queue of notifications, and the pause between.
const LOOKS_FOR_SENDERS: u32 = 20;
const LOOKS_PAUSE: Duration = Duration::from_millis(20);

/// Who was told to end a transaction so long ago, and goes on, computes where the server never looks
/// whether it is to end.
const DEAF: Duration = Duration::from_secs(10);
/// How often it is told of whom nothing ends.
const TELL: Duration = Duration::from_secs(30);

/// What a look keeps for the next one. One look at a time.
#[derive(Default)]
pub(super) struct Watch {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    eyes: Option<Eyes>,
    hand: Option<Hand>,
    /// The size of the database that holds schemas when its schemas were last added up, and when.
    schemas: Option<(u64, Instant)>,
    /// How many rows had been written in tenants' databases when each was last measured, and when.
    databases: BTreeMap<TenantId, (i64, Instant)>,
    /// What else was in the database that holds schemas.
    rest: Option<Rest>,
    /// Since when the process of a session has been told to end its transaction.
    asked: BTreeMap<i32, Instant>,
    /// When it was last told of somebody whom nothing ends.
    told: Option<Instant>,
}

impl PostgresTenants {
    pub(super) async fn look_around(&self) -> Result<Vec<DatabaseOffence>> {
        let mut kept = self.watch.kept.lock().await;
        let kept = &mut *kept;
        // Taken out, so that one in an unknown state (this call was dropped) is not used again.
        let eyes = match kept.eyes.take().filter(Eyes::is_open) {
            Some(eyes) => eyes,
            None => Eyes::open(&self.eyes).await?,
        };
        let found = self.look_with(&eyes, kept).await;
        // After an error of its own it can't be used any more; else it must not be given up, since
        // another one may not be had just now.
        if found.is_ok() || eyes.queue().await.is_ok() {
            kept.eyes = Some(eyes);
        }
        found
    }

    async fn look_with(&self, eyes: &Eyes, kept: &mut Kept) -> Result<Vec<DatabaseOffence>> {
        let doing = eyes.look().await?;
        let ours: Vec<_> = doing.iter().filter(|one| self.is_ours(one)).collect();

        // First what may have stopped the server, with nothing but what is held already.
        let mut first = self.too_many_locks(&ours, eyes.lock_table());
        first.extend(self.full_queue(eyes, &ours).await?);
        // One that can't be ended must not keep the others from being ended.
        let mut trouble = None;
        let mut found = self.bar_all(eyes, kept, first, false, &mut trouble).await;
        let (ended, deaf) = self.old_transactions(eyes, kept, &ours, &mut trouble).await;
        found.extend(ended);
        found.extend(self.bar_all(eyes, kept, deaf, true, &mut trouble).await);
        let rest: Vec<_> = ours
            .into_iter()
            .filter(|one| found.iter().all(|offence| offence.tenant != one.tenant))
            .cloned()
            .collect();
        match self.too_large(kept, &rest).await {
            Ok(large) => found.extend(self.bar_all(eyes, kept, large, false, &mut trouble).await),
            Err(error) => trouble = trouble.or(Some(error)),
        }
        match trouble {
            None => Ok(found),
            Some(error) => {
                for offence in &found {
                    tracing::warn!(tenant = %offence.tenant, "ended what a tenant did in the database: {offence}");
                }
                Err(error)
            }
        }
    }

    /// Bars all of these, and tells whom it could bar.
    async fn bar_all(
        &self,
        eyes: &Eyes,
        kept: &mut Kept,
        offences: Vec<Found>,
        deaf: bool,
        trouble: &mut Option<Error>,
    ) -> Vec<DatabaseOffence> {
        let mut barred = Vec::new();
        for (role, offence) in offences {
            match self.bar(eyes, &mut kept.hand, role, &offence, deaf).await {
                Ok(()) => barred.push(offence),
                Err(error) => *trouble = trouble.take().or(Some(error)),
            }
        }
        barred
    }

    fn is_ours(&self, one: &Doing) -> bool {
        let mark = one.comment.as_deref().and_then(RoleMark::parse);
        mark.is_some_and(|mark| mark.platform == self.platform())
    }

    /// Who holds more of the table of locks than allowed.
    fn too_many_locks(&self, ours: &[&Doing], table: u64) -> Vec<Found> {
        // A quarter of the table, if nothing else was said: three more tenants could do the same
        // at the same time.
        let limit = self.config.limits.locks.map_or(table / 4, u64::from).max(1);
        let over = ours.iter().filter(|one| one.locks > limit);
        over.map(|one| one.found(DatabaseExcess::Locks, one.locks, limit)).collect()
    }

    /// Who fills the queue of notifications. Who sends to it is seen in the table of locks; who
    /// keeps it from being emptied is not seen anywhere. It has a transaction open, though: without
    /// a sender, the oldest of those is ended.
    async fn full_queue(&self, eyes: &Eyes, ours: &[&Doing]) -> Result<Vec<Found>> {
        let limit = u64::from(self.config.limits.notifications);
        let used = eyes.queue().await?;
        if used <= limit {
            return Ok(Vec::new());
        }
        let senders = |doing: &[&Doing]| -> Vec<Found> {
            let senders = doing.iter().filter(|one| one.notifies);
            senders.map(|one| one.found(DatabaseExcess::Notifications, used, limit)).collect()
        };
        let mut found = senders(ours);
        // Sending takes moments, and one look may miss them.
        for _ in 0..LOOKS_FOR_SENDERS {
            if !found.is_empty() {
                break;
            }
            sleep(LOOKS_PAUSE).await;
            let doing = eyes.look().await?;
            found = senders(&doing.iter().filter(|one| self.is_ours(one)).collect::<Vec<_>>());
        }
        if found.is_empty() {
            let oldest = ours.iter().filter(|one| one.transaction > 0.0);
            if let Some(oldest) = oldest.max_by(|a, b| a.transaction.total_cmp(&b.transaction)) {
                tracing::warn!(tenant = %oldest.tenant, used, "the queue of notifications is full; ended the oldest transaction");
                eyes.end_older(oldest.role, 0.0).await?;
            }
        }
        Ok(found)
    }

    /// Ends transactions that are open for too long. Whoever goes on although told to end: its tenant is
    /// to be barred, so that no other session of it does the same. The process itself goes on until it is
    /// done, and only somebody on its machine can end it.
    async fn old_transactions(
        &self,
        eyes: &Eyes,
        kept: &mut Kept,
        ours: &[&Doing],
        trouble: &mut Option<Error>,
    ) -> (Vec<DatabaseOffence>, Vec<Found>) {
        let limit = self.config.limits.transaction;
        let (mut ended, mut deaf, before) = (Vec::new(), Vec::new(), take(&mut kept.asked));
        for one in ours.iter().filter(|one| one.transaction > limit.as_secs_f64()) {
            let asked = before.get(&one.oldest).copied().unwrap_or_else(Instant::now);
            kept.asked.insert(one.oldest, asked);
            // Below zero and beyond its range, a cast ends at the range.
            let measured = one.transaction.ceil() as u64;
            let offence = one.found(DatabaseExcess::Transaction, measured, limit.as_secs());
            match asked.elapsed() > DEAF {
                true if one.admitted => deaf.push(offence),
                true => kept.tell(one),
                false => match eyes.end_older(one.role, limit.as_secs_f64()).await {
                    Ok(0) => {}
                    // Asked before, it has been told of.
                    Ok(_) if before.contains_key(&one.oldest) => {}
                    Ok(_) => ended.push(offence.1),
                    Err(error) => *trouble = trouble.take().or(Some(error)),
                },
            }
        }
        (ended, deaf)
    }
}

impl Kept {
    /// Tells now and then of a process that nothing ends.
    fn tell(&mut self, one: &Doing) {
        if self.told.is_none_or(|at| at.elapsed() > TELL) {
            self.told = Some(Instant::now());
            tracing::error!(tenant = %one.tenant, process = one.oldest, "a process of PostgreSQL computes for a stopped tenant and does not end when told to; `kill -9` of it, where PostgreSQL runs, ends it and every other session");
        }
    }
}

/// An offence, and the role's number in the server.
type Found = (i64, DatabaseOffence);

impl Doing {
    fn found(&self, excess: DatabaseExcess, measured: u64, limit: u64) -> Found {
        (self.role, DatabaseOffence::new(self.tenant, excess, measured, limit))
    }
}

/// Where a tenant with sessions keeps its data, as far as its sessions tell.
fn place(one: &Doing, schemas: &str) -> Option<Isolation> {
    if one.databases.iter().any(|name| name == schemas) {
        return Some(Isolation::Schema);
    }
    let own = one.tenant.database_name();
    one.databases.contains(&own).then_some(Isolation::Database)
}

/// The tenant of a role's name.
fn tenant_of(role: &str) -> Option<TenantId> {
    TenantId::from_role_name(role)
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
