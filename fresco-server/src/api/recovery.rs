//! What letters lead to: an address that is known to be somebody's, and another password.

use fresco_core::TenantQuery;
use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::types::Password as PasswordText;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::SecretString;

use crate::accounts::{Letter, Password, Verification};
use crate::api::Tag;
use crate::api::attempts;
use crate::api::auth::Nothing;
use crate::api::body::Body;
use crate::api::profile::wrong_password;
use crate::api::text::Text;
use crate::audit::Trail;
use crate::http::caller::Caller;
use crate::http::client::Client;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Who forgot the password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Forgotten {
    /// The account's e-mail address.
    email: Text,
}

/// Another password, by the token of a letter.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PasswordReset {
    /// The token.
    token: Text,
    /// The new password, 10 to 128 characters.
    password: PasswordText,
}

/// The token of a letter, and who followed its link.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Shown {
    /// The token.
    token: Text,
    /// The account's password.
    password: PasswordText,
}

/// An address that is known to be somebody's.
#[derive(Debug, Object)]
struct Verified {
    /// The account's address from now on.
    email: String,
}

/// A letter that will be sent, if there is somebody to send it to.
#[derive(ApiResponse)]
pub(super) enum Noted {
    /// It is written down, and will be sent.
    #[oai(status = 202)]
    Noted(Json<Nothing>),
}

#[derive(Clone, Debug)]
pub(crate) struct RecoveryApi {
    platform: Platform,
}

impl RecoveryApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    fn needs_mail(&self) -> Result<(), Problem> {
        self.platform.accounts.has_mail().then_some(()).ok_or_else(Problem::no_mail)
    }
}

/// 404: no token, or none any more.
fn unknown() -> Problem {
    let words = "There is no such token, or it has been used or has ended. Ask for another letter.";
    Problem::new(StatusCode::NOT_FOUND, "unknown_token", words)
}

#[OpenApi(tag = "Tag::Auth")]
impl RecoveryApi {
    /// Sends a letter by which another password can be set.
    ///
    /// The answer is the same, after the same time, whether or not the address has an account. An
    /// address gets at most five such letters an hour. Errors: 409 `no_mail` where the platform sends
    /// no mail; 422 `invalid` with the `field`.
    #[oai(
        path = "/api/auth.requestPasswordReset",
        method = "post",
        operation_id = "auth_request_password_reset"
    )]
    async fn request_password_reset(
        &self,
        trail: Trail,
        body: Body<Forgotten>,
    ) -> Result<Noted, Problem> {
        self.needs_mail()?;
        let email = body.email.parse()?;
        trail.account_of(&email);
        self.platform.accounts.post_letter(&email, &Letter::ResetPassword).await?;
        Ok(Noted::Noted(Json(Nothing {})))
    }

    /// Sets another password, by the token of a letter.
    ///
    /// The token holds for an hour, once, and while neither address nor password have changed. All
    /// sessions and API keys of the account end, and the links to its apps that wait for their owner; nobody is
    /// signed in. Errors: 404 `unknown_token`; 422 `invalid`
    /// with the `field`.
    #[oai(path = "/api/auth.resetPassword", method = "post", operation_id = "auth_reset_password")]
    async fn reset_password(
        &self,
        trail: Trail,
        body: Body<PasswordReset>,
    ) -> Result<Json<Nothing>, Problem> {
        let Body(PasswordReset { token, password }) = body;
        let password = Password::new(password.0.into())?;
        let Platform { accounts, orchestrator, .. } = &self.platform;
        let tenants = async |owner| {
            let mut query = TenantQuery::all();
            query.owner = Some(owner);
            let found = orchestrator.tenants(&query).await?.tenants;
            Ok(found.iter().map(|tenant| tenant.id).collect())
        };
        let user = accounts.reset_password(&token.0.into(), &password, tenants).await?;
        let user = user.ok_or_else(unknown)?;
        trail.turned_out(&user, accounts.is_admin(&user));
        Ok(Json(Nothing {}))
    }

    /// Shows by the token of a letter, and the account's password, that its address is the account's
    /// owner's.
    ///
    /// Whoever gets such a letter and knows no password has no account: somebody else made one for
    /// their address. The token holds for a day, and while neither address nor password have changed.
    /// When the address was not known to be the owner's before, all sessions and API keys of the account end: whoever
    /// opened them may be somebody else. Errors: 403 `wrong_password`; 404 `unknown_token`; 409
    /// `email_taken` when another account has got the address meanwhile; 429 `rate_limited` after too
    /// many passwords for one account.
    #[oai(path = "/api/auth.verifyEmail", method = "post", operation_id = "auth_verify_email")]
    async fn verify_email(
        &self,
        client: Client,
        trail: Trail,
        body: Body<Shown>,
    ) -> Result<Json<Verified>, Problem> {
        let Body(Shown { token, password }) = body;
        let (token, password) = (SecretString::from(token.0), SecretString::from(password.0));
        let asked = self.platform.accounts.asked_to_verify(&token).await?.ok_or_else(unknown)?;
        trail.account_of(&asked);
        attempts::count(&self.platform, &asked, client.address).await?;
        match self.platform.accounts.verify_email(&token, &password).await? {
            Verification::Done(user) => {
                trail.turned_out(&user, self.platform.accounts.is_admin(&user));
                Ok(Json(Verified { email: user.email }))
            }
            Verification::Unknown => Err(unknown()),
            Verification::WrongPassword => Err(wrong_password("password")),
            Verification::Taken => {
                let words = "Another account has this address.";
                Err(Problem::new(StatusCode::CONFLICT, "email_taken", words))
            }
        }
    }

    /// Sends the letter again that asks whether an address is the account's owner's.
    ///
    /// It goes to `pendingEmail`, if there is one, else to the account's address unless that was
    /// verified. An address gets at most five such letters an hour. Errors: 409 `no_mail` where the
    /// platform sends no mail.
    #[oai(
        path = "/api/auth.resendVerification",
        method = "post",
        operation_id = "auth_resend_verification"
    )]
    async fn resend_verification(
        &self,
        caller: Caller,
        _body: Body<Nothing>,
    ) -> Result<Noted, Problem> {
        self.needs_mail()?;
        self.platform.accounts.resend_verification(&caller.user).await?;
        Ok(Noted::Noted(Json(Nothing {})))
    }
}
