//! Accounts themselves.

use std::fmt;

use chrono::{DateTime, Utc};
use fresco_core::{Actor, OwnerId, Result};
use secrecy::SecretString;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::database::{Mapped, call, is_duplicate};
use super::{Accounts, Email, Letter, Password};

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The account's id.
    pub id: Uuid,
    /// The address, as it was typed first.
    pub email: String,
    /// The person's name.
    pub name: Option<String>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When the address was last shown to be this person's; `None` for never.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// The address that is to take its place, once a letter to it was answered.
    pub pending_email: Option<String>,
    /// What the person may do, as it was set; see [`Accounts::is_admin`].
    pub role: Role,
    /// When an admin shut the account.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Of the password that held when this was read.
    pub(super) password_mark: PasswordMark,
}

/// What tells one password of an account from the next, and nothing of either: a hash of the hash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordMark(pub(super) Vec<u8>);

impl fmt::Debug for PasswordMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordMark")
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look after their own tenants.
    User,
    /// Look after the platform as well.
    Admin,
}

impl Role {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// The columns that [`User::read`] reads.
pub(super) const COLUMNS: &str = "u.id, u.email, u.name, u.created_at, u.email_verified_at,
    u.pending_email, u.role, u.suspended_at,
    sha256(convert_to(u.password_hash, 'UTF8')) AS password_mark";

impl User {
    /// This person as the owner of tenants.
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        OwnerId::new(self.id.to_string())
    }

    /// This person as the one who asks for an operation.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::User(self.id.to_string())
    }

    pub(super) fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            email: row.get("email"),
            name: row.get("name"),
            created_at: row.get("created_at"),
            email_verified_at: row.get("email_verified_at"),
            pending_email: row.get("pending_email"),
            // A constraint lets in no other.
            role: if row.get::<_, &str>("role") == "admin" { Role::Admin } else { Role::User },
            suspended_at: row.get("suspended_at"),
            password_mark: PasswordMark(row.get("password_mark")),
        }
    }
}

/// Somebody who wants an account, and has accepted the terms and the privacy policy. A name has no
/// NUL in it.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// The name.
    pub name: Option<String>,
    /// The invite, where one is needed.
    pub invite: Option<SecretString>,
}

impl Accounts {
    /// Makes an account; `None` when the address has one already. Where there is mail, a letter asks
    /// whether the address is this person's.
    ///
    /// # Errors
    /// `Denied` with the context `signup` for who may make none; `Invalid` for a password that the address
    /// tells; the database's own; `Unavailable` while too many passwords are hashed.
    pub async fn sign_up(&self, new: &NewUser) -> Result<Option<User>> {
        new.password.check_for(&new.email)?;
        let invite = self.invite_hash(new.invite.as_ref());
        self.check_signup(&new.email, invite.as_deref()).await?;
        let hash = self.passwords().hash(&new.password).await?;
        call("accounts.sign_up", async {
            let sql = format!(
                "INSERT INTO fresco_server.users AS u
                    (id, email, email_key, name, password_hash, terms_accepted_at)
                 VALUES ($1, $2, $3, $4, $5, now()) RETURNING {COLUMNS}"
            );
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let (email, key) = (new.email.as_str(), new.email.key());
            self.use_invite(&transaction, key, invite.as_deref()).await?;
            let values: [&(dyn ToSql + Sync); 5] =
                [&Uuid::new_v4(), &email, &key, &new.name, &hash];
            let user = match transaction.query_one(&sql, &values).await {
                Err(error) if is_duplicate(&error) => return Ok(None),
                made => User::read(&made.mapped()?),
            };
            self.post(&transaction, &new.email, &Letter::VerifyAddress { user: user.id }).await?;
            transaction.commit().await.mapped()?;
            Ok(Some(user))
        })
        .await
    }

    /// The account with this address and this password. It takes as long when there is none.
    ///
    /// # Errors
    /// The database's own; `Unavailable` while too many passwords are hashed.
    pub async fn authenticate(
        &self,
        email: &Email,
        password: &SecretString,
    ) -> Result<Option<User>> {
        let found = self.by_email(email.key()).await?;
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        let right = self.passwords().verify(password, hash).await?;
        Ok(found.filter(|_| right).map(|(user, _)| user))
    }

    /// The account of an address, and its password's hash.
    pub(super) async fn by_email(&self, key: &str) -> Result<Option<(User, String)>> {
        call("accounts.by_email", async {
            let sql = format!(
                "SELECT {COLUMNS}, u.password_hash FROM fresco_server.users u WHERE u.email_key = $1"
            );
            let client = self.database().client().await?;
            let row = client.query_opt(&sql, &[&key]).await.mapped()?;
            Ok(row.map(|row| (User::read(&row), row.get("password_hash"))))
        })
        .await
    }
}
