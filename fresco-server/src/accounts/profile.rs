//! What people change of their own account.

use fresco_core::Result;
use secrecy::SecretString;
use uuid::Uuid;

use super::database::{Mapped, call};
use super::sessions::end_sessions;
use super::users::COLUMNS;
use super::{Accounts, Email, Letter, Password, User};

/// What somebody wants to be known by.
#[derive(Clone, Debug, Default)]
pub struct NewProfile {
    /// Another name, or none; `None` leaves it. No name has a NUL in it.
    pub name: Option<Option<String>>,
    /// Another address, with the password of the account.
    pub email: Option<(Email, SecretString)>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChange {
    /// It is done; another address waits for a letter to it to be answered.
    Done(User),
    /// The password is not the account's.
    WrongPassword,
}

/// What became of a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// It holds.
    Done,
    /// The current one was another.
    WrongPassword,
}

impl Accounts {
    /// Changes what somebody is known by. Another address takes the place of the present one once a
    /// letter to it is answered; the present one is told of it at once.
    ///
    /// # Errors
    /// `Denied` for an address of a domain that may not sign up; the database's own; `Unavailable` while
    /// too many passwords are hashed.
    pub async fn update_profile(&self, user: &User, new: &NewProfile) -> Result<ProfileChange> {
        if let Some((email, _)) = &new.email {
            self.check_domain(email)?;
        }
        if let Some((_, password)) = &new.email
            && self.hash_if(user.id, password).await?.is_none()
        {
            return Ok(ProfileChange::WrongPassword);
        }
        call("accounts.update_profile", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            if let Some(name) = &new.name {
                let sql = "UPDATE fresco_server.users SET name = $2 WHERE id = $1";
                transaction.execute(sql, &[&user.id, name]).await.mapped()?;
            }
            if let Some((email, _)) = &new.email {
                // The same address spelt in another way is no other one.
                let sql = "UPDATE fresco_server.users SET
                            email = CASE WHEN email_key = $3 THEN $2 ELSE email END,
                            pending_email = CASE WHEN email_key <> $3 THEN $2 END,
                            pending_email_key = CASE WHEN email_key <> $3 THEN $3 END
                           WHERE id = $1 RETURNING email, pending_email IS NOT NULL";
                let values = (email.as_str(), email.key());
                let row = transaction.query_one(sql, &[&user.id, &values.0, &values.1]).await;
                let row = row.mapped()?;
                if row.get(1) {
                    let old: Email = row.get::<_, &str>(0).parse()?;
                    let to = email.as_str().to_owned();
                    self.post(&transaction, &old, &Letter::AddressChanging { to }).await?;
                    let verify = Letter::VerifyAddress { user: user.id };
                    self.post(&transaction, email, &verify).await?;
                }
            }
            let sql = format!("SELECT {COLUMNS} FROM fresco_server.users u WHERE id = $1");
            let row = transaction.query_one(&sql, &[&user.id]).await.mapped()?;
            transaction.commit().await.mapped()?;
            Ok(ProfileChange::Done(User::read(&row)))
        })
        .await
    }

    /// Changes the password of somebody who knows the present one. All other sessions end, and so do
    /// tokens in letters.
    ///
    /// # Errors
    /// `Invalid` for a password that the address tells; the database's own; `Unavailable` while too
    /// many passwords are hashed.
    pub async fn change_password(
        &self,
        user: &User,
        current: &SecretString,
        new: &Password,
        but: Option<Uuid>,
    ) -> Result<PasswordChange> {
        let email: Email = user.email.parse()?;
        new.check_for(&email)?;
        let Some(known) = self.hash_if(user.id, current).await? else {
            return Ok(PasswordChange::WrongPassword);
        };
        let hash = self.passwords().hash(new).await?;
        call("accounts.change_password", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let sql = "UPDATE fresco_server.users SET password_hash = $2
                       WHERE id = $1 AND password_hash = $3";
            // Somebody else was faster: what was the present one is no more.
            if transaction.execute(sql, &[&user.id, &hash, &known]).await.mapped()? == 0 {
                return Ok(PasswordChange::WrongPassword);
            }
            self.spend(&transaction, user.id, "").await?;
            end_sessions(&transaction, user.id, but).await?;
            self.post(&transaction, &email, &Letter::PasswordChanged).await?;
            transaction.commit().await.mapped()?;
            Ok(PasswordChange::Done)
        })
        .await
    }

    /// Asks again whether the address is this person's: the one that is to take the place of the
    /// present one, if there is one. Whether there was anything to ask.
    ///
    /// # Errors
    /// The database's own.
    pub async fn resend_verification(&self, user: &User) -> Result<bool> {
        let address = match (&user.pending_email, user.email_verified_at) {
            (Some(pending), _) => pending,
            (None, None) => &user.email,
            (None, Some(_)) => return Ok(false),
        };
        self.post_letter(&address.parse()?, &Letter::VerifyAddress { user: user.id }).await?;
        Ok(true)
    }

    /// The hash of an account's password, if this is the password.
    pub(super) async fn hash_if(
        &self,
        user: Uuid,
        password: &SecretString,
    ) -> Result<Option<String>> {
        let hash: Option<String> = call("accounts.password", async {
            let sql = "SELECT password_hash FROM fresco_server.users WHERE id = $1";
            let row = self.database().client().await?.query_opt(sql, &[&user]).await.mapped()?;
            Ok(row.map(|row| row.get(0)))
        })
        .await?;
        let right = self.passwords().verify(password, hash.as_deref()).await?;
        Ok(hash.filter(|_| right))
    }
}
