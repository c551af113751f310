//! How rows are linked: each seal is a keyed hash over the seal before it and all of the row.
//!
//! Whoever has no key can't make a seal. So a row that is changed, moved, added among sealed ones or
//! taken out shows, and so does a chain that ends too early, since its end is sealed as well.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use fresco_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use tokio_postgres::Row;
use uuid::Uuid;

use super::AuditRow;
use crate::accounts::token::Key;

const PURPOSE: &str = "fresco-server audit v1";

/// A key that seals, and the name by which rows tell which one it was.
struct AuditKey {
    id: String,
    key: Key,
}

/// The key of now, and those of before, for what they sealed.
pub(in crate::accounts) struct AuditKeys {
    now: AuditKey,
    before: Vec<AuditKey>,
}

impl AuditKeys {
    pub(in crate::accounts) fn derive(now: &SecretString, before: &[SecretString]) -> Result<Self> {
        let key = |secret: &SecretString| {
            let key = Key::of(secret, PURPOSE)?;
            // Eight bytes of a hash under the key: they tell keys apart, and nothing of them.
            let id = hex(key.hash(b"id").get(..8).unwrap_or_default());
            Ok(AuditKey { id, key })
        };
        Ok(Self { now: key(now)?, before: before.iter().map(key).collect::<Result<_>>()? })
    }

    /// The name of the key that seals now.
    pub(super) fn id(&self) -> &str {
        &self.now.id
    }

    fn find(&self, id: &str) -> Option<&Key> {
        let mut all = std::iter::once(&self.now).chain(&self.before);
        all.find(|key| key.id == id).map(|key| &key.key)
    }

    /// The seal of a row at this place after this seal, under the key of this name. `None` when there
    /// is no such key here.
    pub(super) fn row(&self, by: &str, row: &AuditRow, seq: i64, before: &[u8]) -> Option<Vec<u8>> {
        let mut text = Sealable::new("row");
        text.bytes(Some(before)).number(seq).number(row.id).time(row.at);
        text.text(Some(&row.event)).text(Some(&row.outcome)).text(Some(&row.actor));
        text.id(row.actor_id).text(Some(&row.means)).id(row.means_id);
        text.text(row.address.as_deref()).id(row.tenant_id).id(row.user_id).id(row.key_id);
        text.id(row.session_id).id(row.operation_id);
        text.bytes(row.number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        Some(self.find(by)?.hash(&text.0))
    }

    /// The seal of a head, likewise.
    pub(super) fn head(&self, by: &str, head: &Head) -> Option<Vec<u8>> {
        let mut text = Sealable::new("head");
        text.time(head.begun_at).number(head.pruned).bytes(Some(&head.pruned_mac));
        text.number(head.sealed).bytes(Some(&head.last_mac));
        Some(self.find(by)?.hash(&text.0))
    }
}

/// Where the chain begins and ends.
pub(super) struct Head {
    pub(super) begun_at: DateTime<Utc>,
    pub(super) pruned: i64,
    pub(super) pruned_mac: Vec<u8>,
    pub(super) sealed: i64,
    pub(super) last_mac: Vec<u8>,
    /// The key and the seal; `None` before the first.
    pub(super) seal: Option<(String, Vec<u8>)>,
}

/// What can be said of a head.
pub(super) enum HeadState {
    Right,
    /// It, or what it says, was changed.
    Wrong,
    /// It was sealed under a key of this name, which is not here.
    Unknown(String),
}

impl Head {
    pub(super) const COLUMNS: &str =
        "begun_at, pruned, pruned_mac, sealed, last_mac, sealed_by, mac";

    pub(super) fn read(row: &Row) -> Self {
        let seal = row.get::<_, Option<String>>(5).zip(row.get(6));
        Self {
            begun_at: row.get(0),
            pruned: row.get(1),
            pruned_mac: row.get(2),
            sealed: row.get(3),
            last_mac: row.get(4),
            seal,
        }
    }

    pub(super) fn state(&self, keys: &AuditKeys) -> HeadState {
        let Some((by, mac)) = &self.seal else {
            // As the migration made it.
            let new = self.pruned == 0
                && self.sealed == 0
                && self.last_mac.is_empty()
                && self.pruned_mac.is_empty();
            return if new { HeadState::Right } else { HeadState::Wrong };
        };
        match keys.head(by, self) {
            Some(right) if right == *mac => HeadState::Right,
            Some(_) => HeadState::Wrong,
            None => HeadState::Unknown(by.clone()),
        }
    }
}

/// What can be said of a sealed row, as the next one of a chain.
pub(super) enum Link {
    /// It is as it was sealed; its seal.
    Right(Vec<u8>),
    /// It is not as it was sealed.
    Wrong,
    /// It is of a later place: what should be here is not.
    Missing,
    /// It was sealed under a key of this name, which is not here.
    Unknown(String),
}

impl Link {
    /// Of this row, after the one at place `seq` with the seal `mac`.
    pub(super) fn of(keys: &AuditKeys, row: &AuditRow, seq: i64, mac: &[u8]) -> Self {
        let next = seq + 1;
        if row.seq != Some(next) {
            return Self::Missing;
        }
        let by = row.sealed_by.as_deref().unwrap_or_default();
        match keys.row(by, row, next, mac) {
            Some(right) if row.mac.as_ref() == Some(&right) => Self::Right(right),
            Some(_) => Self::Wrong,
            None => Self::Unknown(by.to_owned()),
        }
    }
}

pub(super) fn unknown_key(key: &str) -> Error {
    let words = "a part of the audit log was sealed under another AUTH_SECRET, and can't be checked without it; put it into AUTH_SECRET_OLD";
    Error::new(ErrorKind::Conflict, words).with("key", key)
}

/// Bytes that stand for one thing only: each part says whether it is there, and how long it is.
struct Sealable(Vec<u8>);

impl Sealable {
    fn new(what: &str) -> Self {
        let mut new = Self(Vec::with_capacity(512));
        new.text(Some(what));
        new
    }

    fn bytes(&mut self, part: Option<&[u8]>) -> &mut Self {
        match part {
            None => self.0.push(0),
            Some(part) => {
                self.0.push(1);
                self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
                self.0.extend_from_slice(part);
            }
        }
        self
    }

    fn text(&mut self, part: Option<&str>) -> &mut Self {
        self.bytes(part.map(str::as_bytes))
    }

    fn id(&mut self, part: Option<Uuid>) -> &mut Self {
        self.bytes(part.as_ref().map(|id| id.as_bytes().as_slice()))
    }

    fn number(&mut self, part: i64) -> &mut Self {
        self.bytes(Some(&part.to_be_bytes()))
    }

    /// PostgreSQL keeps microseconds.
    fn time(&mut self, part: DateTime<Utc>) -> &mut Self {
        self.number(part.timestamp_micros())
    }
}

/// Bytes as people read them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str, before: &[&str]) -> AuditKeys {
        let before: Vec<SecretString> = before.iter().map(|text| (*text).into()).collect();
        AuditKeys::derive(&secret.into(), &before).unwrap()
    }

    fn row() -> AuditRow {
        AuditRow {
            id: 7,
            at: DateTime::from_timestamp_micros(1_900_000_000_000_001).unwrap(),
            event: "tenants_stop".into(),
            outcome: "ok".into(),
            actor: "user".into(),
            actor_id: Some(Uuid::from_u128(1)),
            means: "key".into(),
            means_id: Some(Uuid::from_u128(2)),
            address: Some("192.0.2.1".into()),
            tenant_id: Some(Uuid::from_u128(3)),
            user_id: None,
            key_id: None,
            session_id: None,
            operation_id: None,
            number: None,
            seq: None,
            sealed_by: None,
            mac: None,
        }
    }

    #[test]
    fn every_part_of_a_row_is_sealed() {
        let keys = keys("secret", &[]);
        let seal = |row: &AuditRow| keys.row(keys.id(), row, 1, b"before").unwrap();
        let right = seal(&row());
        assert_eq!(right, seal(&row()));
        let id = Some(Uuid::from_u128(9));
        let changes: [fn(&mut AuditRow); 9] = [
            |row| row.id = 8,
            |row| row.at += chrono::TimeDelta::microseconds(1),
            |row| row.event = "tenants_start".into(),
            |row| row.outcome = "not_found".into(),
            |row| row.actor = "admin".into(),
            |row| row.means = "session".into(),
            |row| row.address = None,
            |row| row.address = Some("192.0.2.2".into()),
            |row| row.number = Some(0),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut other = row();
            change(&mut other);
            assert_ne!(seal(&other), right, "change {at}");
        }
        let ids: [fn(&mut AuditRow) -> &mut Option<Uuid>; 7] = [
            |row| &mut row.actor_id,
            |row| &mut row.means_id,
            |row| &mut row.tenant_id,
            |row| &mut row.user_id,
            |row| &mut row.key_id,
            |row| &mut row.session_id,
            |row| &mut row.operation_id,
        ];
        for (at, field) in ids.iter().enumerate() {
            let mut other = row();
            *field(&mut other) = id;
            assert_ne!(seal(&other), right, "id {at}");
        }
        assert_ne!(keys.row(keys.id(), &row(), 2, b"before").unwrap(), right, "its place");
        assert_ne!(keys.row(keys.id(), &row(), 1, b"other").unwrap(), right, "the one before");
    }

    #[test]
    fn a_part_can_t_slip_into_the_next() {
        let keys = keys("secret", &[]);
        let with = |event: &str, outcome: &str| {
            let row = AuditRow { event: event.into(), outcome: outcome.into(), ..row() };
            keys.row(keys.id(), &row, 1, b"").unwrap()
        };
        assert_ne!(with("ab", "c"), with("a", "bc"));
        let with = |user: Option<Uuid>, key: Option<Uuid>| {
            let row = AuditRow { user_id: user, key_id: key, ..row() };
            keys.row(keys.id(), &row, 1, b"").unwrap()
        };
        let id = Some(Uuid::from_u128(9));
        assert_ne!(with(id, None), with(None, id));
    }

    #[test]
    fn what_an_earlier_secret_sealed_is_checked_with_it() {
        let first = keys("first", &[]);
        let seal = first.row(first.id(), &row(), 1, b"").unwrap();
        let next = keys("next", &["first"]);
        assert_ne!(next.id(), first.id());
        assert_eq!(next.row(first.id(), &row(), 1, b""), Some(seal.clone()));
        assert_eq!(keys("next", &[]).row(first.id(), &row(), 1, b""), None);
        assert_ne!(next.row(next.id(), &row(), 1, b""), Some(seal));
    }
}
