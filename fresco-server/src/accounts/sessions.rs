//! Who is signed in, and from where.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use fresco_core::Result;
use secrecy::SecretString;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::api_keys::end_api_keys;
use super::database::{Mapped, call};
use super::users::COLUMNS;
use super::{Accounts, User, networks};

/// Sessions of one account; the oldest ends when there is one more.
const MOST: i64 = 50;
/// How exactly it is known when a session was last used: not every request is a write.
const SEEN: Duration = Duration::from_secs(60);
/// The most characters kept of what a browser says it is.
const LONGEST_AGENT: usize = 300;

/// A login, as the session's owner will know it again.
#[derive(Clone, Debug, Default)]
pub struct NewLogin {
    /// Whether the browser keeps it when it is closed. Such a session lasts longer.
    pub remember: bool,
    /// From where.
    pub address: Option<IpAddr>,
    /// What the browser says it is.
    pub user_agent: Option<String>,
}

/// A session that was just opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewSession {
    /// What its holder shows from now on. It is nowhere else.
    pub token: SecretString,
    /// When it ends, used or not.
    pub expires_at: DateTime<Utc>,
    /// Whether the browser keeps it when it is closed.
    pub remember: bool,
}

/// A session that lives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginSession {
    /// Its id, which opens nothing.
    pub id: Uuid,
    /// Whose it is.
    pub user: User,
    /// When it ends, used or not.
    pub expires_at: DateTime<Utc>,
}

/// A session, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenSession {
    /// Its id, which opens nothing.
    pub id: Uuid,
    /// When somebody signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends, used or not.
    pub expires_at: DateTime<Utc>,
    /// From where somebody signed in.
    pub address: Option<String>,
    /// What the browser said it was.
    pub user_agent: Option<String>,
}

impl Accounts {
    /// Signs somebody in who has just shown who they are; `None` when the account has got another
    /// password or was shut since it was read. What ends all sessions would else miss one that is
    /// opened meanwhile.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open_session(&self, user: &User, login: &NewLogin) -> Result<Option<NewSession>> {
        let life = if login.remember { self.session_life() } else { Self::SHORT_SESSION };
        let life = life.min(self.session_life()).as_secs_f64();
        let address = login.address.map(|address| address.to_string());
        let agent: Option<String> = login.user_agent.as_ref().map(|text| {
            text.chars().filter(|letter| !letter.is_control()).take(LONGEST_AGENT).collect()
        });
        call("accounts.open_session", async {
            let (token, hash) = self.keys().sessions.issue()?;
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            // Whoever changes the account waits for this, or this for them, and then finds it changed.
            let sql = "SELECT FROM fresco_server.users u WHERE id = $1 AND suspended_at IS NULL
                         AND sha256(convert_to(u.password_hash, 'UTF8')) = $2 FOR SHARE";
            let same = transaction.query_opt(sql, &[&user.id, &user.password_mark.0]).await;
            if same.mapped()?.is_none() {
                return Ok(None);
            }
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
                    &[&user.id, &(MOST - 1)],
                )
                .await
                .mapped()?;
            let sql = "INSERT INTO fresco_server.sessions
                        (token_hash, user_id, expires_at, remembered, address, user_agent)
                       VALUES ($1, $2, now() + make_interval(secs => $3), $4, $5, $6)
                       RETURNING expires_at";
            let row = transaction
                .query_one(sql, &[&hash, &user.id, &life, &login.remember, &address, &agent])
                .await
                .mapped()?;
            if let Some(address) = login.address {
                networks::note(&transaction, user.id, address).await?;
            }
            transaction.commit().await.mapped()?;
            Ok(Some(NewSession { token, expires_at: row.get(0), remember: login.remember }))
        })
        .await
    }

    /// The session of this token, while it lives: neither too old nor unused for too long, and of an
    /// account that is not shut.
    ///
    /// # Errors
    /// The database's own.
    pub async fn session(&self, token: &SecretString) -> Result<Option<LoginSession>> {
        let Some(hash) = self.keys().sessions.hash_token(token) else { return Ok(None) };
        call("accounts.session", async {
            let sql = format!(
                "SELECT {COLUMNS}, s.id AS session, s.expires_at,
                        s.last_seen_at < now() - make_interval(secs => $3) AS stale
                 FROM fresco_server.sessions s
                 JOIN fresco_server.users u ON u.id = s.user_id
                 WHERE s.token_hash = $1 AND s.expires_at > now()
                   AND s.last_seen_at > now() - make_interval(secs => $2)
                   AND u.suspended_at IS NULL"
            );
            let (idle, seen) = (self.session_idle().as_secs_f64(), SEEN.as_secs_f64());
            let client = self.database().client().await?;
            let row = client.query_opt(&sql, &[&hash, &idle, &seen]).await.mapped()?;
            let Some(row) = row else { return Ok(None) };
            let id: Uuid = row.get("session");
            if row.get("stale") {
                let sql = "UPDATE fresco_server.sessions SET last_seen_at = now() WHERE id = $1";
                client.execute(sql, &[&id]).await.mapped()?;
            }
            let (user, expires_at) = (User::read(&row), row.get("expires_at"));
            Ok(Some(LoginSession { id, user, expires_at }))
        })
        .await
    }

    /// Whether the session of this id still lives, and its account is not shut.
    ///
    /// # Errors
    /// The database's own.
    pub async fn session_lives(&self, id: Uuid) -> Result<bool> {
        call("accounts.session_lives", async {
            let sql = "SELECT FROM fresco_server.sessions s
                       JOIN fresco_server.users u ON u.id = s.user_id
                       WHERE s.id = $1 AND s.expires_at > now()
                         AND s.last_seen_at > now() - make_interval(secs => $2)
                         AND u.suspended_at IS NULL";
            let idle = self.session_idle().as_secs_f64();
            let client = self.database().client().await?;
            Ok(client.query_opt(sql, &[&id, &idle]).await.mapped()?.is_some())
        })
        .await
    }

    /// Ends a session, and the wizard's sessions that open the same account. Whether there was one.
    ///
    /// # Errors
    /// The database's own.
    pub async fn close_session(&self, token: &SecretString) -> Result<bool> {
        let Some(hash) = self.keys().sessions.hash_token(token) else { return Ok(false) };
        call("accounts.close_session", async {
            let sql = "DELETE FROM fresco_server.sessions WHERE token_hash = $1 RETURNING user_id";
            self.end_session(sql, &[&hash]).await
        })
        .await
    }

    /// The sessions of an account that live, the last used first.
    ///
    /// # Errors
    /// The database's own.
    pub async fn sessions(&self, user: Uuid) -> Result<Vec<OpenSession>> {
        call("accounts.sessions", async {
            let sql = "SELECT id, created_at, last_seen_at, expires_at, address, user_agent
                       FROM fresco_server.sessions
                       WHERE user_id = $1 AND expires_at > now()
                         AND last_seen_at > now() - make_interval(secs => $2)
                       ORDER BY last_seen_at DESC, created_at DESC, id";
            let idle = self.session_idle().as_secs_f64();
            let client = self.database().client().await?;
            let rows = client.query(sql, &[&user, &idle]).await.mapped()?;
            let read = |row: &tokio_postgres::Row| OpenSession {
                id: row.get(0),
                created_at: row.get(1),
                last_seen_at: row.get(2),
                expires_at: row.get(3),
                address: row.get(4),
                user_agent: row.get(5),
            };
            Ok(rows.iter().map(read).collect())
        })
        .await
    }

    /// Ends a session of this account, and the wizard's sessions that open it. Whether there was one.
    ///
    /// # Errors
    /// The database's own.
    pub async fn revoke_session(&self, user: Uuid, session: Uuid) -> Result<bool> {
        call("accounts.revoke_session", async {
            let sql = "DELETE FROM fresco_server.sessions WHERE user_id = $1 AND id = $2 RETURNING user_id";
            self.end_session(sql, &[&user, &session]).await
        })
        .await
    }

    /// Ends what this statement ends, which tells whose it was: whoever has left is let in no more by what is left
    /// of their sign-up either.
    async fn end_session(&self, sql: &str, of: &[&(dyn ToSql + Sync)]) -> Result<bool> {
        let mut client = self.database().client().await?;
        let transaction = client.transaction().await.mapped()?;
        let ended = transaction.query_opt(sql, of).await.mapped()?;
        if let Some(ended) = &ended {
            end_wizards(&transaction, ended.get(0)).await?;
        }
        transaction.commit().await.mapped()?;
        Ok(ended.is_some())
    }

    /// Ends all sessions of this account but one, or all. How many there were.
    ///
    /// # Errors
    /// The database's own.
    pub async fn revoke_sessions(&self, user: Uuid, but: Option<Uuid>) -> Result<u64> {
        call("accounts.revoke_sessions", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let ended = end_sessions(&transaction, user, but).await?;
            end_wizards(&transaction, user).await?;
            transaction.commit().await.mapped()?;
            Ok(ended)
        })
        .await
    }

    /// Ends all by which somebody acts for this account, but for one session.
    ///
    /// # Errors
    /// The database's own.
    pub async fn revoke_all(&self, user: Uuid, except: Option<Uuid>) -> Result<()> {
        call("accounts.revoke_all", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            revoke_all(&transaction, user, except).await?;
            transaction.commit().await.mapped()
        })
        .await
    }
}

/// Ends all by which somebody acts for this account, but for one session, with the rest of a
/// transaction.
pub(super) async fn revoke_all(
    transaction: &Transaction<'_>,
    user: Uuid,
    except: Option<Uuid>,
) -> Result<()> {
    end_sessions(transaction, user, except).await?;
    end_wizards(transaction, user).await?;
    end_api_keys(transaction, user).await
}

/// Ends all sessions of this account but one. How many there were.
pub(super) async fn end_sessions(
    transaction: &Transaction<'_>,
    user: Uuid,
    but: Option<Uuid>,
) -> Result<u64> {
    let sql = "DELETE FROM fresco_server.sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2";
    transaction.execute(sql, &[&user, &but]).await.mapped()
}

/// Ends the sessions of the wizard that open this account: each lets in whoever has its secret, for an hour.
pub(super) async fn end_wizards(transaction: &Transaction<'_>, user: Uuid) -> Result<()> {
    let sql = "DELETE FROM fresco_server.wizard_sessions
               WHERE user_id = $1 OR verified_user_id = $1";
    transaction.execute(sql, &[&user]).await.mapped()?;
    Ok(())
}
