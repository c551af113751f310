//! How far somebody got in the wizard.
//!
//! Whoever holds a session's token is in it, and nobody else. Without mail the address is only typed,
//! never proven; so no account is found by it unless its password was typed, too.

mod claim;
mod code;
mod data;

use chrono::{DateTime, Utc};
use fresco_core::{Result, TenantId};
use secrecy::SecretString;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

pub(crate) use claim::is_refusal;
pub use claim::{WizardChoice, WizardClaim};
pub use code::WizardCode;
pub use data::{UseCase, WizardData, WizardStep};

use super::database::{Mapped, call};
use super::{Accounts, Email, Password};

/// Live sessions of all people together. There is no bound for one address: whoever knows somebody's
/// could end their session by beginning others with it.
const MOST: i64 = 10_000;
/// Steps of the wizard.
const STEPS: u8 = 4;

/// A session of the wizard that was just begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewWizard {
    /// What its holder shows from now on. It is nowhere else.
    pub token: SecretString,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// A session of the wizard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WizardSession {
    /// The address, as it was typed.
    pub email: String,
    /// The id that its tenant has, or will have.
    pub tenant: TenantId,
    /// The last step that is done, 0 to 4.
    pub step_completed: u8,
    /// What was typed, without the password.
    pub data: WizardData,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Whether the address was shown to be this person's, by the code of a letter.
    pub email_verified: bool,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WizardUpdate {
    /// It is done.
    Done(WizardSession),
    /// There is no such session, or none any more.
    Unknown,
    /// Another step comes first.
    Early {
        /// That step.
        next: u8,
    },
    /// The account has been made: its name and password are no matter of the wizard any more.
    AccountMade,
}

/// The columns that [`WizardSession::read`] reads.
const COLUMNS: &str =
    "email, tenant_id, step_completed, data, expires_at, email_verified_at IS NOT NULL";

impl WizardSession {
    /// The step that comes next; `None` when all are done.
    #[must_use]
    pub fn next(&self) -> Option<u8> {
        (self.step_completed < STEPS).then_some(self.step_completed + 1)
    }

    fn read(row: &Row) -> Result<Self> {
        let Json(data) = row.try_get(3).mapped()?;
        Ok(Self {
            email: row.get(0),
            tenant: TenantId::from_uuid(row.get(1)),
            // A constraint holds it within 0 and 4.
            step_completed: u8::try_from(row.get::<_, i16>(2)).unwrap_or_default(),
            data,
            expires_at: row.get(4),
            email_verified: row.get(5),
        })
    }
}

/// What step 1 leads to.
struct NewPassword {
    hash: String,
    /// The account of this address whose password it is.
    verified: Option<(Uuid, String)>,
}

impl Accounts {
    /// Begins a session of the wizard. It tells nothing of whether the address has an account; where a
    /// code is demanded, a letter tells its owner.
    ///
    /// 10,000 live at a time. One more ends the oldest that has not done step 1, if there is one,
    /// else the oldest: step 1 hashes a password, which nobody can do in a hurry.
    ///
    /// # Errors
    /// `Denied` with the context `signup` for who may make no account; the database's own.
    pub async fn begin_wizard(
        &self,
        email: &Email,
        invite: Option<&SecretString>,
    ) -> Result<NewWizard> {
        let invite = self.invite_hash(invite);
        self.check_signup(email, invite.as_deref()).await?;
        call("accounts.begin_wizard", async {
            let (token, hash) = self.keys().wizard.issue()?;
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            transaction
                .execute(
                    "DELETE FROM fresco_server.wizard_sessions WHERE id_hash IN (
                        SELECT id_hash FROM fresco_server.wizard_sessions
                        WHERE expires_at <= now() ORDER BY expires_at LIMIT 100
                        FOR UPDATE SKIP LOCKED)",
                    &[],
                )
                .await
                .mapped()?;
            transaction
                .execute(
                    // The innermost names them without a lock: it would lock all that it passes by.
                    "DELETE FROM fresco_server.wizard_sessions WHERE id_hash IN (
                        SELECT id_hash FROM fresco_server.wizard_sessions WHERE id_hash IN (
                            SELECT id_hash FROM fresco_server.wizard_sessions
                            WHERE expires_at > now()
                            ORDER BY step_completed > 0 DESC, created_at DESC OFFSET $1)
                        FOR UPDATE SKIP LOCKED)",
                    &[&(MOST - 1)],
                )
                .await
                .mapped()?;
            let sql = "INSERT INTO fresco_server.wizard_sessions
                        (id_hash, email, email_key, user_id, tenant_id, data, expires_at, invite_hash)
                       VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), $8)
                       RETURNING expires_at";
            let (user, tenant) = (Uuid::new_v4(), TenantId::new().as_uuid());
            let (data, life) = (Json(WizardData::default()), Self::WIZARD.as_secs_f64());
            let row = transaction
                .query_one(
                    sql,
                    &[
                        &hash,
                        &email.as_str(),
                        &email.key(),
                        &user,
                        &tenant,
                        &data,
                        &life,
                        &invite,
                    ],
                )
                .await
                .mapped()?;
            self.post_code(&transaction, email, &hash).await?;
            transaction.commit().await.mapped()?;
            Ok(NewWizard { token, expires_at: row.get(0) })
        })
        .await
    }

    /// The session of this token, while it lives.
    ///
    /// # Errors
    /// The database's own.
    pub async fn wizard(&self, token: &SecretString) -> Result<Option<WizardSession>> {
        let Some(hash) = self.keys().wizard.hash_token(token) else { return Ok(None) };
        call("accounts.wizard", async {
            let sql = format!(
                "SELECT {COLUMNS} FROM fresco_server.wizard_sessions
                 WHERE id_hash = $1 AND expires_at > now()"
            );
            let client = self.database().client().await?;
            let row = client.query_opt(&sql, &[&hash]).await.mapped()?;
            row.as_ref().map(WizardSession::read).transpose()
        })
        .await
    }

    /// Takes in what was typed in a step. Steps come in order; one that is done may be done again.
    ///
    /// # Errors
    /// The database's own; `Unavailable` while too many passwords are hashed.
    pub async fn update_wizard(
        &self,
        token: &SecretString,
        step: WizardStep,
    ) -> Result<WizardUpdate> {
        let Some(hash) = self.keys().wizard.hash_token(token) else {
            return Ok(WizardUpdate::Unknown);
        };
        // Hashing is slow: it comes before any lock.
        let password = match &step {
            WizardStep::Account { password, .. } => {
                let Some(found) = self.wizard(token).await? else {
                    return Ok(WizardUpdate::Unknown);
                };
                Some(self.new_password(&found.email, password).await?)
            }
            _ => None,
        };
        call("accounts.update_wizard", self.write_step(&hash, step, password)).await
    }

    /// Hashes a password, and looks whether it is that of the address's account. Both always take
    /// place, so that the time taken does not tell whether there is one.
    async fn new_password(&self, email: &str, password: &Password) -> Result<NewPassword> {
        let email: Email = email.parse()?;
        password.check_for(&email)?;
        let hash = self.passwords().hash(password).await?;
        let known = self.by_email(email.key()).await?.map(|(user, hash)| (user.id, hash));
        let known_hash = known.as_ref().map(|(_, hash)| hash.as_str());
        let right = self.passwords().verify(password.text(), known_hash).await?;
        Ok(NewPassword { hash, verified: known.filter(|_| right) })
    }

    async fn write_step(
        &self,
        hash: &[u8],
        step: WizardStep,
        password: Option<NewPassword>,
    ) -> Result<WizardUpdate> {
        let mut client = self.database().client().await?;
        let transaction = client.transaction().await.mapped()?;
        let sql = format!(
            "SELECT {COLUMNS}, EXISTS (SELECT FROM fresco_server.users u WHERE u.id = w.user_id)
             FROM fresco_server.wizard_sessions w
             WHERE id_hash = $1 AND expires_at > now() FOR UPDATE"
        );
        let Some(row) = transaction.query_opt(&sql, &[&hash]).await.mapped()? else {
            return Ok(WizardUpdate::Unknown);
        };
        let mut session = WizardSession::read(&row)?;
        let number = step.number();
        if let Some(next) = session.next().filter(|next| number > *next) {
            return Ok(WizardUpdate::Early { next });
        }
        if password.is_some() && row.get(6) {
            return Ok(WizardUpdate::AccountMade);
        }
        session.step_completed = session.step_completed.max(number);
        session.data.take(step);
        if let Some(NewPassword { hash: password, verified }) = password {
            let (user, verified) = verified.unzip();
            let sql = "UPDATE fresco_server.wizard_sessions SET
                        password_hash = $2, verified_user_id = $3, verified_hash = $4
                       WHERE id_hash = $1";
            transaction.execute(sql, &[&hash, &password, &user, &verified]).await.mapped()?;
        }
        let sql = "UPDATE fresco_server.wizard_sessions SET step_completed = $2, data = $3
                   WHERE id_hash = $1";
        let (done, data) = (i16::from(session.step_completed), Json(&session.data));
        transaction.execute(sql, &[&hash, &done, &data]).await.mapped()?;
        transaction.commit().await.mapped()?;
        Ok(WizardUpdate::Done(session))
    }
}
