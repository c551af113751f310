//! Who is signed in.

use chrono::{DateTime, Utc};
use fresco_core::Result;
use secrecy::SecretString;
use uuid::Uuid;

use super::database::{Mapped, call};
use super::users::COLUMNS;
use super::{Accounts, User};

/// Sessions of one account; the oldest ends when there is one more.
const MOST: i64 = 50;

/// A session that was just opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewSession {
    /// What its holder shows from now on. It is nowhere else.
    pub token: SecretString,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// A session that lives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginSession {
    /// Whose it is.
    pub user: User,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

impl Accounts {
    /// Signs somebody in.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open_session(&self, user: Uuid) -> Result<NewSession> {
        call("accounts.open_session", async {
            let (token, hash) = self.keys().sessions.issue()?;
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            transaction
                .execute(
                    "DELETE FROM fresco_server.sessions WHERE token_hash IN (
                        SELECT token_hash FROM fresco_server.sessions WHERE expires_at <= now()
                        ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)",
                    &[],
                )
                .await
                .mapped()?;
            transaction
                .execute(
                    "DELETE FROM fresco_server.sessions WHERE token_hash IN (
                        SELECT token_hash FROM fresco_server.sessions WHERE user_id = $1
                        ORDER BY created_at DESC OFFSET $2 FOR UPDATE SKIP LOCKED)",
                    &[&user, &(MOST - 1)],
                )
                .await
                .mapped()?;
            let sql = "INSERT INTO fresco_server.sessions (token_hash, user_id, expires_at)
                       VALUES ($1, $2, now() + make_interval(secs => $3)) RETURNING expires_at";
            let row = transaction
                .query_one(sql, &[&hash, &user, &Self::SESSION.as_secs_f64()])
                .await
                .mapped()?;
            transaction.commit().await.mapped()?;
            Ok(NewSession { token, expires_at: row.get(0) })
        })
        .await
    }

    /// The session of this token, while it lives.
    ///
    /// # Errors
    /// The database's own.
    pub async fn session(&self, token: &SecretString) -> Result<Option<LoginSession>> {
        let Some(hash) = self.keys().sessions.hash_token(token) else { return Ok(None) };
        call("accounts.session", async {
            let sql = format!(
                "SELECT {COLUMNS}, s.expires_at FROM fresco_server.sessions s
                 JOIN fresco_server.users u ON u.id = s.user_id
                 WHERE s.token_hash = $1 AND s.expires_at > now()"
            );
            let client = self.database().client().await?;
            let row = client.query_opt(&sql, &[&hash]).await.mapped()?;
            Ok(row.map(|row| LoginSession {
                user: User::read(&row),
                expires_at: row.get("expires_at"),
            }))
        })
        .await
    }

    /// Ends a session. One that is not there has ended.
    ///
    /// # Errors
    /// The database's own.
    pub async fn close_session(&self, token: &SecretString) -> Result<()> {
        let Some(hash) = self.keys().sessions.hash_token(token) else { return Ok(()) };
        call("accounts.close_session", async {
            let sql = "DELETE FROM fresco_server.sessions WHERE token_hash = $1";
            self.database().client().await?.execute(sql, &[&hash]).await.mapped()?;
            Ok(())
        })
        .await
    }
}
