//! Letters to people, written down before they are sent.
//!
//! A letter is kept as what it is about, never as its text: tokens and codes are made when it is
//! opened to be sent. Whoever wants to send one puts off its next try first, so that no other does so
//! at the same time; one whose sender died is tried again then.

use std::time::Duration;

use deadpool_postgres::Transaction;
use fresco_core::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::database::{Mapped, call};
use super::{Accounts, Email};

/// Letters of one kind to one address within an hour, of those that strangers can bring about.
const PER_HOUR: i64 = 5;
/// Letters that wait, from which on strangers bring about none.
const WAITING: i64 = 10_000;
/// Tries, over about two and a half hours.
const TRIES: i32 = 8;
/// For how long a try keeps others from it: longer than a try can take.
const LEASE: Duration = Duration::from_secs(180);
/// The pause after the first try in vain; each further one is three times as long.
const PAUSE: Duration = Duration::from_secs(8);

/// What a letter is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Letter {
    /// Whether this address is this person's.
    VerifyAddress {
        /// The account.
        user: Uuid,
    },
    /// Whoever reads it may set another password.
    ResetPassword,
    /// The code for a session of the wizard.
    WizardCode {
        /// Under which its token is stored.
        session: Vec<u8>,
    },
    /// Somebody wanted an account for an address that has one.
    AccountExists,
    /// The account is to have another address.
    AddressChanging {
        /// That one.
        to: String,
    },
    /// The account has another address.
    AddressChanged {
        /// The one before.
        from: String,
        /// The one now.
        to: String,
    },
    /// The account has another password.
    PasswordChanged,
    /// A tenant was created.
    DeploymentDone {
        /// Its name.
        subdomain: String,
        /// Its address.
        url: String,
        /// Whether its app would give itself to its first visitor, and is kept from everybody but its
        /// owner until it is set up.
        gated: bool,
    },
    /// A tenant could not be created.
    DeploymentFailed {
        /// Its name.
        subdomain: String,
        /// Why.
        reason: String,
    },
}

impl Letter {
    /// The stable name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::VerifyAddress { .. } => "verify_address",
            Self::ResetPassword => "reset_password",
            Self::WizardCode { .. } => "wizard_code",
            Self::AccountExists => "account_exists",
            Self::AddressChanging { .. } => "address_changing",
            Self::AddressChanged { .. } => "address_changed",
            Self::PasswordChanged => "password_changed",
            Self::DeploymentDone { .. } => "deployment_done",
            Self::DeploymentFailed { .. } => "deployment_failed",
        }
    }

    /// Whether anybody can have it sent to anybody, again and again.
    const fn is_bounded(&self) -> bool {
        matches!(
            self,
            Self::VerifyAddress { .. }
                | Self::ResetPassword
                | Self::WizardCode { .. }
                | Self::AddressChanging { .. }
        )
    }
}

/// A letter that is being sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeasedLetter {
    /// Its id.
    pub id: Uuid,
    /// To whom.
    pub to: Email,
    /// What it is about.
    pub letter: Letter,
    /// Which try it is, from 1.
    pub tries: i32,
}

/// How a letter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterEnd {
    /// The mail server took it.
    Sent,
    /// There was nothing left to say.
    Dropped,
}

impl Accounts {
    /// Writes a letter down, with the rest of a transaction. Without mail there is none; and one that
    /// was sent to this address too often is left out.
    pub(super) async fn post(
        &self,
        transaction: &Transaction<'_>,
        to: &Email,
        letter: &Letter,
    ) -> Result<()> {
        if !self.has_mail() {
            return Ok(());
        }
        if letter.is_bounded() {
            // One at a time, so that the bound holds.
            let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))";
            transaction.execute(sql, &[&letter.kind(), &to.key()]).await.mapped()?;
        }
        let sql = "INSERT INTO fresco_server.letters (id, kind, recipient, recipient_key, letter)
                   SELECT $1::uuid, $2::text, $3::text, $4::text, $5::jsonb
                   WHERE NOT $6::boolean OR (
                    (SELECT count(*) FROM fresco_server.letters WHERE recipient_key = $4
                        AND kind = $2 AND created_at > now() - interval '1 hour') < $7
                    AND (SELECT count(*) FROM fresco_server.letters WHERE ended_at IS NULL) < $8)";
        let (to, key) = (to.as_str(), to.key());
        transaction
            .execute(
                sql,
                &[
                    &Uuid::new_v4(),
                    &letter.kind(),
                    &to,
                    &key,
                    &Json(letter),
                    &letter.is_bounded(),
                    &PER_HOUR,
                    &WAITING,
                ],
            )
            .await
            .mapped()?;
        Ok(())
    }

    /// Writes a letter down.
    ///
    /// # Errors
    /// The database's own.
    pub async fn post_letter(&self, to: &Email, letter: &Letter) -> Result<()> {
        call("accounts.post_letter", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            self.post(&transaction, to, letter).await?;
            transaction.commit().await.mapped()
        })
        .await
    }

    /// Letters to be sent now, at most so many. Nobody else gets them for three minutes.
    ///
    /// It also ends those that were tried too often, and forgets those that ended a week ago.
    ///
    /// # Errors
    /// The database's own.
    pub async fn lease_letters(&self, most: i64) -> Result<Vec<LeasedLetter>> {
        call("accounts.lease_letters", async {
            let client = self.database().client().await?;
            let sql = "UPDATE fresco_server.letters SET ended_at = now(), outcome = 'failed'
                       WHERE ended_at IS NULL AND tries >= $1 AND due_at <= now()";
            let given_up = client.execute(sql, &[&TRIES]).await.mapped()?;
            if given_up > 0 {
                tracing::error!(letters = given_up, "letters could not be sent, and are given up");
            }
            let sql = "DELETE FROM fresco_server.letters WHERE id IN (
                        SELECT id FROM fresco_server.letters
                        WHERE ended_at < now() - interval '7 days' LIMIT 100
                        FOR UPDATE SKIP LOCKED)";
            client.execute(sql, &[]).await.mapped()?;
            let sql = "UPDATE fresco_server.letters
                       SET tries = tries + 1, due_at = now() + make_interval(secs => $2)
                       WHERE id IN (
                        SELECT id FROM fresco_server.letters
                        WHERE ended_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT $1
                        FOR UPDATE SKIP LOCKED)
                       RETURNING id, recipient, letter, tries";
            let rows = client.query(sql, &[&most, &LEASE.as_secs_f64()]).await.mapped()?;
            let read = |row: &tokio_postgres::Row| {
                let Json(letter) = row.try_get(2).mapped()?;
                let to = row.get::<_, &str>(1).parse()?;
                Ok(LeasedLetter { id: row.get(0), to, letter, tries: row.get(3) })
            };
            let readable = rows.iter().filter_map(|row| {
                // Of a newer version, perhaps, which may yet send it. The others don't wait for it.
                let told = |error: &Error| {
                    let letter: Uuid = row.get(0);
                    tracing::warn!(%letter, error = %error.chain(), "a letter can't be read");
                };
                read(row).inspect_err(told).ok()
            });
            Ok(readable.collect())
        })
        .await
    }

    /// Notes how a letter ended. Of one that somebody else has taken over meanwhile, nothing.
    ///
    /// # Errors
    /// The database's own.
    pub async fn end_letter(&self, letter: &LeasedLetter, end: LetterEnd) -> Result<()> {
        let outcome = if end == LetterEnd::Sent { "sent" } else { "dropped" };
        call("accounts.end_letter", async {
            let sql = "UPDATE fresco_server.letters SET ended_at = now(), outcome = $3
                       WHERE id = $1 AND tries = $2 AND ended_at IS NULL";
            let client = self.database().client().await?;
            client.execute(sql, &[&letter.id, &letter.tries, &outcome]).await.mapped()?;
            Ok(())
        })
        .await
    }

    /// Lets a letter be tried again after a pause, unless this was its last try. How long it is.
    ///
    /// # Errors
    /// The database's own.
    pub async fn retry_letter(&self, letter: &LeasedLetter) -> Result<Option<Duration>> {
        if letter.tries >= TRIES {
            call("accounts.retry_letter", async {
                let sql = "UPDATE fresco_server.letters SET ended_at = now(), outcome = 'failed'
                           WHERE id = $1 AND tries = $2 AND ended_at IS NULL";
                let client = self.database().client().await?;
                client.execute(sql, &[&letter.id, &letter.tries]).await.mapped()?;
                Ok(())
            })
            .await?;
            return Ok(None);
        }
        let power = u32::try_from(letter.tries - 1).unwrap_or(0);
        let pause = PAUSE * 3_u32.saturating_pow(power);
        call("accounts.retry_letter", async {
            let sql = "UPDATE fresco_server.letters SET due_at = now() + make_interval(secs => $3)
                       WHERE id = $1 AND tries = $2 AND ended_at IS NULL";
            let client = self.database().client().await?;
            client
                .execute(sql, &[&letter.id, &letter.tries, &pause.as_secs_f64()])
                .await
                .mapped()?;
            Ok(Some(pause))
        })
        .await
    }
}
