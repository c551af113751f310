//! The code that shows that somebody in the wizard reads the mail of the address.

use deadpool_postgres::Transaction;
use fresco_core::Result;
use secrecy::{ExposeSecret, SecretString};

use super::{COLUMNS, WizardSession};
use crate::accounts::database::{Mapped, call};
use crate::accounts::{Accounts, Email, Letter};

/// Wrong codes of one session, over all codes that it gets. Each is one of 10⁸.
const TRIES: i16 = 10;

/// What became of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WizardCode {
    /// It was the right one, now or before.
    Done(WizardSession),
    /// There is no such session, or none any more.
    Unknown,
    /// It is not the one that was mailed last.
    Wrong,
    /// Too many were wrong: this session gets nowhere any more.
    Spent,
}

impl Accounts {
    /// Writes down the letter with the code of a new session, where one is demanded.
    pub(super) async fn post_code(
        &self,
        transaction: &Transaction<'_>,
        email: &Email,
        session: &[u8],
    ) -> Result<()> {
        if !self.demands_code() {
            return Ok(());
        }
        let letter = Letter::WizardCode { session: session.to_vec() };
        self.post(transaction, email, &letter).await
    }

    /// Sends the code of a session anew, as another one. Whether there is such a session.
    ///
    /// # Errors
    /// The database's own.
    pub async fn resend_code(&self, token: &SecretString) -> Result<bool> {
        let Some(hash) = self.keys().wizard.hash_token(token) else { return Ok(false) };
        call("accounts.resend_code", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let sql = "SELECT email, email_verified_at IS NOT NULL
                       FROM fresco_server.wizard_sessions
                       WHERE id_hash = $1 AND expires_at > now()";
            let Some(row) = transaction.query_opt(sql, &[&hash]).await.mapped()? else {
                return Ok(false);
            };
            if !row.get::<_, bool>(1) {
                self.post_code(&transaction, &row.get::<_, &str>(0).parse()?, &hash).await?;
            }
            transaction.commit().await.mapped()?;
            Ok(true)
        })
        .await
    }

    /// Takes the code of a letter as proof that the address is this person's.
    ///
    /// # Errors
    /// The database's own.
    pub async fn verify_wizard(
        &self,
        token: &SecretString,
        code: &SecretString,
    ) -> Result<WizardCode> {
        let Some(hash) = self.keys().wizard.hash_token(token) else {
            return Ok(WizardCode::Unknown);
        };
        call("accounts.verify_wizard", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let sql = format!(
                "SELECT {COLUMNS}, code_hash, code_tries FROM fresco_server.wizard_sessions
                 WHERE id_hash = $1 AND expires_at > now() FOR UPDATE"
            );
            let Some(row) = transaction.query_opt(&sql, &[&hash]).await.mapped()? else {
                return Ok(WizardCode::Unknown);
            };
            let mut session = WizardSession::read(&row)?;
            if session.email_verified {
                return Ok(WizardCode::Done(session));
            }
            if row.get::<_, i16>("code_tries") >= TRIES {
                return Ok(WizardCode::Spent);
            }
            let mailed: Option<Vec<u8>> = row.get("code_hash");
            let typed: String = code.expose_secret().split_whitespace().collect();
            let right = mailed.is_some_and(|mailed| mailed == self.code_hash(&hash, &typed));
            let sql = match right {
                true => "email_verified_at = now(), code_hash = NULL",
                false => "code_tries = code_tries + 1",
            };
            let sql = format!("UPDATE fresco_server.wizard_sessions SET {sql} WHERE id_hash = $1");
            transaction.execute(&sql, &[&hash]).await.mapped()?;
            transaction.commit().await.mapped()?;
            session.email_verified = right;
            Ok(if right { WizardCode::Done(session) } else { WizardCode::Wrong })
        })
        .await
    }
}
