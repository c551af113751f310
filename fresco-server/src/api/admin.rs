//! What admins see and do: people here, the platform's work in [`platform`].

pub(super) mod audit;
pub(super) mod capacity;
pub(super) mod platform;

use std::time::Duration;

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::accounts::{Accounts, Suspension, User, UserChange, UserQuery};
use crate::api::Tag;
use crate::api::body::Body;
use crate::api::page::{PageOf, Paged};
use crate::api::shapes::Role;
use crate::api::text::Text;
use crate::audit::Trail;
use crate::http::caller::{Admin, AdminSession, Caller};
use crate::http::problem::Problem;
use crate::platform::Platform;
use crate::suspension;

/// Which accounts to list.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ListUsers {
    /// The page, from 1. Default: 1.
    page: Option<u32>,
    /// Accounts a page, 1 to 100. Default: 20.
    limit: Option<u32>,
    /// Only those whose address or name contains this text.
    search: Option<Text>,
    /// Only the one with this id.
    user_id: Option<Uuid>,
}

/// An account, as admins see it.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct AdminUser {
    /// Its id.
    id: Uuid,
    /// Its address, as it was typed first.
    email: String,
    /// The person's name.
    name: Option<String>,
    /// What the person may do. Whoever has the address that the setting ADMIN_EMAIL names is an admin
    /// once it is verified.
    role: Role,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When the address was last shown to be this person's.
    email_verified_at: Option<DateTime<Utc>>,
    /// When an admin shut the account.
    suspended_at: Option<DateTime<Utc>>,
}

impl AdminUser {
    fn of(accounts: &Accounts, user: User) -> Self {
        Self {
            id: user.id,
            role: Role::of(accounts, &user),
            email: user.email,
            name: user.name,
            created_at: user.created_at,
            email_verified_at: user.email_verified_at,
            suspended_at: user.suspended_at,
        }
    }
}

/// One page of accounts.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct UserPage {
    /// The accounts, the newest first.
    users: Vec<AdminUser>,
    /// How many there are in all.
    total: u64,
    /// This page.
    page: u32,
    /// How many pages there are; 0 when there is no account.
    pages: u64,
}

/// Which account.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct UserRef {
    /// The account's id.
    user_id: Uuid,
}

/// What somebody shall be from now on.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct SetRole {
    /// The account's id.
    user_id: Uuid,
    /// What the person may do.
    role: Role,
}

/// An account that was changed.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ChangedUser {
    /// The account.
    user: AdminUser,
}

/// An account that was shut.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct SuspendedUser {
    /// The account.
    user: AdminUser,
    /// The operations that stop its tenants. Those of its tenants that something is being done with
    /// are stopped after that.
    operations: Vec<Uuid>,
}

#[derive(Clone, Debug)]
pub(crate) struct AdminApi {
    platform: Platform,
}

impl AdminApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    fn done(&self, change: UserChange) -> Result<User, Problem> {
        let conflict = |code, words: &'static str| Problem::new(StatusCode::CONFLICT, code, words);
        match change {
            UserChange::Done(user) => Ok(user),
            UserChange::Unknown => Err(Problem::not_found("account")),
            UserChange::LastAdmin => {
                let words = "This is the last admin. Make another one first.";
                Err(conflict("last_admin", words))
            }
            UserChange::Configured => {
                let words = "The setting ADMIN_EMAIL makes this account an admin. Change the setting, and restart the server.";
                Err(conflict("admin_by_setting", words))
            }
            UserChange::Suspended => {
                let words = "This account is suspended. Resume it first.";
                Err(conflict("account_suspended", words))
            }
            UserChange::Unverified => {
                let words = "Nobody has shown yet that this address is theirs, so the account may be anybody's. Let them verify it first.";
                Err(conflict("email_unverified", words))
            }
        }
    }
}

#[OpenApi(tag = "Tag::Admin")]
impl AdminApi {
    /// Lists accounts, the newest first.
    ///
    /// A page behind the last one is empty. Errors: 422 `invalid` with the `field`.
    #[oai(path = "/api/admin.users", method = "post", operation_id = "admin_users")]
    async fn users(
        &self,
        _caller: Caller<Admin>,
        body: Body<ListUsers>,
    ) -> Result<Json<UserPage>, Problem> {
        let Body(ListUsers { page, limit, search, user_id }) = body;
        let page = PageOf::asked(page, limit)?;
        let search = search.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let (offset, limit) = (page.offset(), page.limit());
        let query = UserQuery { id: user_id, search, offset, limit };
        let accounts = &self.platform.accounts;
        let found = accounts.users(&query).await?;
        let users = found.users.into_iter().map(|user| AdminUser::of(accounts, user)).collect();
        let Paged { total, page, pages } = page.with(found.total);
        Ok(Json(UserPage { users, total, page, pages }))
    }

    /// Makes somebody an admin, or a user again.
    ///
    /// No key will do. Whoever is an admin no more loses the keys for that. Errors: 404; 409 `last_admin` when nobody
    /// would be left, `admin_by_setting` for the account that the setting ADMIN_EMAIL names,
    /// `account_suspended` for one that is shut, `email_unverified` where the platform sends mail and nobody has
    /// shown that the address is theirs.
    #[oai(path = "/api/admin.setRole", method = "post", operation_id = "admin_set_role")]
    async fn set_role(
        &self,
        caller: Caller<AdminSession>,
        trail: Trail,
        body: Body<SetRole>,
    ) -> Result<Json<ChangedUser>, Problem> {
        trail.user(body.user_id);
        trail.of_kind(match body.role {
            Role::Admin => "admin_set_role_admin",
            Role::User => "admin_set_role_user",
        });
        let accounts = &self.platform.accounts;
        let user = self.done(accounts.set_role(body.user_id, body.role.into()).await?)?;
        tracing::info!(user = %user.id, role = user.role.as_str(), by = %caller.user.id, "a role was set");
        Ok(Json(ChangedUser { user: AdminUser::of(accounts, user) }))
    }

    /// Shuts an account: its sessions and keys end at once and for good.
    ///
    /// Nobody can sign in to it until it is resumed, and its tenants are stopped, their data kept.
    /// Errors: 404; 409 `last_admin` when nobody would be left.
    #[oai(path = "/api/admin.suspendUser", method = "post", operation_id = "admin_suspend_user")]
    async fn suspend(
        &self,
        caller: Caller<Admin>,
        trail: Trail,
        body: Body<UserRef>,
    ) -> Result<Json<SuspendedUser>, Problem> {
        trail.user(body.user_id);
        let (accounts, by) = (&self.platform.accounts, caller.user.id);
        let user = self.done(accounts.suspend(body.user_id, Some(by)).await?)?;
        tracing::info!(user = %user.id, %by, "an account was suspended");
        let at = user.suspended_at.unwrap_or_default();
        let begun = Suspension { user: user.id, by: Some(by), at, age: Duration::ZERO };
        let begun = suspension::stop_tenants(&self.platform, &begun).await;
        // The account is shut in any case, and the next look stops the rest.
        let begun = begun.unwrap_or_else(|error| {
            tracing::warn!(user = %user.id, error = %error.chain(), "the tenants of a suspended account can't be stopped now");
            Vec::new()
        });
        let operations = begun.into_iter().map(|id| id.as_uuid()).collect();
        Ok(Json(SuspendedUser { user: AdminUser::of(accounts, user), operations }))
    }

    /// Opens an account again that was shut.
    ///
    /// Its tenants stay stopped: their owner starts those that shall run. Errors: 404.
    #[oai(path = "/api/admin.resumeUser", method = "post", operation_id = "admin_resume_user")]
    async fn resume(
        &self,
        caller: Caller<Admin>,
        trail: Trail,
        body: Body<UserRef>,
    ) -> Result<Json<ChangedUser>, Problem> {
        trail.user(body.user_id);
        let accounts = &self.platform.accounts;
        let user = self.done(accounts.resume(body.user_id).await?)?;
        tracing::info!(user = %user.id, by = %caller.user.id, "an account was resumed");
        Ok(Json(ChangedUser { user: AdminUser::of(accounts, user) }))
    }
}
