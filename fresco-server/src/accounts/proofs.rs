//! What somebody proves by a letter: that an address is theirs, and so that they may have another
//! password.

use std::time::Duration;

use deadpool_postgres::Transaction;
use fresco_core::{OwnerId, Result, TenantId};
use secrecy::SecretString;
use tokio_postgres::Row;
use uuid::Uuid;

use super::database::{Mapped, call, is_duplicate};
use super::sessions::revoke_all;
use super::users::COLUMNS;
use super::{Accounts, Email, Letter, Password, User, networks};

/// Tokens of one account that live; one more ends the oldest.
const MOST: i64 = 20;

/// What a token in a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Verify,
    Reset,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    pub(super) const fn life(self) -> Duration {
        match self {
            Self::Verify => Duration::from_secs(24 * 60 * 60),
            Self::Reset => Duration::from_secs(60 * 60),
        }
    }
}

/// What became of an address that somebody showed to be theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is the account's, and known to be this person's.
    Done(User),
    /// There is no such token, or none any more.
    Unknown,
    /// The token is good, and this is not the password of its account.
    WrongPassword,
    /// It has got an account of its own meanwhile.
    Taken,
}

/// The account of a token, while both are as they were.
struct Shown {
    user: User,
    email: Email,
    /// Whether the token went to the account's own address.
    own: bool,
}

impl Accounts {
    /// A token for this account, in a letter to this address; `None` when there is no account.
    pub(super) async fn mint(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        purpose: Purpose,
        to: &Email,
    ) -> Result<Option<SecretString>> {
        // One at a time, so that the bound holds.
        let sql = "SELECT email_key, password_hash FROM fresco_server.users
                   WHERE id = $1 FOR UPDATE";
        let Some(row) = transaction.query_opt(sql, &[&user]).await.mapped()? else {
            return Ok(None);
        };
        let sql = "DELETE FROM fresco_server.mail_tokens WHERE token_hash IN (
                    SELECT token_hash FROM fresco_server.mail_tokens
                    WHERE expires_at <= now() LIMIT 100 FOR UPDATE SKIP LOCKED)
                   OR token_hash IN (
                    SELECT token_hash FROM fresco_server.mail_tokens WHERE user_id = $1
                    ORDER BY expires_at DESC OFFSET $2)";
        transaction.execute(sql, &[&user, &(MOST - 1)]).await.mapped()?;
        let bound = self.bound(row.get(0), row.get(1));
        let (token, hash) = self.keys().letters.issue()?;
        let sql = "INSERT INTO fresco_server.mail_tokens
                    (token_hash, user_id, purpose, email, email_key, bound, expires_at)
                   VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))";
        let (email, key, life) = (to.as_str(), to.key(), purpose.life().as_secs_f64());
        transaction
            .execute(sql, &[&hash, &user, &purpose.as_str(), &email, &key, &bound, &life])
            .await
            .mapped()?;
        Ok(Some(token))
    }

    /// What changes with the account's address and with its password.
    fn bound(&self, email_key: &str, password_hash: &str) -> Vec<u8> {
        self.keys().letters.hash(format!("bound {email_key} {password_hash}").as_bytes())
    }

    async fn shown(
        &self,
        transaction: &Transaction<'_>,
        hash: &[u8],
        purpose: Purpose,
    ) -> Result<Option<Shown>> {
        // The account alone, and before the token is read: whoever ends a token that lives locks its
        // account first.
        let sql = "SELECT FROM fresco_server.users WHERE id = (
                    SELECT user_id FROM fresco_server.mail_tokens WHERE token_hash = $1)
                   FOR UPDATE";
        transaction.execute(sql, &[&hash]).await.mapped()?;
        let sql = format!(
            "SELECT {COLUMNS}, u.email_key, u.pending_email_key, u.password_hash,
                    t.email AS shown, t.email_key AS shown_key, t.bound
             FROM fresco_server.mail_tokens t JOIN fresco_server.users u ON u.id = t.user_id
             WHERE t.token_hash = $1 AND t.purpose = $2 AND t.expires_at > now()"
        );
        let row = transaction.query_opt(&sql, &[&hash, &purpose.as_str()]).await.mapped()?;
        let Some(row) = row else { return Ok(None) };
        let text = |row: &Row, name: &str| row.get::<_, String>(name);
        let (key, shown_key) = (text(&row, "email_key"), text(&row, "shown_key"));
        let pending: Option<String> = row.get("pending_email_key");
        let own = shown_key == key;
        let same = row.get::<_, Vec<u8>>("bound") == self.bound(&key, &text(&row, "password_hash"));
        if !same || !(own || purpose == Purpose::Verify && pending == Some(shown_key)) {
            return Ok(None);
        }
        Ok(Some(Shown { user: User::read(&row), email: text(&row, "shown").parse()?, own }))
    }

    /// The address of the account whose password goes with this token of a letter, while the token holds.
    ///
    /// # Errors
    /// The database's own.
    pub async fn asked_to_verify(&self, token: &SecretString) -> Result<Option<Email>> {
        let Some(hash) = self.keys().letters.hash_token(token) else { return Ok(None) };
        let shown = self.look(&hash, Purpose::Verify).await?;
        shown.map(|shown| shown.user.email.parse()).transpose()
    }

    /// Takes the token of a letter and the account's password as proof that its address is this
    /// person's: the token alone could be that of somebody who made an account for another's address, and
    /// now waits for the other to follow a link. When the address was not known before, all earlier
    /// sessions end: whoever opened them may be somebody else.
    ///
    /// # Errors
    /// The database's own; `Unavailable` while too many passwords are hashed.
    pub async fn verify_email(
        &self,
        token: &SecretString,
        password: &SecretString,
    ) -> Result<Verification> {
        let Some(hash) = self.keys().letters.hash_token(token) else {
            return Ok(Verification::Unknown);
        };
        let Some(shown) = self.look(&hash, Purpose::Verify).await? else {
            return Ok(Verification::Unknown);
        };
        // Another password meanwhile ends the token, too.
        if self.hash_if(shown.user.id, password).await?.is_none() {
            return Ok(Verification::WrongPassword);
        }
        call("accounts.verify_email", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let Some(shown) = self.shown(&transaction, &hash, Purpose::Verify).await? else {
                return Ok(Verification::Unknown);
            };
            let Shown { user, email, own } = shown;
            if !own {
                // It may have been asked for before there was such a rule.
                self.check_domain(&email)?;
            }
            let first = !own || user.email_verified_at.is_none();
            let sql = format!(
                "UPDATE fresco_server.users u SET
                    email_verified_at = CASE WHEN $4 THEN now() ELSE email_verified_at END,
                    email = CASE WHEN $5 THEN email ELSE $2 END,
                    email_key = CASE WHEN $5 THEN email_key ELSE $3 END,
                    pending_email = CASE WHEN $5 THEN pending_email END,
                    pending_email_key = CASE WHEN $5 THEN pending_email_key END
                 WHERE id = $1 RETURNING {COLUMNS}"
            );
            let (address, key) = (email.as_str(), email.key());
            let made = transaction.query_one(&sql, &[&user.id, &address, &key, &first, &own]).await;
            let changed = match made {
                Err(error) if is_duplicate(&error) => return Ok(Verification::Taken),
                row => User::read(&row.mapped()?),
            };
            self.spend(&transaction, user.id, if own { "verify" } else { "" }).await?;
            if first {
                revoke_all(&transaction, user.id, None).await?;
            }
            if !own {
                let from: Email = user.email.parse()?;
                let (old, new) = (user.email.clone(), changed.email.clone());
                let letter = Letter::AddressChanged { from: old, to: new };
                self.post(&transaction, &from, &letter).await?;
                self.post(&transaction, &email, &letter).await?;
            }
            transaction.commit().await.mapped()?;
            Ok(Verification::Done(changed))
        })
        .await
    }

    /// Ends the tokens of an account, of this purpose or of all.
    pub(super) async fn spend(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        purpose: &str,
    ) -> Result<()> {
        let sql = "DELETE FROM fresco_server.mail_tokens
                   WHERE user_id = $1 AND ($2 = '' OR purpose = $2)";
        transaction.execute(sql, &[&user, &purpose]).await.mapped()?;
        Ok(())
    }

    /// Sets another password by the token of a letter, which also shows that the address is this
    /// person's. All earlier sessions end, no other address is waited for, and nobody has a link or a pass to
    /// the account's tenants any more, which `tenants` tells. When the address was not known before, somebody
    /// else may have made the account: its name goes, too. Whose it was; `None` when there is no such token.
    ///
    /// # Errors
    /// `Invalid` for a password that the address tells; the database's own, and that of `tenants`;
    /// `Unavailable` while too many passwords are hashed.
    pub async fn reset_password<T>(
        &self,
        token: &SecretString,
        new: &Password,
        tenants: impl FnOnce(OwnerId) -> T,
    ) -> Result<Option<User>>
    where
        T: Future<Output = Result<Vec<TenantId>>>,
    {
        let Some(hash) = self.keys().letters.hash_token(token) else { return Ok(None) };
        // Hashing is slow: it is for those who hold a token, and comes before any lock.
        match self.look(&hash, Purpose::Reset).await? {
            Some(shown) => new.check_for(&shown.email)?,
            None => return Ok(None),
        }
        let password = self.passwords().hash(new).await?;
        call("accounts.reset_password", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let Some(Shown { user, .. }) = self.shown(&transaction, &hash, Purpose::Reset).await?
            else {
                return Ok(None);
            };
            let email: Email = user.email.parse()?;
            let sql = "UPDATE fresco_server.users SET password_hash = $2,
                        name = CASE WHEN email_verified_at IS NOT NULL THEN name END,
                        email_verified_at = coalesce(email_verified_at, now()),
                        pending_email = NULL, pending_email_key = NULL WHERE id = $1";
            transaction.execute(sql, &[&user.id, &password]).await.mapped()?;
            // Whoever had a session has seen the links, too.
            let (tenants, stranger) =
                (tenants(user.owner()).await?, user.email_verified_at.is_none());
            self.renew_claims(&transaction, &tenants, stranger).await?;
            if stranger {
                networks::forget(&transaction, user.id).await?;
            }
            self.spend(&transaction, user.id, "").await?;
            revoke_all(&transaction, user.id, None).await?;
            self.post(&transaction, &email, &Letter::PasswordChanged).await?;
            transaction.commit().await.mapped()?;
            Ok(Some(user))
        })
        .await
    }

    /// The account of a token, held by nobody.
    async fn look(&self, hash: &[u8], purpose: Purpose) -> Result<Option<Shown>> {
        call("accounts.proof", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let shown = self.shown(&transaction, hash, purpose).await?;
            transaction.rollback().await.mapped()?;
            Ok(shown)
        })
        .await
    }
}
