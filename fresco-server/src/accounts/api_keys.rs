//! Keys that programs carry in place of a session.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use fresco_core::Result;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::database::{Mapped, call};
use super::idempotency::{self, Wish};
use super::users::COLUMNS;
use super::{Accounts, Scope, User};

/// How every key begins, so that people and scanners of leaked secrets know one when they see it.
const PREFIX: &str = "fpk_";
/// Letters of a key's random part that its owner is shown later.
const HINT: usize = 6;
/// How exactly it is known when a key was last used: not every request is a write.
const SEEN: Duration = Duration::from_secs(60);

/// A key that somebody wants. A name has no NUL in it.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for; at least one thing.
    pub scopes: BTreeSet<Scope>,
    /// How long it lasts.
    pub life: Duration,
    /// The `Idempotency-Key` of the wish: sent again within a day, it makes no second one.
    pub once: Option<String>,
}

/// A key, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKey {
    /// Its id, which opens nothing.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// How it begins.
    pub hint: String,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key that lives, and whose it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyHolder {
    /// The key's id.
    pub id: Uuid,
    /// Whose it is.
    pub user: User,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
}

/// What becomes of the wish for a key.
#[derive(Clone, Debug)]
pub enum KeyCreation {
    /// It is made.
    Made {
        /// What its holder shows from now on. It is nowhere else.
        key: SecretString,
        /// What is known of it later.
        details: ApiKey,
    },
    /// This wish made one before: the one of this id, if it was not revoked since.
    Exists(Uuid),
    /// The account has as many as it may.
    TooMany,
    /// The session has ended meanwhile, or the account was shut.
    SignedOut,
}

/// The columns that [`ApiKey::read`] reads.
const KEY_COLUMNS: &str = "id, name, hint, scopes, created_at, expires_at, last_used_at";

impl ApiKey {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id"),
            name: row.get("name"),
            hint: row.get("hint"),
            scopes: scopes(row)?,
            created_at: row.get("created_at"),
            expires_at: row.get("expires_at"),
            last_used_at: row.get("last_used_at"),
        })
    }
}

fn scopes(row: &Row) -> Result<BTreeSet<Scope>> {
    let names: Vec<&str> = row.get("scopes");
    names.into_iter().map(str::parse).collect()
}

/// The first 32 bits of a hash: whoever mistypes a key is told so without a look into the database.
fn checksum(random: &str) -> String {
    let hash = Sha256::digest(random.as_bytes());
    hash.iter().take(4).fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The random part of a key that was typed rightly.
fn random_part(key: &str) -> Option<&str> {
    let (random, sum) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (checksum(random) == sum).then_some(random)
}

impl Accounts {
    /// Keys that one account may have, those that have ended and were not revoked included.
    pub const API_KEYS: i64 = 50;

    /// Makes a key for who is signed in by this session, while it is open: `fpk_`, 64 hexadecimal digits
    /// of random, `_`, and the first 8 of their SHA-256.
    ///
    /// # Errors
    /// `Invalid` for an `Idempotency-Key` that is none; the database's own.
    pub async fn create_api_key(
        &self,
        user: Uuid,
        session: Uuid,
        new: &NewApiKey,
    ) -> Result<KeyCreation> {
        new.once.as_deref().map_or(Ok(()), idempotency::check)?;
        let (random, hash) = self.keys().api_keys.issue()?;
        let random = random.expose_secret();
        let key = SecretString::from(format!("{PREFIX}{random}_{}", checksum(random)));
        let hint: String = format!("{PREFIX}{}", random.get(..HINT).unwrap_or_default());
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        let life = new.life.as_secs_f64();
        call("accounts.create_api_key", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            // One after the other, so that the bound holds; and not after a suspension.
            let sql = "SELECT FROM fresco_server.users
                       WHERE id = $1 AND suspended_at IS NULL FOR NO KEY UPDATE";
            if transaction.query_opt(sql, &[&user]).await.mapped()?.is_none() {
                return Ok(KeyCreation::SignedOut);
            }
            // What ends all sessions and keys holds the account, too, so it has not missed this one.
            let sql = "SELECT FROM fresco_server.sessions WHERE id = $1 AND user_id = $2";
            if transaction.query_opt(sql, &[&session, &user]).await.mapped()?.is_none() {
                return Ok(KeyCreation::SignedOut);
            }
            let id = Uuid::new_v4();
            if let Some(key) = &new.once {
                let (request, hash) = ("apiKeys.create", &[] as &[u8]);
                let wish = Wish { user, request, key, hash };
                let (_, made) = wish.first(&transaction, id).await?;
                if made != id {
                    return Ok(KeyCreation::Exists(made));
                }
            }
            let sql = "SELECT count(*) FROM fresco_server.api_keys WHERE user_id = $1";
            let count: i64 = transaction.query_one(sql, &[&user]).await.mapped()?.get(0);
            if count >= Self::API_KEYS {
                return Ok(KeyCreation::TooMany);
            }
            let sql = format!(
                "INSERT INTO fresco_server.api_keys
                    (id, key_hash, user_id, name, hint, scopes, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
                 RETURNING {KEY_COLUMNS}"
            );
            let row = transaction
                .query_one(&sql, &[&id, &hash, &user, &new.name, &hint, &scopes, &life])
                .await
                .mapped()?;
            transaction.commit().await.mapped()?;
            Ok(KeyCreation::Made { key, details: ApiKey::read(&row)? })
        })
        .await
    }

    /// The key that this is, while it lives and its account is not shut.
    ///
    /// # Errors
    /// The database's own.
    pub async fn key_holder(&self, key: &SecretString) -> Result<Option<KeyHolder>> {
        let random = random_part(key.expose_secret()).map(SecretString::from);
        let hash = random.and_then(|random| self.keys().api_keys.hash_token(&random));
        let Some(hash) = hash else { return Ok(None) };
        call("accounts.key_holder", async {
            let sql = format!(
                "SELECT {COLUMNS}, k.id AS key, k.scopes,
                        coalesce(k.last_used_at < now() - make_interval(secs => $2), true) AS stale
                 FROM fresco_server.api_keys k JOIN fresco_server.users u ON u.id = k.user_id
                 WHERE k.key_hash = $1 AND k.expires_at > now() AND u.suspended_at IS NULL"
            );
            let client = self.database().client().await?;
            let row = client.query_opt(&sql, &[&hash, &SEEN.as_secs_f64()]).await.mapped()?;
            let Some(row) = row else { return Ok(None) };
            let id: Uuid = row.get("key");
            if row.get("stale") {
                let sql = "UPDATE fresco_server.api_keys SET last_used_at = now() WHERE id = $1";
                client.execute(sql, &[&id]).await.mapped()?;
            }
            Ok(Some(KeyHolder { id, user: User::read(&row), scopes: scopes(&row)? }))
        })
        .await
    }

    /// Whether the key of this id still lives, and its account is not shut.
    ///
    /// # Errors
    /// The database's own.
    pub async fn key_lives(&self, id: Uuid) -> Result<bool> {
        call("accounts.key_lives", async {
            let sql = "SELECT FROM fresco_server.api_keys k
                       JOIN fresco_server.users u ON u.id = k.user_id
                       WHERE k.id = $1 AND k.expires_at > now() AND u.suspended_at IS NULL";
            let client = self.database().client().await?;
            Ok(client.query_opt(sql, &[&id]).await.mapped()?.is_some())
        })
        .await
    }

    /// The keys of an account, the newest first, those that have ended included.
    ///
    /// # Errors
    /// The database's own.
    pub async fn api_keys(&self, user: Uuid) -> Result<Vec<ApiKey>> {
        call("accounts.api_keys", async {
            let sql = format!(
                "SELECT {KEY_COLUMNS} FROM fresco_server.api_keys
                 WHERE user_id = $1 ORDER BY created_at DESC, id"
            );
            let rows = self.database().client().await?.query(&sql, &[&user]).await.mapped()?;
            rows.iter().map(ApiKey::read).collect()
        })
        .await
    }

    /// Ends a key of this account. Whether there was one.
    ///
    /// # Errors
    /// The database's own.
    pub async fn revoke_api_key(&self, user: Uuid, id: Uuid) -> Result<bool> {
        call("accounts.revoke_api_key", async {
            let sql = "DELETE FROM fresco_server.api_keys WHERE user_id = $1 AND id = $2";
            let client = self.database().client().await?;
            Ok(client.execute(sql, &[&user, &id]).await.mapped()? > 0)
        })
        .await
    }
}

/// Ends all keys of this account, with the rest of a transaction.
pub(super) async fn end_api_keys(transaction: &Transaction<'_>, user: Uuid) -> Result<()> {
    let sql = "DELETE FROM fresco_server.api_keys WHERE user_id = $1";
    transaction.execute(sql, &[&user]).await.mapped()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_mistyped_is_not_looked_up() {
        let random = "0123456789abcdef".repeat(4);
        let key = format!("fpk_{random}_{}", checksum(&random));
        assert_eq!(random_part(&key), Some(random.as_str()));
        // As `printf %s … | sha256sum` has it: others must be able to check one, too.
        assert!(key.ends_with("_a8ae6e6e"), "{key}");
        for wrong in ["", "fpk_", "fpk__", &random, &key[4..], &key[..key.len() - 1]] {
            assert_eq!(random_part(wrong), None, "{wrong}");
        }
        for at in 4..key.len() {
            let mut letters: Vec<char> = key.chars().collect();
            letters[at] = if letters[at] == '0' { '1' } else { '0' };
            let wrong: String = letters.into_iter().collect();
            assert_eq!(random_part(&wrong), None, "{wrong}");
        }
    }
}
