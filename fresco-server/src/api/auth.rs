//! Accounts and sessions.

pub(super) mod cookie;

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::types::{Password as PasswordText, ToJSON};
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::SecretString;
use uuid::Uuid;

use crate::accounts::{LoginSession, NewLogin, NewUser, Password, User};
use crate::api::Tag;
use crate::api::attempts;
use crate::api::body::Body;
use crate::api::shapes::Role;
use crate::api::text::Text;
use crate::audit::Trail;
use crate::http::caller::MaybeCaller;
use crate::http::client::Client;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// Somebody who wants an account.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct SignUp {
    /// The e-mail address; it has one account, however it is capitalised.
    email: Text,
    /// The password, 10 to 128 characters.
    password: PasswordText,
    /// The person's name, up to 200 characters.
    name: Option<Text>,
    /// The invite, where only who was invited may sign up.
    invite: Option<PasswordText>,
    /// Whether the terms are accepted; they must be.
    terms_accepted: bool,
    /// Whether the privacy policy is accepted; it must be.
    privacy_accepted: bool,
}

/// Somebody who has an account.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct SignIn {
    /// The e-mail address.
    email: Text,
    /// The password.
    password: PasswordText,
    /// Whether the browser is to stay signed in when it is closed; default: no.
    #[oai(default)]
    remember: bool,
}

/// Nothing to say: `{}`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct Nothing {}

/// An account.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct Account {
    /// Its id.
    id: Uuid,
    /// Its address, as it was typed first.
    email: String,
    /// Whether that was shown to be its owner's.
    email_verified: bool,
    /// The address that is to take its place, once the letter to it was answered.
    pending_email: Option<String>,
    /// The person's name.
    name: Option<String>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            email_verified: user.email_verified_at.is_some(),
            pending_email: user.pending_email,
            name: user.name,
            created_at: user.created_at,
        }
    }
}

/// Who is signed in: all fields, or none.
#[derive(Debug, Default, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Session {
    /// The account.
    user: Option<Account>,
    /// What the person may do.
    role: Option<Role>,
    /// When the session ends.
    expires_at: Option<DateTime<Utc>>,
}

/// An answer that sets the session's cookie, or clears it.
#[derive(ApiResponse)]
pub(super) enum WithCookie<T: ToJSON> {
    /// Done.
    #[oai(status = 200)]
    Done(
        Json<T>,
        /// The session's cookie.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

/// A short text of a person, without blanks around it; `None` for an empty one.
pub(super) fn plain(
    field: &str,
    text: Option<Text>,
    most: usize,
) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    // A line break is no fault of a text; other control characters are, NUL above all.
    let control = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    if text.chars().count() > most || text.chars().any(control) {
        let words = format!("This may have up to {most} characters, and no control characters.");
        return Err(Problem::field(field, words));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// The name of a person.
pub(super) fn name(text: Option<Text>) -> Result<Option<String>, Problem> {
    plain("name", text, LONGEST_NAME)
}

/// Both must be accepted.
pub(super) fn accepted(terms: Option<bool>, privacy: Option<bool>) -> Result<(), Problem> {
    for (field, value) in [("termsAccepted", terms), ("privacyAccepted", privacy)] {
        if value != Some(true) {
            return Err(Problem::field(field, "This must be accepted, with `true`."));
        }
    }
    Ok(())
}

/// 401: no account has this address and this password, or not any more.
fn wrong_credentials() -> Problem {
    let words = "The e-mail address or the password is wrong.";
    Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", words)
}

#[derive(Clone, Debug)]
pub(crate) struct AuthApi {
    platform: Platform,
}

impl AuthApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    fn session(&self, user: User, expires_at: DateTime<Utc>) -> Session {
        let role = Some(Role::of(&self.platform.accounts, &user));
        Session { user: Some(user.into()), role, expires_at: Some(expires_at) }
    }

    /// Signs a user in.
    async fn open(
        &self,
        user: User,
        login: &NewLogin,
        trail: &Trail,
    ) -> Result<WithCookie<Session>, Problem> {
        trail.turned_out(&user, self.platform.accounts.is_admin(&user));
        if user.suspended_at.is_some() {
            return Err(Problem::suspended());
        }
        let new = self.platform.accounts.open_session(&user, login).await?;
        let new = new.ok_or_else(wrong_credentials)?;
        let cookie = cookie::set(&self.platform.config, &new);
        let session = self.session(user, new.expires_at);
        Ok(WithCookie::Done(Json(session), cookie))
    }
}

#[OpenApi(tag = "Tag::Auth")]
impl AuthApi {
    /// Makes an account and signs it in.
    ///
    /// Where the platform sends mail, a letter asks whether the address is this person's. Errors: 409
    /// `email_taken` when the address has an account, which tells whoever asks that it has one (the
    /// wizard does not, where the platform sends mail); 422 `invalid` with the `field`; 403 `signup_closed`,
    /// `email_domain_refused` or `invite_required` where the operators let not everybody sign up.
    #[oai(path = "/api/auth.signUp", method = "post", operation_id = "auth_sign_up")]
    async fn sign_up(
        &self,
        client: Client,
        trail: Trail,
        body: Body<SignUp>,
    ) -> Result<WithCookie<Session>, Problem> {
        let Body(body) = body;
        accepted(Some(body.terms_accepted), Some(body.privacy_accepted))?;
        let new = NewUser {
            email: body.email.parse()?,
            password: Password::new(body.password.0.into())?,
            name: name(body.name)?,
            invite: body.invite.map(|token| token.0.into()),
        };
        trail.account_of(&new.email);
        let made = self.platform.accounts.sign_up(&new).await?;
        let user = made.ok_or_else(|| {
            let words = "This address has an account. Sign in, or take another address.";
            Problem::new(StatusCode::CONFLICT, "email_taken", words).of_field("email")
        })?;
        self.open(user, &client.login(false), &trail).await
    }

    /// Signs in.
    ///
    /// With `remember` the browser keeps the session until it ends by itself: 30 days after the
    /// sign-in, or 7 days after its last request, where the platform sets no other times. Without, it
    /// ends with the browser, and after a day. Errors: 401 `wrong_credentials`, the same for a wrong password and
    /// for an address without an account; 403 `suspended` for the right password of an account that
    /// an admin has shut; 429 `rate_limited` after too many attempts.
    #[oai(path = "/api/auth.signIn", method = "post", operation_id = "auth_sign_in")]
    async fn sign_in(
        &self,
        client: Client,
        trail: Trail,
        body: Body<SignIn>,
    ) -> Result<WithCookie<Session>, Problem> {
        let Body(body) = body;
        let (email, password) = (body.email.parse()?, SecretString::from(body.password.0));
        trail.account_of(&email);
        attempts::count(&self.platform, &email, client.address).await?;
        let found = self.platform.accounts.authenticate(&email, &password).await?;
        let user = found.ok_or_else(wrong_credentials)?;
        self.open(user, &client.login(body.remember), &trail).await
    }

    /// Signs out: ends the session and clears its cookie.
    ///
    /// Nobody being signed in is no error.
    #[oai(path = "/api/auth.signOut", method = "post", operation_id = "auth_sign_out")]
    async fn sign_out(
        &self,
        caller: MaybeCaller,
        trail: Trail,
        _body: Body<Nothing>,
    ) -> Result<WithCookie<Session>, Problem> {
        let ended = match &caller.token {
            Some(token) => self.platform.accounts.close_session(token).await?,
            None => false,
        };
        if !ended && caller.session.is_none() {
            trail.nothing();
        }
        Ok(WithCookie::Done(Json(Session::default()), cookie::clear(&self.platform.config)))
    }

    /// Tells who is signed in.
    ///
    /// Without a session that lives, the answer is `{}`.
    #[oai(path = "/api/auth.getSession", method = "post", operation_id = "auth_get_session")]
    async fn get_session(
        &self,
        caller: MaybeCaller,
        _body: Body<Nothing>,
    ) -> Result<Json<Session>, Problem> {
        let shown = |session: LoginSession| self.session(session.user, session.expires_at);
        Ok(Json(caller.session.map_or_else(Session::default, shown)))
    }
}
