//! The end of an account, with all that is kept of it here.

use fresco_core::Result;
use uuid::Uuid;

use super::Accounts;
use super::database::{Mapped, call};
use super::sessions::end_wizards;

/// What became of an account that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserDeletion {
    /// It is gone.
    Done,
    /// There is no such account.
    Unknown,
    /// Nobody would be left to look after the platform.
    LastAdmin,
    /// Some of its tenants are there.
    HasTenants,
}

impl Accounts {
    /// Deletes an account, and with it sessions, keys, letters, invites and sessions of the wizard, unless
    /// `has_tenants` finds some of its tenants: nobody would be left to look after them. That is asked once
    /// no session of the wizard can make one any more; a call of the API that was let in before still can.
    ///
    /// # Errors
    /// The database's own, and those of `has_tenants`; then nothing is deleted.
    pub async fn delete(
        &self,
        user: Uuid,
        has_tenants: impl Future<Output = Result<bool>>,
    ) -> Result<UserDeletion> {
        call("accounts.delete", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let is_last = self.is_last_admin(&transaction, user).await?;
            let sql = "SELECT email_key FROM fresco_server.users WHERE id = $1 FOR UPDATE";
            let Some(row) = transaction.query_opt(sql, &[&user]).await.mapped()? else {
                return Ok(UserDeletion::Unknown);
            };
            if is_last {
                return Ok(UserDeletion::LastAdmin);
            }
            let key: &str = row.get(0);
            end_wizards(&transaction, user).await?;
            for sql in [
                "DELETE FROM fresco_server.wizard_sessions WHERE email_key = $1",
                "DELETE FROM fresco_server.letters WHERE recipient_key = $1",
                "DELETE FROM fresco_server.invites WHERE email_key = $1",
            ] {
                transaction.execute(sql, &[&key]).await.mapped()?;
            }
            if has_tenants.await? {
                return Ok(UserDeletion::HasTenants);
            }
            // A letter to the address that was to take the place of the account's.
            let sql = "DELETE FROM fresco_server.letters WHERE letter->>'user' = $1::uuid::text";
            transaction.execute(sql, &[&user]).await.mapped()?;
            let sql = "DELETE FROM fresco_server.trials WHERE user_id = $1";
            transaction.execute(sql, &[&user]).await.mapped()?;
            // All that refers to it goes with it.
            let sql = "DELETE FROM fresco_server.users WHERE id = $1";
            transaction.execute(sql, &[&user]).await.mapped()?;
            transaction.commit().await.mapped()?;
            Ok(UserDeletion::Done)
        })
        .await
    }
}
