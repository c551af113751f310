//! The sessions of an account, as its owner sees and ends them.

use chrono::{DateTime, Utc};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::accounts::OpenSession;
use crate::api::Tag;
use crate::api::auth::Nothing;
use crate::api::body::Body;
use crate::audit::Trail;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Somewhere the account is signed in.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct SignedIn {
    /// The session's id, to end it by. It opens nothing.
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    /// When somebody signed in.
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_seen_at: DateTime<Utc>,
    /// When it ends, used or not.
    expires_at: DateTime<Utc>,
    /// The address from which somebody signed in.
    address: Option<String>,
    /// What the browser said it was.
    user_agent: Option<String>,
}

/// Where the account is signed in.
#[derive(Debug, Object)]
struct Sessions {
    /// The last used first.
    sessions: Vec<SignedIn>,
}

/// A session to end.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct SessionRef {
    /// Its id.
    session_id: Uuid,
}

/// What was ended.
#[derive(Debug, Object)]
struct Revoked {
    /// How many sessions.
    revoked: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct SessionsApi {
    platform: Platform,
}

impl SessionsApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

#[OpenApi(tag = "Tag::Auth")]
impl SessionsApi {
    /// Lists where the account is signed in.
    ///
    /// The last used session comes first; `current` is the one that asks.
    #[oai(path = "/api/auth.listSessions", method = "post", operation_id = "auth_list_sessions")]
    async fn list(&self, caller: Caller, _body: Body<Nothing>) -> Result<Json<Sessions>, Problem> {
        let own = caller.means;
        let sessions = self.platform.accounts.sessions(caller.user.id).await?;
        let shown = |session: OpenSession| SignedIn {
            id: session.id,
            current: session.id == own,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            address: session.address,
            user_agent: session.user_agent,
        };
        Ok(Json(Sessions { sessions: sessions.into_iter().map(shown).collect() }))
    }

    /// Ends one of the account's sessions, wherever it is.
    ///
    /// Errors: 404 for one that is not the account's, or has ended.
    #[oai(path = "/api/auth.revokeSession", method = "post", operation_id = "auth_revoke_session")]
    async fn revoke(
        &self,
        caller: Caller,
        trail: Trail,
        body: Body<SessionRef>,
    ) -> Result<Json<Revoked>, Problem> {
        trail.session(body.session_id);
        match self.platform.accounts.revoke_session(caller.user.id, body.session_id).await? {
            true => Ok(Json(Revoked { revoked: 1 })),
            false => Err(Problem::not_found("session")),
        }
    }

    /// Ends all of the account's sessions but the one that asks.
    ///
    /// The answer says how many there were.
    #[oai(
        path = "/api/auth.revokeOtherSessions",
        method = "post",
        operation_id = "auth_revoke_other_sessions"
    )]
    async fn revoke_others(
        &self,
        caller: Caller,
        _body: Body<Nothing>,
    ) -> Result<Json<Revoked>, Problem> {
        let accounts = &self.platform.accounts;
        let revoked = accounts.revoke_sessions(caller.user.id, Some(caller.means)).await?;
        Ok(Json(Revoked { revoked }))
    }
}
