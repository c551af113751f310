//! The end of the wizard: whose tenant it will be.

use std::time::Duration;

use deadpool_postgres::Transaction;
use fresco_core::{Error, ErrorKind, Result, Subdomain, TenantId};
use secrecy::SecretString;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{COLUMNS, WizardSession};
use crate::accounts::database::{Mapped, within};
use crate::accounts::{Accounts, Letter, User, users};

/// How long it may take to make an account and to ask for its tenant.
const CLAIM: Duration = Duration::from_secs(30);

/// What a session of the wizard leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WizardChoice {
    /// The id that the tenant has, or will have.
    pub tenant: TenantId,
    /// The subdomain that was chosen.
    pub subdomain: Subdomain,
    /// The owner.
    pub user: User,
}

/// Whose tenant a session of the wizard leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WizardClaim<T> {
    /// This person's. The account was made just now, or before.
    Owned {
        /// The owner.
        user: User,
        /// What became of the tenant.
        accepted: T,
    },
    /// There is no such session, or none any more.
    Unknown,
    /// A step is missing.
    Incomplete {
        /// That step.
        next: u8,
    },
    /// Nothing shows that the address is this person's: neither the code of a letter nor the password
    /// of its account.
    EmailUnverified,
    /// The address has an account, and its password was not the one that was typed.
    SignInRequired,
    /// It is this person's, whose account is shut.
    Suspended,
}

/// Who somebody in the wizard turned out to be.
enum Owner {
    /// Of this account, which may have been made for it just now.
    Known {
        user: User,
        made: bool,
    },
    EmailUnverified,
    SignInRequired,
}

impl Accounts {
    /// Makes the account of a session whose steps are all done, unless its address has one already,
    /// and asks for its tenant. Of two calls for one session the second waits for the first.
    ///
    /// An account stays only with its tenant: when the tenant is refused, none is made. When it is
    /// unknown whether it was accepted, the account stays, so that no tenant is without its owner.
    ///
    /// # Errors
    /// The database's own, and what asking for the tenant leads to.
    pub async fn claim_wizard<T, F: Future<Output = Result<T>>>(
        &self,
        token: &SecretString,
        ask: impl FnOnce(WizardChoice) -> F,
    ) -> Result<WizardClaim<T>> {
        let Some(hash) = self.keys().wizard.hash_token(token) else {
            return Ok(WizardClaim::Unknown);
        };
        within(CLAIM, "accounts.claim_wizard", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            // It waits for the store.
            let idle = format!("SET LOCAL idle_in_transaction_session_timeout = {}", CLAIM.as_millis());
            transaction.batch_execute(&idle).await.mapped()?;
            let sql = format!(
                "SELECT {COLUMNS}, email_key, user_id, password_hash, verified_user_id, verified_hash,
                        invite_hash
                 FROM fresco_server.wizard_sessions
                 WHERE id_hash = $1 AND expires_at > now() FOR UPDATE"
            );
            let Some(row) = transaction.query_opt(&sql, &[&hash]).await.mapped()? else {
                return Ok(WizardClaim::Unknown);
            };
            let session = WizardSession::read(&row)?;
            if let Some(next) = session.next() {
                return Ok(WizardClaim::Incomplete { next });
            }
            let subdomain = session.data.subdomain.clone().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a session of the wizard has no subdomain")
            })?;
            let (user, made) = match self.owner(&transaction, &row, &session).await? {
                Owner::Known { user, made } => (user, made),
                Owner::EmailUnverified => return Ok(WizardClaim::EmailUnverified),
                Owner::SignInRequired => return Ok(WizardClaim::SignInRequired),
            };
            if user.suspended_at.is_some() {
                return Ok(WizardClaim::Suspended);
            }
            if made {
                // It may be another's choice by now who may sign up.
                let (email, invite) = (session.email.parse()?, row.get::<_, Option<&[u8]>>("invite_hash"));
                self.check_policy(&email)?;
                self.use_invite(&transaction, row.get("email_key"), invite).await?;
            }
            let tenant = session.tenant;
            self.take_place(&transaction, tenant, &user).await?;
            match ask(WizardChoice { tenant, subdomain, user: user.clone() }).await {
                Ok(accepted) => {
                    transaction.commit().await.mapped()?;
                    Ok(WizardClaim::Owned { user, accepted })
                }
                Err(error) => {
                    if !is_refusal(&error) {
                        transaction.commit().await.mapped()?;
                    }
                    Err(error)
                }
            }
        })
        .await
    }
}

/// Whether this is the answer of somebody who looked, and will not do it.
pub(crate) fn is_refusal(error: &Error) -> bool {
    use ErrorKind::{Conflict, Denied, Exhausted, Invalid, NotFound, Unsupported};
    matches!(error.kind(), Conflict | Denied | Exhausted | Invalid | NotFound | Unsupported)
        // Asked of nobody: it is known here that tenants are not kept apart.
        || error.context("isolation").is_some()
}

impl Accounts {
    /// The account of the session's address, made if there is none.
    async fn owner(
        &self,
        transaction: &Transaction<'_>,
        row: &Row,
        session: &WizardSession,
    ) -> Result<Owner> {
        let (key, minted): (&str, Uuid) = (row.get("email_key"), row.get("user_id"));
        let password: Option<&str> = row.get("password_hash");
        let verified: Option<(Uuid, &str)> = row
            .get::<_, Option<Uuid>>("verified_user_id")
            .zip(row.get::<_, Option<&str>>("verified_hash"));
        // Alike with an account and without: else this would tell whether the address has one.
        if self.demands_code() && !session.email_verified && verified.is_none() {
            return Ok(Owner::EmailUnverified);
        }
        let data = &session.data;
        let made = transaction
            .execute(
                "INSERT INTO fresco_server.users
                    (id, email, email_key, name, password_hash, use_case, use_case_text,
                     terms_accepted_at, email_verified_at)
                 SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text,
                     now(), CASE WHEN $8::boolean THEN now() END
                 WHERE NOT $9::boolean ON CONFLICT DO NOTHING",
                &[
                    &minted,
                    &session.email,
                    &key,
                    &data.name,
                    &password,
                    &data.use_case.map(super::UseCase::as_str),
                    &data.other_text,
                    &session.email_verified,
                    // The account whose password was typed is gone: nothing shows whose address it is.
                    &(self.demands_code() && !session.email_verified),
                ],
            )
            .await
            .mapped()?;
        // Of two that come here at the same time, the second has waited for the first.
        let sql = format!(
            "SELECT {}, u.password_hash FROM fresco_server.users u WHERE u.email_key = $1",
            users::COLUMNS
        );
        let Some(account) = transaction.query_opt(&sql, &[&key]).await.mapped()? else {
            return Ok(Owner::EmailUnverified);
        };
        let user = User::read(&account);
        if made > 0 && !session.email_verified {
            let letter = Letter::VerifyAddress { user: user.id };
            self.post(transaction, &session.email.parse()?, &letter).await?;
        }
        // Whoever has the token alone is let in no more once the account has another password.
        let now: &str = account.get("password_hash");
        let own = user.id == minted && password == Some(now);
        let known = verified == Some((user.id, now));
        Ok(match own || known {
            true => Owner::Known { user, made: made > 0 },
            false => Owner::SignInRequired,
        })
    }
}
