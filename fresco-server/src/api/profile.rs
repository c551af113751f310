//! What people change of their own account.

use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::types::Password as PasswordText;
use poem_openapi::{Object, OpenApi};
use secrecy::SecretString;

use crate::accounts::{NewProfile, Password, PasswordChange, ProfileChange};
use crate::api::Tag;
use crate::api::attempts;
use crate::api::auth::{self, Account, Nothing};
use crate::api::body::Body;
use crate::api::text::Text;
use crate::audit::Trail;
use crate::http::caller::Caller;
use crate::http::client::Client;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// What somebody wants to be known by; what is left out stays.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileUpdate {
    /// The person's name, up to 200 characters; an empty one removes it.
    name: Option<Text>,
    /// Another e-mail address; it needs `password`.
    email: Option<Text>,
    /// The account's password.
    password: Option<PasswordText>,
}

/// A new password.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordUpdate {
    /// The present password.
    current: PasswordText,
    /// The new one, 10 to 128 characters.
    new: PasswordText,
}

#[derive(Clone, Debug)]
pub(crate) struct ProfileApi {
    platform: Platform,
}

impl ProfileApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// Whoever found a session guesses the password here no faster than elsewhere.
    async fn count_attempt(&self, caller: &Caller, client: &Client) -> Result<(), Problem> {
        attempts::count(&self.platform, &caller.user.email.parse()?, client.address).await
    }
}

/// 403: the password is not the account's.
pub(super) fn wrong_password(field: &str) -> Problem {
    let words = "This is not the account's password.";
    Problem::new(StatusCode::FORBIDDEN, "wrong_password", words).of_field(field)
}

#[OpenApi(tag = "Tag::Auth")]
impl ProfileApi {
    /// Changes the account's name or address.
    ///
    /// Another address needs the account's password. It is shown as `pendingEmail`, and takes the
    /// place of the present one once the letter to it is answered (`auth.verifyEmail`); the present
    /// one gets a letter, too. Errors: 403 `wrong_password`, `email_domain_refused`; 409 `no_mail` for another address where
    /// the platform sends no mail; 422 `invalid` with the `field`.
    #[oai(path = "/api/auth.updateProfile", method = "post", operation_id = "auth_update_profile")]
    async fn update_profile(
        &self,
        client: Client,
        caller: Caller,
        trail: Trail,
        body: Body<ProfileUpdate>,
    ) -> Result<Json<Account>, Problem> {
        let Body(ProfileUpdate { name, email, password }) = body;
        let accounts = &self.platform.accounts;
        let name = name.map(|name| auth::name(Some(name))).transpose()?;
        let email = match (email, password) {
            (None, _) => None,
            (Some(_), None) => {
                let words = "Another address needs the account's password.";
                return Err(Problem::field("password", words));
            }
            (Some(_), Some(_)) if !accounts.has_mail() => return Err(Problem::no_mail()),
            (Some(email), Some(password)) => Some((email.parse()?, SecretString::from(password.0))),
        };
        if email.is_some() {
            trail.of_kind("auth_update_profile_email");
            self.count_attempt(&caller, &client).await?;
        }
        match accounts.update_profile(&caller.user, &NewProfile { name, email }).await? {
            ProfileChange::Done(user) => Ok(Json(user.into())),
            ProfileChange::WrongPassword => Err(wrong_password("password")),
        }
    }

    /// Changes the account's password.
    ///
    /// All other sessions of the account end, and its address gets a letter. Errors: 403
    /// `wrong_password`; 422 `invalid` with the `field`.
    #[oai(
        path = "/api/auth.changePassword",
        method = "post",
        operation_id = "auth_change_password"
    )]
    async fn change_password(
        &self,
        client: Client,
        caller: Caller,
        body: Body<PasswordUpdate>,
    ) -> Result<Json<Nothing>, Problem> {
        let Body(PasswordUpdate { current, new }) = body;
        let wrong = |error| Problem::from(error).renamed("password", "new");
        let new = Password::new(new.0.into()).map_err(wrong)?;
        self.count_attempt(&caller, &client).await?;
        let (accounts, current) = (&self.platform.accounts, SecretString::from(current.0));
        let changed =
            accounts.change_password(&caller.user, &current, &new, Some(caller.means)).await;
        match changed.map_err(wrong)? {
            PasswordChange::Done => Ok(Json(Nothing {})),
            PasswordChange::WrongPassword => Err(wrong_password("current")),
        }
    }
}
