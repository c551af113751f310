//! Who may make an account.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use fresco_core::{Error, ErrorKind, Result};
use secrecy::SecretString;

use super::database::{Mapped, call};
use super::{Accounts, Email};

/// Who may make an account. Whoever has one is not asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignupPolicy {
    /// Everybody.
    Open,
    /// Who has an address of one of these domains, in small letters.
    Domains(Vec<String>),
    /// Who was invited.
    Invite,
    /// Nobody.
    Closed,
}

/// An invite that was just made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewInvite {
    /// What whoever was invited shows, once. It is nowhere else.
    pub token: SecretString,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// One that lives, for this address.
const LIVES: &str = "token_hash = $1 AND email_key = $2 AND used_at IS NULL AND expires_at > now()";

impl Accounts {
    /// How long somebody has to make use of an invite.
    pub const INVITE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// Invites this address to make an account. What it was invited by before holds no more.
    ///
    /// # Errors
    /// `Conflict` when the address has an account; the database's own.
    pub async fn invite(&self, email: &Email) -> Result<NewInvite> {
        call("accounts.invite", async {
            let (token, hash) = self.keys().invites.issue()?;
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let sql = "SELECT EXISTS (SELECT FROM fresco_server.users WHERE email_key = $1)";
            if transaction.query_one(sql, &[&email.key()]).await.mapped()?.get(0) {
                let words = "this address has an account already, and needs no invite";
                return Err(Error::new(ErrorKind::Conflict, words));
            }
            let sql = "DELETE FROM fresco_server.invites
                       WHERE email_key = $1 AND used_at IS NULL OR expires_at <= now()";
            transaction.execute(sql, &[&email.key()]).await.mapped()?;
            let sql = "INSERT INTO fresco_server.invites (token_hash, email_key, expires_at)
                       VALUES ($1, $2, now() + make_interval(secs => $3)) RETURNING expires_at";
            let life = Self::INVITE.as_secs_f64();
            let row = transaction.query_one(sql, &[&hash, &email.key(), &life]).await.mapped()?;
            transaction.commit().await.mapped()?;
            Ok(NewInvite { token, expires_at: row.get(0) })
        })
        .await
    }

    /// What stands in the database for an invite, if it is shown.
    pub(super) fn invite_hash(&self, invite: Option<&SecretString>) -> Option<Vec<u8>> {
        invite.and_then(|token| self.keys().invites.hash_token(token))
    }

    /// Refuses who may make no account, before anything is done for them. It tells nothing of
    /// whether the address has one.
    pub(super) async fn check_signup(&self, email: &Email, invite: Option<&[u8]>) -> Result<()> {
        self.check_policy(email)?;
        if *self.signup() != SignupPolicy::Invite {
            return Ok(());
        }
        call("accounts.check_signup", async {
            let sql = format!("SELECT EXISTS (SELECT FROM fresco_server.invites WHERE {LIVES})");
            let client = self.database().client().await?;
            let row = client.query_one(&sql, &[&invite, &email.key()]).await.mapped()?;
            if row.get(0) { Ok(()) } else { Err(uninvited()) }
        })
        .await
    }

    /// Refuses whom no invite would help.
    pub(super) fn check_policy(&self, email: &Email) -> Result<()> {
        match self.signup() {
            SignupPolicy::Open | SignupPolicy::Invite => Ok(()),
            SignupPolicy::Domains(_) => self.check_domain(email),
            SignupPolicy::Closed => {
                let words = "nobody can sign up here; whoever has an account can sign in";
                Err(Error::new(ErrorKind::Denied, words).with("signup", "closed"))
            }
        }
    }

    /// Refuses an address of another domain than people here have: nor can one be changed to.
    pub(super) fn check_domain(&self, email: &Email) -> Result<()> {
        let SignupPolicy::Domains(domains) = self.signup() else { return Ok(()) };
        let (_, domain) = email.key().rsplit_once('@').unwrap_or_default();
        if domains.iter().any(|known| known == domain) {
            return Ok(());
        }
        let words =
            format!("accounts have addresses of these domains here: {}", domains.join(", "));
        Err(Error::new(ErrorKind::Denied, words).with("signup", "domains"))
    }

    /// Makes use of an invite, in the write that makes the account, where one is needed: of two
    /// accounts that show the same one, one is made.
    pub(super) async fn use_invite(
        &self,
        transaction: &impl GenericClient,
        email_key: &str,
        invite: Option<&[u8]>,
    ) -> Result<()> {
        if *self.signup() != SignupPolicy::Invite {
            return Ok(());
        }
        let sql = format!("UPDATE fresco_server.invites SET used_at = now() WHERE {LIVES}");
        let used = transaction.execute(&sql, &[&invite, &email_key]).await.mapped()?;
        if used == 1 { Ok(()) } else { Err(uninvited()) }
    }
}

fn uninvited() -> Error {
    let words = "only who was invited can sign up here: with the address that was invited, and with the invite, which holds once, for 7 days";
    Error::new(ErrorKind::Denied, words).with("signup", "invite")
}
