//! Looks whether the log is as it was sealed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::Transaction;
use fresco_core::{Error, ErrorKind, Result};
use tokio_postgres::IsolationLevel;

use super::AuditRow;
use super::chain::{AuditKeys, Head, HeadState, Link, hex, unknown_key};
use crate::accounts::Accounts;
use crate::accounts::database::{Mapped, within};

/// Rows that are read at a time.
const PAGE: i64 = 1_000;
/// All of it.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The end of a chain, as it was noted somewhere else: `<place>:<seal>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The place.
    seq: i64,
    /// The seal there, in hexadecimal digits.
    mac: String,
}

impl FromStr for AuditHead {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let words = "this is no head of the audit log; it looks like 1042:5f3a…, as fresco-server audit verify prints it";
            Error::new(ErrorKind::Invalid, words)
        };
        let (seq, mac) = text.trim().split_once(':').ok_or_else(wrong)?;
        let seq: i64 = seq.parse().map_err(|_| wrong())?;
        let digits = mac.len() == 64 && mac.bytes().all(|digit| digit.is_ascii_hexdigit());
        if seq < 1 || !digits {
            return Err(wrong());
        }
        Ok(Self { seq, mac: mac.to_lowercase() })
    }
}

/// What is wrong with the log, at the first place where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditFault {
    /// The head, which says how far the chain goes, is gone.
    HeadGone,
    /// The head is not as it was sealed.
    HeadChanged,
    /// The row at this place, with this number, is not as it was sealed, or was not sealed here.
    RowChanged {
        /// The place.
        seq: i64,
        /// The row's number.
        id: i64,
    },
    /// There is no row at this place, and there is one behind it.
    RowGone {
        /// The place.
        seq: i64,
    },
    /// The chain ends here, and should go on to there.
    EndGone {
        /// The first place that is not there.
        seq: i64,
        /// The last that should be.
        until: i64,
    },
    /// The row at this place, with this number, is behind the end of the chain.
    Beyond {
        /// The place.
        seq: i64,
        /// The row's number.
        id: i64,
    },
    /// The row at this place was taken out as old, and is there.
    Back {
        /// The place.
        seq: i64,
    },
    /// The chain does not come by this place with the seal that was noted elsewhere: an older state
    /// of it was put in its place.
    OtherThanNoted {
        /// The place.
        seq: i64,
    },
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadGone => f.write_str("the head is gone"),
            Self::HeadChanged => f.write_str("the head is not as it was sealed"),
            Self::RowChanged { seq, id } => {
                write!(f, "row {seq} (id {id}) is not as it was sealed")
            }
            Self::RowGone { seq } => write!(f, "row {seq} is gone"),
            Self::EndGone { seq, until } => {
                write!(f, "row {seq} is gone, with all that follow up to {until}")
            }
            Self::Beyond { seq, id } => {
                write!(f, "row {seq} (id {id}) is behind the end of the log, and nobody sealed it")
            }
            Self::Back { seq } => write!(f, "row {seq} was taken out as old, and is there again"),
            Self::OtherThanNoted { seq } => {
                write!(
                    f,
                    "row {seq} is not the one that was noted: an older log was put in its place"
                )
            }
        }
    }
}

/// What became of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// Rows that were looked at.
    pub checked: i64,
    /// Rows that nobody has sealed yet; nothing is known of them.
    pub unsealed: i64,
    /// Rows that were taken out as old.
    pub pruned: i64,
    /// The end of the chain, to be noted somewhere else; `None` before the first row.
    pub head: Option<String>,
    /// The first thing that is wrong.
    pub fault: Option<AuditFault>,
}

impl Accounts {
    /// Looks whether all of the log is as it was sealed, and comes by the place that was noted before.
    ///
    /// # Errors
    /// `Conflict` when a part was sealed under a secret that is not here, with that key's name; the
    /// database's own.
    pub async fn verify_audit(&self, noted: Option<&AuditHead>) -> Result<AuditReport> {
        within(LIMIT, "accounts.verify_audit", async {
            let mut client = self.database().client().await?;
            // What is written meanwhile is not seen.
            let transaction = client
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await
                .mapped()?;
            let sql = "SELECT count(*) FROM fresco_server.audit WHERE seq IS NULL";
            let unsealed = transaction.query_one(sql, &[]).await.mapped()?.get(0);
            let sql = format!("SELECT {} FROM fresco_server.audit_head", Head::COLUMNS);
            let row = transaction.query_opt(&sql, &[]).await.mapped()?;
            let Some(head) = row.as_ref().map(Head::read) else {
                let fault = Some(AuditFault::HeadGone);
                return Ok(AuditReport { checked: 0, unsealed, pruned: 0, head: None, fault });
            };
            let mut walk = Walk { checked: 0, seq: head.pruned, mac: head.pruned_mac.clone() };
            let fault = walk.whole(&transaction, self.audit_keys(), &head, noted).await?;
            let end = format!("{}:{}", head.sealed, hex(&head.last_mac));
            Ok(AuditReport {
                checked: walk.checked,
                unsealed,
                pruned: head.pruned,
                head: (head.sealed > 0).then_some(end),
                fault,
            })
        })
        .await
    }
}

/// How far the chain was followed.
struct Walk {
    checked: i64,
    seq: i64,
    mac: Vec<u8>,
}

impl Walk {
    /// From the beginning to the end. The first thing that is wrong.
    async fn whole(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &AuditKeys,
        head: &Head,
        noted: Option<&AuditHead>,
    ) -> Result<Option<AuditFault>> {
        match head.state(keys) {
            HeadState::Right => {}
            HeadState::Wrong => return Ok(Some(AuditFault::HeadChanged)),
            HeadState::Unknown(key) => return Err(unknown_key(&key)),
        }
        let sql = "SELECT min(seq) FROM fresco_server.audit WHERE seq <= $1";
        let back = transaction.query_one(sql, &[&head.pruned]).await.mapped()?;
        if let Some(seq) = back.get(0) {
            return Ok(Some(AuditFault::Back { seq }));
        }
        let sql = format!(
            "SELECT {} FROM fresco_server.audit WHERE seq > $1 ORDER BY seq LIMIT $2",
            AuditRow::COLUMNS
        );
        loop {
            let rows = transaction.query(&sql, &[&self.seq, &PAGE]).await.mapped()?;
            if rows.is_empty() {
                break;
            }
            for row in rows.iter().map(AuditRow::read) {
                if let Some(fault) = self.step(keys, head, noted, &row)? {
                    return Ok(Some(fault));
                }
            }
        }
        Ok(self.end(head, noted))
    }

    fn step(
        &mut self,
        keys: &AuditKeys,
        head: &Head,
        noted: Option<&AuditHead>,
        row: &AuditRow,
    ) -> Result<Option<AuditFault>> {
        let next = self.seq + 1;
        // All three are there, or none, by a constraint; a row without them is not looked for.
        let (seq, id) = (row.seq.unwrap_or_default(), row.id);
        if seq > head.sealed {
            return Ok(Some(match next <= head.sealed {
                true => AuditFault::EndGone { seq: next, until: head.sealed },
                false => AuditFault::Beyond { seq, id },
            }));
        }
        let right = match Link::of(keys, row, self.seq, &self.mac) {
            Link::Right(mac) => mac,
            Link::Missing => return Ok(Some(AuditFault::RowGone { seq: next })),
            Link::Wrong => return Ok(Some(AuditFault::RowChanged { seq, id })),
            Link::Unknown(key) => return Err(unknown_key(&key)),
        };
        if noted.is_some_and(|noted| noted.seq == seq && noted.mac != hex(&right)) {
            return Ok(Some(AuditFault::OtherThanNoted { seq }));
        }
        (self.seq, self.mac) = (seq, right);
        self.checked += 1;
        Ok(None)
    }

    fn end(&self, head: &Head, noted: Option<&AuditHead>) -> Option<AuditFault> {
        if self.seq < head.sealed {
            return Some(AuditFault::EndGone { seq: self.seq + 1, until: head.sealed });
        }
        if self.mac != head.last_mac {
            return Some(AuditFault::HeadChanged);
        }
        // What was taken out as old can't be compared, but for the last of it.
        let pruned =
            |noted: &AuditHead| noted.seq == head.pruned && noted.mac != hex(&head.pruned_mac);
        noted
            .filter(|noted| noted.seq > head.sealed || pruned(noted))
            .map(|noted| AuditFault::OtherThanNoted { seq: noted.seq })
    }
}
