//! The sealer: links what was written to what was sealed before.
//!
//! Rows are sealed in the order of their numbers, as far as they can be seen; one that was written
//! in a slower transaction gets a later place. Whoever seals holds the head meanwhile, so there is one
//! at a time, and what it does is one write: a sealer that dies leaves nothing half done.

use std::sync::PoisonError;
use std::time::Duration;

use deadpool_postgres::Transaction;
use fresco_core::{Error, ErrorKind, Result};

use super::AuditRow;
use super::chain::{AuditKeys, Head, HeadState, Link, hex, unknown_key};
use crate::accounts::Accounts;
use crate::accounts::database::{Mapped, call};

/// Rows of one write.
const BATCH: i64 = 500;
/// Rows that are taken out in one write.
const PRUNED: i64 = 1_000;

/// What a sealer did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Rows that it sealed.
    pub now: usize,
    /// Rows that it took out, being old.
    pub pruned: usize,
    /// The end of the chain, as `fresco-server audit verify --head` takes it; `None` when there was
    /// nothing to do.
    pub head: Option<String>,
}

impl Accounts {
    /// Seals what is not sealed yet, some hundred rows at most, and takes out some of those that are
    /// sealed and older than `keep`.
    ///
    /// # Errors
    /// `Conflict` when the head or the last row was tampered with, or was sealed under a secret that is not here: then
    /// nothing is sealed, so that no seal is put on what somebody else made. `Conflict` likewise for an
    /// old row, which then stays, as evidence; what is new is sealed. The database's own.
    pub async fn seal_audit(&self, keep: Option<Duration>) -> Result<Sealed> {
        call("accounts.seal_audit", async {
            let mut client = self.database().client().await?;
            // Most often there is nothing to do, and no reason to hold the head.
            let sql = "SELECT EXISTS (SELECT FROM fresco_server.audit WHERE seq IS NULL)";
            if keep.is_none() && !client.query_one(sql, &[]).await.mapped()?.get::<_, bool>(0) {
                return Ok(Sealed { now: 0, pruned: 0, head: None });
            }
            let transaction = client.transaction().await.mapped()?;
            let mut head = hold(&transaction).await?;
            match head.state(self.audit_keys()) {
                HeadState::Right => {}
                HeadState::Wrong => {
                    let words = "the audit log was tampered with: its head is not as it was sealed. Nothing more is sealed; run fresco-server audit verify, and see docs/audit.md";
                    return Err(Error::new(ErrorKind::Conflict, words));
                }
                HeadState::Unknown(key) => {
                    let words = "the audit log was sealed under another AUTH_SECRET; put that into AUTH_SECRET_OLD. Until then nothing more is sealed";
                    return Err(Error::new(ErrorKind::Conflict, words).with("key", key));
                }
            }
            self.check_grown(&head)?;
            check_end(&transaction, &head).await?;
            let now = self.link(&transaction, &mut head).await?;
            let pruned = match keep {
                Some(keep) => prune(&transaction, self.audit_keys(), &mut head, keep).await,
                None => Ok(0),
            };
            let old = *pruned.as_ref().unwrap_or(&0);
            if now > 0 || old > 0 {
                self.write(&transaction, &head).await?;
                if old > 0 {
                    let sql = "DELETE FROM fresco_server.audit WHERE seq <= $1";
                    transaction.execute(sql, &[&head.pruned]).await.mapped()?;
                }
                transaction.commit().await.mapped()?;
            }
            self.note_grown(&head);
            let pruned = pruned?;
            let head = format!("{}:{}", head.sealed, hex(&head.last_mac));
            Ok(Sealed { now, pruned, head: Some(head) })
        })
        .await
    }

    /// Refuses a head that is right, and of before one that this program saw: a log that was emptied, and
    /// its head put back, has a right one as well.
    fn check_grown(&self, head: &Head) -> Result<()> {
        let (sealed, mac) = &*self.audit_seen().lock().unwrap_or_else(PoisonError::into_inner);
        if head.sealed > *sealed || (head.sealed == *sealed && head.last_mac == *mac) {
            return Ok(());
        }
        let words = "the audit log was tampered with: it was put back to what it was before. Nothing more is sealed by this program; see docs/audit.md";
        let seen = format!("{sealed}:{}", hex(mac));
        Err(Error::new(ErrorKind::Conflict, words).with("seen", seen))
    }

    fn note_grown(&self, head: &Head) {
        let mut seen = self.audit_seen().lock().unwrap_or_else(PoisonError::into_inner);
        // Another of this program's calls may have come further meanwhile.
        if head.sealed > seen.0 {
            *seen = (head.sealed, head.last_mac.clone());
        }
    }

    /// Seals the next rows.
    async fn link(&self, transaction: &Transaction<'_>, head: &mut Head) -> Result<usize> {
        let sql = format!(
            "SELECT {} FROM fresco_server.audit WHERE seq IS NULL ORDER BY id LIMIT $1",
            AuditRow::COLUMNS
        );
        let rows = transaction.query(&sql, &[&BATCH]).await.mapped()?;
        let keys = self.audit_keys();
        let (mut ids, mut places, mut seals) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows.iter().map(AuditRow::read) {
            let seq = head.sealed + 1;
            let mac = keys.row(keys.id(), &row, seq, &head.last_mac).ok_or_else(no_key)?;
            ids.push(row.id);
            places.push(seq);
            seals.push(mac.clone());
            (head.sealed, head.last_mac) = (seq, mac);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE fresco_server.audit a SET seq = s.seq, sealed_by = $4, mac = s.mac
                   FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS s (id, seq, mac)
                   WHERE a.id = s.id AND a.seq IS NULL";
        let done = transaction.execute(sql, &[&ids, &places, &seals, &keys.id()]).await.mapped()?;
        if done != ids.len() as u64 {
            let words = "rows of the audit log vanished while they were sealed";
            return Err(Error::new(ErrorKind::Conflict, words));
        }
        Ok(ids.len())
    }

    async fn write(&self, transaction: &Transaction<'_>, head: &Head) -> Result<()> {
        let keys = self.audit_keys();
        let mac = keys.head(keys.id(), head).ok_or_else(no_key)?;
        let sql = "UPDATE fresco_server.audit_head SET pruned = $1, pruned_mac = $2, sealed = $3,
                    last_mac = $4, sealed_by = $5, mac = $6";
        transaction
            .execute(
                sql,
                &[&head.pruned, &head.pruned_mac, &head.sealed, &head.last_mac, &keys.id(), &mac],
            )
            .await
            .mapped()?;
        Ok(())
    }
}

/// The head, held by this transaction.
async fn hold(transaction: &Transaction<'_>) -> Result<Head> {
    let sql = format!("SELECT {} FROM fresco_server.audit_head FOR UPDATE", Head::COLUMNS);
    let row = transaction.query_opt(&sql, &[]).await.mapped()?;
    let words = "the audit log was tampered with: its head is gone. Nothing more is sealed; see docs/audit.md";
    let row = row.ok_or_else(|| Error::new(ErrorKind::Conflict, words))?;
    Ok(Head::read(&row))
}

/// Refuses a log whose last sealed row is gone, or another: what is sealed after it would hide the gap from who looks
/// at the end alone.
async fn check_end(transaction: &Transaction<'_>, head: &Head) -> Result<()> {
    if head.sealed == head.pruned {
        return Ok(());
    }
    let sql = "SELECT mac FROM fresco_server.audit WHERE seq = $1";
    let last = transaction.query_opt(sql, &[&head.sealed]).await.mapped()?;
    if last.is_some_and(|last| last.get::<_, Option<&[u8]>>(0) == Some(&*head.last_mac)) {
        return Ok(());
    }
    let words = "the audit log was tampered with: its last row is gone, or not as it was sealed. Nothing more is sealed; run fresco-server audit verify, and see docs/audit.md";
    Err(Error::new(ErrorKind::Conflict, words).with("row", head.sealed))
}

/// Moves the beginning of the chain past rows that are old, all up to the first that is not. Only what
/// is as it was sealed goes: whoever may write to the database could else make rows old, and have the
/// sealer itself erase them.
async fn prune(
    transaction: &Transaction<'_>,
    keys: &AuditKeys,
    head: &mut Head,
    keep: Duration,
) -> Result<usize> {
    let sql = format!(
        "SELECT {}, at < now() - make_interval(secs => $3) AS old FROM fresco_server.audit
         WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $4",
        AuditRow::COLUMNS
    );
    let seconds = keep.as_secs_f64();
    let rows = transaction.query(&sql, &[&head.pruned, &head.sealed, &seconds, &PRUNED]).await;
    let rows = rows.mapped()?;
    let (mut seq, mut mac, mut old) = (head.pruned, head.pruned_mac.clone(), 0);
    for row in rows.iter().take_while(|row| row.get("old")) {
        match Link::of(keys, &AuditRow::read(row), seq, &mac) {
            Link::Right(next) => (seq, mac, old) = (seq + 1, next, old + 1),
            Link::Wrong | Link::Missing => {
                let words = "the audit log was tampered with: an old row is not as it was sealed, or is gone. Old rows stay from there on; run fresco-server audit verify, and see docs/audit.md";
                return Err(Error::new(ErrorKind::Conflict, words).with("row", seq + 1));
            }
            Link::Unknown(key) => return Err(unknown_key(&key)),
        }
    }
    (head.pruned, head.pruned_mac) = (seq, mac);
    Ok(old)
}

/// The key of now is always there.
fn no_key() -> Error {
    Error::new(ErrorKind::Internal, "the key of the audit log's seals is not there")
}
