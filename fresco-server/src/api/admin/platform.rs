//! All tenants, the work on them, and what somebody should look at.

use std::collections::HashMap;

use fresco_core::{
    Actor as CoreActor, Operation as CoreOperation, OperationQuery,
    OperationStatus as CoreOperationStatus, OwnerId, Subdomain, Tenant as CoreTenant, TenantId,
    TenantQuery, TenantStatus as CoreStatus,
};
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::api::Tag;
use crate::api::auth::Nothing;
use crate::api::body::Body;
use crate::api::health::{PartName, unhealthy};
use crate::api::page::{PageOf, Paged};
use crate::api::shapes::{Action, Operation, OperationStatus, Tenant, TenantStatus};
use crate::api::tenants::{unclaimed, under_way};
use crate::api::text::Text;
use crate::http::caller::{Admin, Caller};
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Alerts of one kind that are told.
const MOST_ALERTS: u64 = 100;

/// Which tenants to list.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ListAllTenants {
    /// The page, from 1. Default: 1.
    page: Option<u32>,
    /// Tenants a page, 1 to 100. Default: 20.
    limit: Option<u32>,
    /// Only those whose subdomain contains this text.
    search: Option<Text>,
    /// Only those with this status. Destroyed ones are listed only when asked for like this.
    status: Option<TenantStatus>,
    /// Only those of this account.
    owner_id: Option<Uuid>,
}

/// A tenant with its owner.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct OwnedTenant {
    /// The tenant.
    tenant: Tenant,
    /// The account that it belongs to.
    owner_id: String,
    /// That account's address; absent when there is no such account.
    owner_email: Option<String>,
}

/// One page of all tenants.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AllTenants {
    /// The tenants, newest first.
    tenants: Vec<OwnedTenant>,
    /// How many there are in all.
    total: u64,
    /// This page.
    page: u32,
    /// How many pages there are; 0 when there is no tenant.
    pages: u64,
}

/// Which operations to list.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ListOperations {
    /// Those of this tenant.
    tenant_id: Option<Uuid>,
    /// Those of this action.
    action: Option<Action>,
    /// Those with this status.
    status: Option<OperationStatus>,
    /// The page, from 1. Default: 1.
    page: Option<u32>,
    /// Operations a page, 1 to 100. Default: 20.
    limit: Option<u32>,
}

/// Who asks for operations.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum ActorKind {
    /// A person.
    User,
    /// A program, with a key.
    Key,
    /// The platform itself.
    System,
}

/// An operation, and who asked for it.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct AskedOperation {
    /// The operation.
    operation: Operation,
    /// The subdomain of its tenant.
    subdomain: String,
    /// What asked for it.
    actor: ActorKind,
    /// The id of that account or key.
    actor_id: Option<String>,
}

impl AskedOperation {
    fn of((subdomain, operation): &(Subdomain, CoreOperation)) -> Self {
        let (actor, actor_id) = match &operation.actor {
            CoreActor::User(id) => (ActorKind::User, Some(id.clone())),
            CoreActor::Key(id) => (ActorKind::Key, Some(id.clone())),
            _ => (ActorKind::System, None),
        };
        let subdomain = subdomain.as_str().to_owned();
        Self { operation: operation.into(), subdomain, actor, actor_id }
    }
}

/// One page of operations.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Operations {
    /// The operations, newest first.
    operations: Vec<AskedOperation>,
    /// How many there are in all.
    total: u64,
    /// This page.
    page: u32,
    /// How many pages there are; 0 when there is no operation.
    pages: u64,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum AlertKind {
    /// A part of the platform can't be used.
    PartUnhealthy,
    /// A tenant is in error.
    TenantFailed,
    /// A tenant harmed the others through the database they share, and is kept out of it.
    TenantBarred,
    /// An operation on a tenant can't be finished now, and is tried again until it can.
    OperationStuck,
}

/// Something that somebody should look at.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Alert {
    /// What it is about.
    kind: AlertKind,
    /// In words, for people.
    message: String,
    /// The part that is meant.
    part: Option<PartName>,
    /// The tenant that is meant.
    tenant_id: Option<Uuid>,
    /// That tenant's subdomain, where it is at hand.
    subdomain: Option<String>,
    /// The operation that is meant.
    operation_id: Option<Uuid>,
}

impl Alert {
    fn new(kind: AlertKind, message: String) -> Self {
        Self { kind, message, part: None, tenant_id: None, subdomain: None, operation_id: None }
    }

    fn of_tenant(kind: AlertKind, message: String, tenant: TenantId) -> Self {
        Self { tenant_id: Some(tenant.as_uuid()), ..Self::new(kind, message) }
    }

    fn named(self, subdomain: &Subdomain) -> Self {
        Self { subdomain: Some(subdomain.as_str().to_owned()), ..self }
    }
}

/// What somebody should look at.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Alerts {
    /// Parts of the platform first.
    alerts: Vec<Alert>,
    /// Whether there is, or may be, more than is told here.
    truncated: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct AdminPlatformApi {
    platform: Platform,
}

impl AdminPlatformApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// The addresses of the owners of these tenants.
    async fn owners(&self, tenants: &[CoreTenant]) -> Result<HashMap<OwnerId, String>, Problem> {
        // An owner that is no id of an account is another program's.
        let ids = tenants.iter().filter_map(|tenant| tenant.spec.owner.as_str().parse().ok());
        let users = self.platform.accounts.users_by_id(&ids.collect::<Vec<Uuid>>()).await?;
        Ok(users.into_iter().map(|user| (user.owner(), user.email)).collect())
    }

    async fn tenants_in(&self, status: CoreStatus) -> Result<(Vec<CoreTenant>, bool), Problem> {
        let mut query = TenantQuery::all();
        (query.status, query.limit) = (Some(status), MOST_ALERTS);
        let found = self.platform.orchestrator.tenants(&query).await?;
        Ok((found.tenants, found.total > MOST_ALERTS))
    }

    async fn failed(&self, alerts: &mut Vec<Alert>) -> Result<bool, Problem> {
        let (tenants, more) = self.tenants_in(CoreStatus::Error).await?;
        alerts.extend(tenants.iter().map(|tenant| {
            let failure = tenant.state.error.as_ref();
            let message = failure.map_or_else(String::new, |failure| failure.message.clone());
            Alert::of_tenant(AlertKind::TenantFailed, message, tenant.id)
                .named(&tenant.spec.subdomain)
        }));
        Ok(more)
    }

    async fn barred(&self, alerts: &mut Vec<Alert>) -> Result<bool, Problem> {
        let Some(watch) = &self.platform.orchestrator.backends().database_watch else {
            return Ok(false);
        };
        let barred = watch.barred(None).await?;
        let most = usize::try_from(MOST_ALERTS).unwrap_or(usize::MAX);
        let more = barred.len() > most;
        alerts.extend(barred.into_iter().take(most).map(|offence| {
            let message = format!("The tenant is kept out of its database: {offence}");
            Alert::of_tenant(AlertKind::TenantBarred, message, offence.tenant)
        }));
        Ok(more)
    }

    async fn stuck(&self, alerts: &mut Vec<Alert>) -> Result<bool, Problem> {
        let mut query = OperationQuery::all();
        (query.status, query.limit) = (Some(CoreOperationStatus::Stuck), MOST_ALERTS);
        let found = self.platform.orchestrator.history(&query).await?;
        let more = found.total > MOST_ALERTS;
        alerts.extend(found.operations.into_iter().map(|(subdomain, operation)| {
            let message = operation.error.map_or_else(String::new, |failure| failure.message);
            let alert = Alert::of_tenant(AlertKind::OperationStuck, message, operation.tenant);
            Alert { operation_id: Some(operation.id.as_uuid()), ..alert.named(&subdomain) }
        }));
        Ok(more)
    }
}

#[OpenApi(tag = "Tag::Admin")]
impl AdminPlatformApi {
    /// Lists the tenants of all accounts, newest first.
    ///
    /// A page behind the last one is empty. Errors: 422 `invalid` with the `field`.
    #[oai(path = "/api/admin.tenants", method = "post", operation_id = "admin_tenants")]
    async fn tenants(
        &self,
        _caller: Caller<Admin>,
        body: Body<ListAllTenants>,
    ) -> Result<Json<AllTenants>, Problem> {
        let Body(ListAllTenants { page, limit, search, status, owner_id }) = body;
        let page = PageOf::asked(page, limit)?;
        let mut query = TenantQuery::all();
        query.owner = owner_id.map(|id| OwnerId::new(id.to_string()));
        query.search =
            search.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        query.status = status.map(Into::into);
        (query.offset, query.limit) = (page.offset(), page.limit());
        let orchestrator = &self.platform.orchestrator;
        let found = orchestrator.tenants(&query).await?;
        let owners = self.owners(&found.tenants).await?;
        let now = under_way(&self.platform, &found.tenants).await?;
        let waiting = unclaimed(&self.platform, &found.tenants).await?;
        let tenants = found.tenants.iter().map(|tenant| OwnedTenant {
            tenant: Tenant::of(orchestrator, tenant)
                .under(now.get(&tenant.id))
                .waiting(waiting.contains(&tenant.id)),
            owner_id: tenant.spec.owner.as_str().to_owned(),
            owner_email: owners.get(&tenant.spec.owner).cloned(),
        });
        let tenants = tenants.collect();
        let Paged { total, page, pages } = page.with(found.total);
        Ok(Json(AllTenants { tenants, total, page, pages }))
    }

    /// Lists operations of all tenants, destroyed ones included, newest first, with who asked for them.
    ///
    /// A page behind the last one is empty. Errors: 404 for a tenant that is none; 422 `invalid` with
    /// the `field`.
    #[oai(path = "/api/admin.operations", method = "post", operation_id = "admin_operations")]
    async fn operations(
        &self,
        _caller: Caller<Admin>,
        body: Body<ListOperations>,
    ) -> Result<Json<Operations>, Problem> {
        let Body(ListOperations { tenant_id, action, status, page, limit }) = body;
        let page = PageOf::asked(page, limit)?;
        let orchestrator = &self.platform.orchestrator;
        let mut query = OperationQuery::all();
        query.tenants = tenant_id.map(|id| vec![TenantId::from_uuid(id)]);
        (query.action, query.status) = (action.map(Into::into), status.map(Into::into));
        (query.offset, query.limit) = (page.offset(), page.limit());
        let found = orchestrator.history(&query).await?;
        // A tenant has one operation at least.
        if let (0, Some(id)) = (found.total, tenant_id) {
            orchestrator.tenant(TenantId::from_uuid(id)).await?;
        }
        let operations = found.operations.iter().map(AskedOperation::of).collect();
        let Paged { total, page, pages } = page.with(found.total);
        Ok(Json(Operations { operations, total, page, pages }))
    }

    /// Tells what somebody should look at.
    ///
    /// Parts of the platform that can't be used, tenants in error, tenants that were kept out of the
    /// database that all share, and operations that are stuck: up to 100 of each kind.
    #[oai(path = "/api/admin.alerts", method = "post", operation_id = "admin_alerts")]
    async fn alerts(
        &self,
        _caller: Caller<Admin>,
        _body: Body<Nothing>,
    ) -> Result<Json<Alerts>, Problem> {
        let mut alerts: Vec<Alert> = unhealthy(&self.platform)
            .await
            .into_iter()
            .map(|part| {
                let message = "This part of the platform can't be used; the log says why".into();
                Alert { part: Some(part), ..Alert::new(AlertKind::PartUnhealthy, message) }
            })
            .collect();
        // What can't be asked is a part that can't be used: the others are told all the same.
        let mut truncated = self.failed(&mut alerts).await.unwrap_or(true);
        truncated |= self.barred(&mut alerts).await.unwrap_or(true);
        truncated |= self.stuck(&mut alerts).await.unwrap_or(true);
        Ok(Json(Alerts { alerts, truncated }))
    }
}
