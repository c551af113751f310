//! Opening a letter: what it says now, with the secret that it carries.

use std::time::Duration;

use deadpool_postgres::Transaction;
use fresco_core::Result;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::database::{Mapped, call};
use super::proofs::Purpose;
use super::token::code;
use super::{Accounts, Email, LeasedLetter, Letter};

/// What a letter says now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenedLetter {
    /// To whom it goes: to an account's address as it is spelt there.
    pub to: Email,
    /// What it is about; another thing than it was written down for, when the address has got an
    /// account meanwhile.
    pub letter: Letter,
    /// Its token or its code, which is nowhere else.
    pub secret: Option<SecretString>,
    /// For how long that can be used.
    pub life: Duration,
}

impl OpenedLetter {
    fn plain(leased: &LeasedLetter, letter: Letter) -> Self {
        Self { to: leased.to.clone(), letter, secret: None, life: Duration::ZERO }
    }
}

impl Accounts {
    /// What this letter says now, with a new token or code if it carries one; `None` when there is
    /// nothing to say any more, or the address has no account.
    ///
    /// Whether an address has an account is looked at here and not when a letter is asked for: so the
    /// time that asking takes can't tell.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open_letter(&self, leased: &LeasedLetter) -> Result<Option<OpenedLetter>> {
        call("accounts.open_letter", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let opened = match &leased.letter {
                Letter::VerifyAddress { user } => {
                    self.open_verify(&transaction, leased, *user).await?
                }
                Letter::ResetPassword => self.open_reset(&transaction, leased).await?,
                Letter::WizardCode { session } => {
                    self.open_code(&transaction, leased, session).await?
                }
                plain => Some(OpenedLetter::plain(leased, plain.clone())),
            };
            transaction.commit().await.mapped()?;
            Ok(opened)
        })
        .await
    }

    async fn open_verify(
        &self,
        transaction: &Transaction<'_>,
        leased: &LeasedLetter,
        user: Uuid,
    ) -> Result<Option<OpenedLetter>> {
        let sql = "SELECT email_key = $2 AND email_verified_at IS NULL,
                    coalesce(pending_email_key = $2, false),
                    EXISTS (SELECT FROM fresco_server.users o
                        WHERE o.email_key = $2 AND o.id <> u.id)
                   FROM fresco_server.users u WHERE id = $1";
        let row = transaction.query_opt(sql, &[&user, &leased.to.key()]).await.mapped()?;
        let Some(row) = row else { return Ok(None) };
        let (unverified, pending, anothers): (bool, bool, bool) =
            (row.get(0), row.get(1), row.get(2));
        if !unverified && !pending {
            return Ok(None);
        }
        if anothers {
            return Ok(Some(OpenedLetter::plain(leased, Letter::AccountExists)));
        }
        let token = self.mint(transaction, user, Purpose::Verify, &leased.to).await?;
        Ok(token.map(|token| OpenedLetter {
            to: leased.to.clone(),
            letter: leased.letter.clone(),
            secret: Some(token),
            life: Purpose::Verify.life(),
        }))
    }

    async fn open_reset(
        &self,
        transaction: &Transaction<'_>,
        leased: &LeasedLetter,
    ) -> Result<Option<OpenedLetter>> {
        let sql = "SELECT id, email FROM fresco_server.users WHERE email_key = $1";
        let row = transaction.query_opt(sql, &[&leased.to.key()]).await.mapped()?;
        let Some(row) = row else { return Ok(None) };
        // As somebody else spells it, it may be another's mailbox.
        let to: Email = row.get::<_, &str>(1).parse()?;
        let token = self.mint(transaction, row.get(0), Purpose::Reset, &to).await?;
        Ok(token.map(|token| OpenedLetter {
            to,
            letter: Letter::ResetPassword,
            secret: Some(token),
            life: Purpose::Reset.life(),
        }))
    }

    async fn open_code(
        &self,
        transaction: &Transaction<'_>,
        leased: &LeasedLetter,
        session: &[u8],
    ) -> Result<Option<OpenedLetter>> {
        let sql = "SELECT EXISTS (SELECT FROM fresco_server.users u
                        WHERE u.email_key = w.email_key)
                   FROM fresco_server.wizard_sessions w
                   WHERE id_hash = $1 AND expires_at > now() AND email_verified_at IS NULL
                   FOR UPDATE";
        let row = transaction.query_opt(sql, &[&session]).await.mapped()?;
        let Some(row) = row else { return Ok(None) };
        if row.get(0) {
            return Ok(Some(OpenedLetter::plain(leased, Letter::AccountExists)));
        }
        let code = code()?;
        let hash = self.code_hash(session, code.expose_secret());
        let sql = "UPDATE fresco_server.wizard_sessions SET code_hash = $2 WHERE id_hash = $1";
        transaction.execute(sql, &[&session, &hash]).await.mapped()?;
        Ok(Some(OpenedLetter {
            to: leased.to.clone(),
            letter: leased.letter.clone(),
            secret: Some(code),
            life: Self::WIZARD,
        }))
    }

    /// What stands in the database for a code: a thing of its session alone.
    pub(super) fn code_hash(&self, session: &[u8], code: &str) -> Vec<u8> {
        self.keys().letters.hash(&[session, b" code ", code.as_bytes()].concat())
    }
}
