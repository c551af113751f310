//! Who looks after the platform, and whose account is shut.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use fresco_core::Result;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::api_keys::end_api_keys;
use super::database::{Mapped, call};
use super::sessions::end_wizards;
use super::users::COLUMNS;
use super::{Accounts, Email, Role, Scope, User};

/// Whether a row is an admin's; `$1` is the address of `ADMIN_EMAIL`, or none.
const IS_ADMIN: &str =
    "(u.role = 'admin' OR coalesce(u.email_key = $1, false) AND u.email_verified_at IS NOT NULL)";

/// Which accounts to read.
#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    /// Only this one.
    pub id: Option<Uuid>,
    /// Only those whose address or name contains this text.
    pub search: Option<String>,
    /// How many to leave out at the beginning.
    pub offset: u64,
    /// How many at most.
    pub limit: u64,
}

/// Some accounts, the newest first, and how many there are in all.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// The accounts.
    pub users: Vec<User>,
    /// How many match, apart from offset and limit.
    pub total: u64,
}

/// What became of a change that an admin asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// It is done, or was already.
    Done(User),
    /// There is no such account.
    Unknown,
    /// Nobody would be left to look after the platform.
    LastAdmin,
    /// `ADMIN_EMAIL` makes this one an admin, whatever the role says.
    Configured,
    /// The account is shut.
    Suspended,
    /// Nobody has shown yet that the account's address is theirs.
    Unverified,
}

/// An account that was shut, whose tenants may still run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Suspension {
    /// The account.
    pub user: Uuid,
    /// Who shut it.
    pub by: Option<Uuid>,
    /// When.
    pub at: DateTime<Utc>,
    /// How long ago that is.
    pub age: Duration,
}

/// What an admin does to an account.
enum Change {
    Role(Role),
    Suspend(Option<Uuid>),
    Resume,
}

impl Accounts {
    /// Whether somebody looks after the platform: by their role, or because theirs is the address of
    /// `ADMIN_EMAIL`. An address counts once it is verified: before that, anybody may have typed it.
    #[must_use]
    pub fn is_admin(&self, user: &User) -> bool {
        user.role == Role::Admin || self.is_admin_by_address(user)
    }

    fn is_admin_by_address(&self, user: &User) -> bool {
        let address = || user.email.parse::<Email>().ok();
        user.email_verified_at.is_some()
            && self.admin_email().is_some_and(|admin| address().as_ref() == Some(admin))
    }

    fn admin_key(&self) -> Option<&str> {
        self.admin_email().map(Email::key)
    }

    /// Accounts, the newest first.
    ///
    /// # Errors
    /// The database's own.
    pub async fn users(&self, query: &UserQuery) -> Result<UserPage> {
        // No row has a NUL in it, and PostgreSQL knows none.
        let search = query.search.as_ref().map(|text| text.to_lowercase());
        if search.as_ref().is_some_and(|text| text.contains('\0')) {
            return Ok(UserPage { users: Vec::new(), total: 0 });
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (offset, limit) = (number(query.offset), number(query.limit));
        call("accounts.users", async {
            const MATCHES: &str = "($1::text IS NULL OR strpos(u.email_key, $1) > 0
                                    OR strpos(lower(u.name), $1) > 0)
                                   AND ($2::uuid IS NULL OR u.id = $2)";
            let client = self.database().client().await?;
            let sql = format!("SELECT count(*) FROM fresco_server.users u WHERE {MATCHES}");
            let total: i64 = client.query_one(&sql, &[&search, &query.id]).await.mapped()?.get(0);
            let sql = format!(
                "SELECT {COLUMNS} FROM fresco_server.users u WHERE {MATCHES}
                 ORDER BY u.created_at DESC, u.id DESC OFFSET $3 LIMIT $4"
            );
            let values: [&(dyn ToSql + Sync); 4] = [&search, &query.id, &offset, &limit];
            let rows = client.query(&sql, &values).await.mapped()?;
            let total = u64::try_from(total).unwrap_or_default();
            Ok(UserPage { users: rows.iter().map(User::read).collect(), total })
        })
        .await
    }

    /// These accounts, in no order; those that there are not are left out.
    ///
    /// # Errors
    /// The database's own.
    pub async fn users_by_id(&self, ids: &[Uuid]) -> Result<Vec<User>> {
        call("accounts.users_by_id", async {
            let sql =
                format!("SELECT {COLUMNS} FROM fresco_server.users u WHERE u.id = ANY($1::uuid[])");
            let rows = self.database().client().await?.query(&sql, &[&ids]).await.mapped()?;
            Ok(rows.iter().map(User::read).collect())
        })
        .await
    }

    /// The account of this address.
    ///
    /// # Errors
    /// The database's own.
    pub async fn user_of(&self, email: &Email) -> Result<Option<User>> {
        Ok(self.by_email(email.key()).await?.map(|(user, _)| user))
    }

    /// Changes what somebody may do. Whoever is an admin no more loses the keys for that.
    ///
    /// # Errors
    /// The database's own.
    pub async fn set_role(&self, user: Uuid, role: Role) -> Result<UserChange> {
        call("accounts.set_role", self.change(user, Change::Role(role))).await
    }

    /// Shuts an account: its sessions and keys end at once and for good, and nobody signs in to it
    /// until it is opened again. `by` is the admin who asked.
    ///
    /// # Errors
    /// The database's own.
    pub async fn suspend(&self, user: Uuid, by: Option<Uuid>) -> Result<UserChange> {
        call("accounts.suspend", self.change(user, Change::Suspend(by))).await
    }

    /// Opens an account again that was shut.
    ///
    /// # Errors
    /// The database's own.
    pub async fn resume(&self, user: Uuid) -> Result<UserChange> {
        call("accounts.resume", self.change(user, Change::Resume)).await
    }

    async fn change(&self, user: Uuid, change: Change) -> Result<UserChange> {
        let mut client = self.database().client().await?;
        let transaction = client.transaction().await.mapped()?;
        let is_last = self.is_last_admin(&transaction, user).await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM fresco_server.users u WHERE u.id = $1 FOR NO KEY UPDATE"
        );
        let Some(row) = transaction.query_opt(&sql, &[&user]).await.mapped()? else {
            return Ok(UserChange::Unknown);
        };
        let now = User::read(&row);
        match &change {
            Change::Role(Role::User) if self.is_admin_by_address(&now) => {
                return Ok(UserChange::Configured);
            }
            Change::Role(Role::User) | Change::Suspend(_) if is_last => {
                return Ok(UserChange::LastAdmin);
            }
            Change::Role(Role::Admin) if now.suspended_at.is_some() => {
                return Ok(UserChange::Suspended);
            }
            // Anybody may have typed that address.
            Change::Role(Role::Admin) if self.demands_code() && now.email_verified_at.is_none() => {
                return Ok(UserChange::Unverified);
            }
            _ => {}
        }
        let done = write(&transaction, user, &change).await?;
        transaction.commit().await.mapped()?;
        Ok(UserChange::Done(done))
    }

    /// Whether nobody but this one looks after the platform. Two admins who remove each other take turns
    /// here, until the transaction ends.
    pub(super) async fn is_last_admin(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
    ) -> Result<bool> {
        let sql = format!(
            "SELECT u.id FROM fresco_server.users u
             WHERE u.suspended_at IS NULL AND {IS_ADMIN} ORDER BY u.id FOR NO KEY UPDATE"
        );
        let admins = transaction.query(&sql, &[&self.admin_key()]).await.mapped()?;
        Ok(admins.len() == 1 && admins.iter().all(|row| row.get::<_, Uuid>(0) == user))
    }

    /// Accounts that were shut and whose tenants may still run, the first shut first.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open_suspensions(&self, limit: u32) -> Result<Vec<Suspension>> {
        call("accounts.open_suspensions", async {
            let sql = "SELECT id, suspended_by, suspended_at,
                              greatest(extract(epoch FROM now() - suspended_at), 0)::float8
                       FROM fresco_server.users
                       WHERE suspended_at IS NOT NULL AND suspension_done_at IS NULL
                       ORDER BY suspended_at LIMIT $1";
            let client = self.database().client().await?;
            let rows = client.query(sql, &[&i64::from(limit)]).await.mapped()?;
            let read = |row: &tokio_postgres::Row| Suspension {
                user: row.get(0),
                by: row.get(1),
                at: row.get(2),
                age: Duration::try_from_secs_f64(row.get(3)).unwrap_or_default(),
            };
            Ok(rows.iter().map(read).collect())
        })
        .await
    }

    /// Notes that no tenant is left to be stopped, unless the account was opened meanwhile. The audit log
    /// tells it once.
    ///
    /// # Errors
    /// The database's own.
    pub async fn end_suspension(&self, suspension: &Suspension) -> Result<()> {
        call("accounts.end_suspension", async {
            let sql = "WITH done AS (
                        UPDATE fresco_server.users SET suspension_done_at = now()
                        WHERE id = $1 AND suspended_at = $2 AND suspension_done_at IS NULL
                        RETURNING id)
                       INSERT INTO fresco_server.audit (event, outcome, actor, means, user_id)
                       SELECT 'suspension_done', 'ok', 'system', 'none', id FROM done";
            let client = self.database().client().await?;
            client.execute(sql, &[&suspension.user, &suspension.at]).await.mapped()?;
            Ok(())
        })
        .await
    }
}

async fn write(transaction: &Transaction<'_>, user: Uuid, change: &Change) -> Result<User> {
    match change {
        Change::Role(Role::Admin) | Change::Resume => {}
        Change::Role(Role::User) => {
            let sql = "DELETE FROM fresco_server.api_keys WHERE user_id = $1 AND $2 = ANY(scopes)";
            transaction.execute(sql, &[&user, &Scope::Admin.as_str()]).await.mapped()?;
        }
        Change::Suspend(_) => {
            let sql = "DELETE FROM fresco_server.sessions WHERE user_id = $1";
            transaction.execute(sql, &[&user]).await.mapped()?;
            end_api_keys(transaction, user).await?;
        }
    }
    let sql = |set: &str| {
        format!("UPDATE fresco_server.users u SET {set} WHERE u.id = $1 RETURNING {COLUMNS}")
    };
    let row = match change {
        Change::Role(role) => {
            let sql = sql("role = $2");
            transaction.query_one(&sql, &[&user, &role.as_str()]).await
        }
        Change::Suspend(by) => {
            end_wizards(transaction, user).await?;
            // Again is as once: when and by whom stays as it was first.
            let sql = sql(
                "suspended_by = CASE WHEN u.suspended_at IS NULL THEN $2 ELSE u.suspended_by END,
                 suspended_at = coalesce(u.suspended_at, now()), suspension_done_at = NULL",
            );
            transaction.query_one(&sql, &[&user, &by]).await
        }
        Change::Resume => {
            // The time that tenants have until the address must be verified has stood still.
            let later = "UPDATE fresco_server.trials t
                         SET expires_at = t.expires_at + (now() - u.suspended_at)
                         FROM fresco_server.users u
                         WHERE u.id = $1 AND t.user_id = u.id AND u.suspended_at IS NOT NULL";
            transaction.execute(later, &[&user]).await.mapped()?;
            let sql = sql("suspended_at = NULL, suspended_by = NULL, suspension_done_at = NULL");
            transaction.query_one(&sql, &[&user]).await
        }
    };
    Ok(User::read(&row.mapped()?))
}
