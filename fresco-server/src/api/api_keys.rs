//! Keys for programs, as their owner makes and ends them.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::accounts::{Accounts, ApiKey, KeyCreation, NewApiKey, Scope};
use crate::api::Tag;
use crate::api::auth::{Nothing, plain};
use crate::api::body::Body;
use crate::api::once::Once;
use crate::api::text::Text;
use crate::audit::Trail;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Characters of a key's name.
const LONGEST_NAME: usize = 100;
/// Days that a key lasts, unless said otherwise.
const DAYS: u32 = 90;
/// Days that a key lasts at most.
const MOST_DAYS: u32 = 365;

/// What a key may be used for. None includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Scope", remote = "crate::accounts::Scope")]
enum KeyScope {
    /// To see one's tenants and what is done with them.
    #[oai(rename = "tenants:read")]
    TenantsRead,
    /// To create one's tenants, to change and to destroy them.
    #[oai(rename = "tenants:write")]
    TenantsWrite,
    /// To read what the apps of one's tenants wrote.
    #[oai(rename = "logs:read")]
    LogsRead,
    /// To look after the platform; for admins alone.
    #[oai(rename = "admin")]
    Admin,
}

/// A key to make.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct CreateApiKey {
    /// What you call it, up to 100 characters.
    name: Text,
    /// What it may be used for: at least one thing, and no more than it needs.
    scopes: Vec<KeyScope>,
    /// After how many days it ends, 1 to 365. Default: 90.
    expires_in_days: Option<u32>,
}

/// A key, without what opens anything.
#[derive(Debug, Object)]
#[oai(rename = "ApiKey", rename_all = "camelCase", skip_serializing_if_is_none)]
struct KeyDetails {
    /// Its id, to revoke it by. It opens nothing.
    id: Uuid,
    /// What you call it.
    name: String,
    /// How it begins, to know it again.
    hint: String,
    /// What it may be used for.
    scopes: Vec<KeyScope>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends.
    expires_at: DateTime<Utc>,
    /// When it was last used, to the minute; absent when it never was.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for KeyDetails {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            scopes: key.scopes.into_iter().map(Into::into).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A key that was made.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct CreatedApiKey {
    /// The key itself. It is shown this once, and can't be shown again.
    key: String,
    /// What is known of it later.
    details: KeyDetails,
}

/// One's keys.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ApiKeys {
    /// The newest first, those that have ended included.
    keys: Vec<KeyDetails>,
}

/// A key to end.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ApiKeyRef {
    /// Its id.
    key_id: Uuid,
}

/// The key that was ended.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct RevokedApiKey {
    /// Its id.
    key_id: Uuid,
}

#[derive(Clone, Debug)]
pub(crate) struct ApiKeysApi {
    platform: Platform,
}

impl ApiKeysApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

fn wanted(body: CreateApiKey, once: Option<String>) -> Result<NewApiKey, Problem> {
    let name = plain("name", Some(body.name), LONGEST_NAME)?;
    let name = name.ok_or_else(|| Problem::field("name", "Give the key a name."))?;
    let scopes: BTreeSet<Scope> = body.scopes.into_iter().map(Into::into).collect();
    if scopes.is_empty() {
        return Err(Problem::field(
            "scopes",
            "Choose at least one thing that it may do (a scope).",
        ));
    }
    let days = body.expires_in_days.unwrap_or(DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        let words = format!("A key lasts 1 to {MOST_DAYS} days.");
        return Err(Problem::field("expiresInDays", words));
    }
    let life = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    Ok(NewApiKey { name, scopes, life, once })
}

#[OpenApi(tag = "Tag::Keys")]
impl ApiKeysApi {
    /// Makes a key for a program.
    ///
    /// The program sends it as `Authorization: Bearer <key>`, without a cookie. A key can do what its
    /// scopes say with your own tenants, and can neither make keys nor touch how you sign in. With the
    /// header `Idempotency-Key` (1 to 255 visible ASCII characters) a request that is sent again within
    /// 24 hours makes no second one: since a key is shown once, the answer is 409 `key_exists`. Errors:
    /// 403 `not_admin` for the scope `admin` of somebody who is none; 409 `too_many_keys` when you
    /// have 50; 422 `invalid` with the `field`.
    #[oai(path = "/api/apiKeys.create", method = "post", operation_id = "api_keys_create")]
    async fn create(
        &self,
        caller: Caller,
        trail: Trail,
        /// A key of the caller's own for this request.
        #[oai(name = "Idempotency-Key")]
        once: Once<String>,
        body: Body<CreateApiKey>,
    ) -> Result<Json<CreatedApiKey>, Problem> {
        let new = wanted(body.0, once.0)?;
        if new.scopes.contains(&Scope::Admin) {
            trail.of_kind("api_keys_create_admin");
        }
        let accounts = &self.platform.accounts;
        if new.scopes.contains(&Scope::Admin) && !accounts.is_admin(&caller.user) {
            return Err(Problem::not_admin().of_field("scopes"));
        }
        match accounts.create_api_key(caller.user.id, caller.means, &new).await? {
            KeyCreation::Made { key, details } => {
                trail.key(details.id);
                let key = key.expose_secret().to_owned();
                Ok(Json(CreatedApiKey { key, details: details.into() }))
            }
            KeyCreation::TooMany => {
                let words = format!(
                    "You have {} keys. Revoke those that are not needed; ended ones count, too.",
                    Accounts::API_KEYS
                );
                Err(Problem::new(StatusCode::CONFLICT, "too_many_keys", words))
            }
            KeyCreation::Exists(id) => {
                trail.key(id);
                let words = "This key was made before, and can't be shown again. Revoke it if you don't have it, and make another.";
                Err(Problem::new(StatusCode::CONFLICT, "key_exists", words))
            }
            KeyCreation::SignedOut => Err(Problem::not_signed_in()),
        }
    }

    /// Lists your keys, the newest first.
    ///
    /// Those that have ended are among them until they are revoked.
    #[oai(path = "/api/apiKeys.list", method = "post", operation_id = "api_keys_list")]
    async fn list(&self, caller: Caller, _body: Body<Nothing>) -> Result<Json<ApiKeys>, Problem> {
        let keys = self.platform.accounts.api_keys(caller.user.id).await?;
        Ok(Json(ApiKeys { keys: keys.into_iter().map(Into::into).collect() }))
    }

    /// Ends one of your keys, at once and for good.
    ///
    /// A stream that was opened with it ends within seconds. Errors: 404 for a key that is not yours,
    /// or was revoked before.
    #[oai(path = "/api/apiKeys.revoke", method = "post", operation_id = "api_keys_revoke")]
    async fn revoke(
        &self,
        caller: Caller,
        trail: Trail,
        body: Body<ApiKeyRef>,
    ) -> Result<Json<RevokedApiKey>, Problem> {
        let Body(ApiKeyRef { key_id }) = body;
        trail.key(key_id);
        match self.platform.accounts.revoke_api_key(caller.user.id, key_id).await? {
            true => Ok(Json(RevokedApiKey { key_id })),
            false => Err(Problem::not_found("key")),
        }
    }
}
