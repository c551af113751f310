//! What happened on the platform, as admins see it.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Utc};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::accounts::{AuditQuery, AuditRow, User};
use crate::api::Tag;
use crate::api::body::Body;
use crate::api::page::{PageOf, Paged};
use crate::api::text::Text;
use crate::http::caller::{Admin, Caller};
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Which rows of the audit log to show.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ReadAudit {
    /// The page, from 1. Default: 1.
    page: Option<u32>,
    /// Rows a page, 1 to 100. Default: 20.
    limit: Option<u32>,
    /// Only those about this tenant.
    tenant_id: Option<Uuid>,
    /// Only those by or about this account.
    user_id: Option<Uuid>,
    /// Only those whose `event` contains this text.
    event: Option<Text>,
    /// Only those from this moment on.
    from: Option<DateTime<Utc>>,
    /// Only those before this moment.
    until: Option<DateTime<Utc>>,
}

/// Something that happened.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct AuditEntry {
    /// Its number, in the order of writing.
    id: i64,
    /// When it happened.
    at: DateTime<Utc>,
    /// What happened: a call by its operationId, or a word for what happened beside the API.
    event: String,
    /// `ok`, or the stable word for what went wrong.
    outcome: String,
    /// Who did it: `anonymous`, `user`, `admin`, `operator` (by a command) or `system`.
    actor: String,
    /// The account of who did it.
    actor_id: Option<Uuid>,
    /// That account's address, as it is now; absent when there is no such account.
    actor_email: Option<String>,
    /// By what they came: `none`, `session`, `key`, `link` or `command`.
    means: String,
    /// The session's or the key's id.
    means_id: Option<Uuid>,
    /// From where.
    address: Option<String>,
    /// The tenant that it is about.
    tenant_id: Option<Uuid>,
    /// The account that it is about.
    user_id: Option<Uuid>,
    /// That account's address, as it is now; absent when there is no such account.
    user_email: Option<String>,
    /// The key that it is about.
    key_id: Option<Uuid>,
    /// The session that it is about.
    session_id: Option<Uuid>,
    /// The operation that it is about.
    operation_id: Option<Uuid>,
    /// How many, of what is counted.
    number: Option<i64>,
    /// The place among the sealed rows; none until it is sealed.
    seq: Option<i64>,
}

impl AuditEntry {
    /// A row, with the addresses of these accounts.
    fn of(row: AuditRow, people: &[User]) -> Self {
        let email = |id: Option<Uuid>| {
            people.iter().find(|user| Some(user.id) == id).map(|user| user.email.clone())
        };
        Self {
            actor_email: email(row.actor_id),
            user_email: email(row.user_id),
            id: row.id,
            at: row.at,
            event: row.event,
            outcome: row.outcome,
            actor: row.actor,
            actor_id: row.actor_id,
            means: row.means,
            means_id: row.means_id,
            address: row.address,
            tenant_id: row.tenant_id,
            user_id: row.user_id,
            key_id: row.key_id,
            session_id: row.session_id,
            operation_id: row.operation_id,
            number: row.number,
            seq: row.seq,
        }
    }
}

/// One page of the audit log.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AuditEntries {
    /// The rows, the newest first.
    entries: Vec<AuditEntry>,
    /// How many there are in all.
    total: u64,
    /// This page.
    page: u32,
    /// How many pages there are; 0 when there is no row.
    pages: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct AdminAuditApi {
    platform: Platform,
}

impl AdminAuditApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

#[OpenApi(tag = "Tag::Admin")]
impl AdminAuditApi {
    /// Shows the audit log, the newest first.
    ///
    /// A page behind the last one is empty. Errors: 422 `invalid` with the `field`.
    #[oai(path = "/api/admin.audit", method = "post", operation_id = "admin_audit")]
    async fn audit(
        &self,
        _caller: Caller<Admin>,
        body: Body<ReadAudit>,
    ) -> Result<Json<AuditEntries>, Problem> {
        let Body(ReadAudit { page, limit, tenant_id, user_id, event, from, until }) = body;
        let page = PageOf::asked(page, limit)?;
        let (offset, limit) = (page.offset(), page.limit());
        for (field, time) in [("from", from), ("until", until)] {
            // PostgreSQL knows no more of them.
            if time.is_some_and(|time| !(1..=9999).contains(&time.year())) {
                let words = "This must be a time in the years 1 to 9999.";
                return Err(Problem::field(field, words));
            }
        }
        let event = event.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let query =
            AuditQuery { tenant: tenant_id, user: user_id, event, from, until, offset, limit };
        let accounts = &self.platform.accounts;
        let found = accounts.audit(&query).await?;
        let ids: BTreeSet<Uuid> =
            found.rows.iter().flat_map(|row| [row.actor_id, row.user_id]).flatten().collect();
        let people = accounts.users_by_id(&ids.into_iter().collect::<Vec<_>>()).await?;
        let entries = found.rows.into_iter().map(|row| AuditEntry::of(row, &people)).collect();
        let Paged { total, page, pages } = page.with(found.total);
        Ok(Json(AuditEntries { entries, total, page, pages }))
    }
}
