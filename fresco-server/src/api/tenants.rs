//! The signed-in user's tenants.

mod shapes;

use std::collections::{BTreeSet, HashMap};

use fresco_core::{
    Accepted, Operation as CoreOperation, OperationQuery, Tenant as CoreTenant, TenantId,
    TenantQuery, TenantStatus, Update,
};
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use uuid::Uuid;

use crate::accounts::{User, is_refusal};
use crate::api::Tag;
use crate::api::body::Body;
use crate::api::choice;
use crate::api::claim::Claim;
use crate::api::once::Once;
use crate::api::page::{PageOf, Paged};
use crate::api::shapes::{Answer, Begun, Deployed, Operation, Tenant};
use crate::audit::Trail;
use crate::http::caller::{Caller, Means, TenantsRead, TenantsWrite};
use crate::http::problem::Problem;
use crate::platform::Platform;

use self::shapes::{
    CreateTenant, DestroyTenant, ListTenants, OpenedGate, TenantDetails, TenantPage, TenantRef,
    UpdateTenant,
};

/// Operations that are shown with a tenant.
const SHOWN_OPERATIONS: u32 = 10;

/// A tenant of the caller's, destroyed or not. Another's is answered as one that does not exist.
pub(crate) async fn owned(
    platform: &Platform,
    user: &User,
    id: Uuid,
) -> Result<CoreTenant, Problem> {
    let mut query = TenantQuery::one(TenantId::from_uuid(id));
    query.owner = Some(user.owner());
    let page = platform.orchestrator.tenants(&query).await?;
    page.tenants.into_iter().next().ok_or_else(|| Problem::not_found("tenant"))
}

/// A tenant of the caller's that something can be done with.
pub(crate) async fn living(
    platform: &Platform,
    user: &User,
    id: Uuid,
) -> Result<CoreTenant, Problem> {
    let tenant = owned(platform, user, id).await?;
    if tenant.state.status == fresco_core::TenantStatus::Destroyed {
        return Err(Problem::not_found("tenant"));
    }
    Ok(tenant)
}

/// The newest operation of a tenant.
pub(crate) async fn newest_operation(
    platform: &Platform,
    id: TenantId,
) -> Result<Option<CoreOperation>, Problem> {
    Ok(platform.orchestrator.operations(id, 1).await?.into_iter().next())
}

/// What is being done with each of these tenants; of those with which nothing is, nothing.
pub(crate) async fn under_way(
    platform: &Platform,
    tenants: &[CoreTenant],
) -> Result<HashMap<TenantId, CoreOperation>, Problem> {
    let mut query = OperationQuery::all();
    query.tenants = Some(tenants.iter().map(|tenant| tenant.id).collect());
    query.unfinished = true;
    let found = platform.orchestrator.history(&query).await?;
    let known = found.operations.into_iter();
    Ok(known.map(|(_, operation)| (operation.tenant, operation)).collect())
}

/// Those of these tenants whose apps wait for their owners, who may still come.
pub(crate) async fn unclaimed(
    platform: &Platform,
    tenants: &[CoreTenant],
) -> Result<BTreeSet<TenantId>, Problem> {
    let living = tenants.iter().filter(|tenant| tenant.state.status != TenantStatus::Destroyed);
    let ids: Vec<_> = living.map(|tenant| tenant.id).collect();
    Ok(platform.accounts.unclaimed(&ids).await?)
}

/// The answer to what will be done, which the audit log is told of.
fn begun_by(trail: &Trail, accepted: Accepted) -> Answer<Begun> {
    trail.operation(accepted.operation.id.as_uuid());
    Answer::Accepted(Json(accepted.into()))
}

#[derive(Clone, Debug)]
pub(crate) struct TenantsApi {
    platform: Platform,
}

impl TenantsApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

#[OpenApi(tag = "Tag::Tenants")]
impl TenantsApi {
    /// Creates a tenant.
    ///
    /// With the header `Idempotency-Key` (1 to 255 visible ASCII characters) the same request sent
    /// again within 24 hours is done once and answered alike. Errors: 409 `subdomain_taken`;
    /// 422 `invalid` with the `field`; 422 `idempotency_key_reused` for a key that came with another
    /// body; 409 `subdomain_cooldown` for a subdomain that was somebody else's until lately, 409
    /// `too_many_tenants` and 429 `too_many_deploys` when one person may have no more, 403
    /// `verification_required` when only people with a verified address may; 503 `at_capacity` when there is
    /// no room for one more tenant.
    #[oai(path = "/api/tenants.create", method = "post", operation_id = "tenants_create")]
    async fn create(
        &self,
        caller: Caller<TenantsWrite>,
        trail: Trail,
        /// A key of the caller's own for this request.
        #[oai(name = "Idempotency-Key")]
        key: Once<String>,
        body: Body<CreateTenant>,
    ) -> Result<Answer<Deployed>, Problem> {
        let Platform { config, orchestrator, accounts, .. } = &self.platform;
        let policy = &config.tenants;
        let mut spec = policy.new_tenant(caller.user.owner(), choice::subdomain(&body.subdomain)?);
        if let Some(image) = &body.image {
            spec.image = choice::image(policy, image)?;
        }
        if let Some(variables) = &body.environment {
            spec.environment = choice::environment(&spec.app, variables)?;
        }
        if let Some(limits) = &body.limits {
            spec.limits = limits.checked(policy, &spec.app, spec.limits)?;
        }
        let id = match &key.0 {
            None => TenantId::new(),
            Some(key) => {
                let (call, text) = ("tenants.create", body.to_json_string());
                let known = accounts.tenant_for_key(caller.user.id, call, key, text.as_bytes());
                known.await?.ok_or_else(|| {
                    Problem::new(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "idempotency_key_reused",
                        "This Idempotency-Key came with another request before. Choose a new one.",
                    )
                })?
            }
        };
        trail.tenant(id.as_uuid());
        let (all, user, actor) = (self.platform.clone(), caller.user.clone(), caller.actor());
        // Nobody keeps a place without a tenant by going away in the middle.
        let deploy = async move {
            let taken = all.accounts.begin_trial(id, &user).await?;
            let accepted = all.orchestrator.deploy(id, spec, actor).await;
            if taken && accepted.as_ref().is_err_and(is_refusal) {
                all.accounts.end_trial(id).await?;
            }
            accepted
        };
        let accepted = self.platform.unbroken(deploy).await?;
        trail.operation(accepted.operation.id.as_uuid());
        Ok(Answer::Accepted(Json(Deployed::of(orchestrator, &accepted))))
    }

    /// Lists your tenants, newest first.
    ///
    /// A page behind the last one is empty.
    #[oai(path = "/api/tenants.list", method = "post", operation_id = "tenants_list")]
    async fn list(
        &self,
        caller: Caller<TenantsRead>,
        body: Body<ListTenants>,
    ) -> Result<Json<TenantPage>, Problem> {
        let ListTenants { page, limit, search, status } = body.0;
        let page = PageOf::asked(page, limit)?;
        let orchestrator = &self.platform.orchestrator;
        let mut query = TenantQuery::all();
        query.owner = Some(caller.user.owner());
        query.search =
            search.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        query.status = status.map(Into::into);
        (query.offset, query.limit) = (page.offset(), page.limit());
        let found = orchestrator.tenants(&query).await?;
        let ends = self.platform.accounts.expiries(&caller.user).await?;
        let now = under_way(&self.platform, &found.tenants).await?;
        let waiting = unclaimed(&self.platform, &found.tenants).await?;
        let shown = |one: &CoreTenant| {
            let ends = ends.get(&one.id).copied();
            let shown = Tenant::of(orchestrator, one).under(now.get(&one.id)).expiring(ends);
            shown.waiting(waiting.contains(&one.id))
        };
        let tenants = found.tenants.iter().map(shown).collect();
        let Paged { total, page, pages } = page.with(found.total);
        Ok(Json(TenantPage { tenants, total, page, pages }))
    }

    /// Shows a tenant with its last operations.
    ///
    /// This is the one call that still shows a tenant after it was destroyed, so that its owner can
    /// see what became of it; for every other call it does not exist any more (404).
    #[oai(path = "/api/tenants.get", method = "post", operation_id = "tenants_get")]
    async fn get(
        &self,
        caller: Caller<TenantsRead>,
        body: Body<TenantRef>,
    ) -> Result<Json<TenantDetails>, Problem> {
        let orchestrator = &self.platform.orchestrator;
        let tenant = owned(&self.platform, &caller.user, body.tenant_id).await?;
        let operations = orchestrator.operations(tenant.id, SHOWN_OPERATIONS).await?;
        let ends = self.platform.accounts.expiries(&caller.user).await?;
        let claim = match caller.means {
            Means::Session(_) => Claim::of(&self.platform, &tenant).await?,
            // The link makes whoever follows it the app's owner, which is more than to look.
            Means::Key(_) => None,
        };
        let now = operations.iter().find(|operation| !operation.status.is_finished());
        let ends = ends.get(&tenant.id).copied();
        let waiting = !unclaimed(&self.platform, std::slice::from_ref(&tenant)).await?.is_empty();
        let shown = Tenant::of(orchestrator, &tenant).under(now).expiring(ends);
        Ok(Json(TenantDetails {
            tenant: shown.waiting(waiting),
            operations: operations.iter().map(Operation::from).collect(),
            claim,
        }))
    }

    /// Opens a tenant's app to everybody, once its owner has set it up.
    ///
    /// An app that gives itself to its first visitor is kept from everybody but who comes by the link
    /// of `tenants.get` (`claim`). Set it up, then call this. It is also opened by itself two hours
    /// after somebody first came in by the link. Opening what is open changes nothing. Errors: 404.
    #[oai(path = "/api/tenants.openGate", method = "post", operation_id = "tenants_open_gate")]
    async fn open_gate(
        &self,
        caller: Caller,
        trail: Trail,
        body: Body<TenantRef>,
    ) -> Result<Json<OpenedGate>, Problem> {
        trail.tenant(body.tenant_id);
        let tenant = living(&self.platform, &caller.user, body.tenant_id).await?;
        self.platform.accounts.open_claim(tenant.id).await?;
        self.platform.gates.forget(tenant.id);
        // It is open already: what keeps the proxy from being told now, the reconciler tries again.
        if let Err(error) = self.platform.orchestrator.publish_opened_gate(tenant.id).await {
            tracing::warn!(tenant = %tenant.id, error = %error.chain(), "the proxy could not be told that a gate was opened");
        }
        Ok(Json(OpenedGate { tenant_id: body.tenant_id }))
    }

    /// Starts a stopped tenant.
    ///
    /// Errors: 404; 409 `operation_in_progress` with the `operationId` that is in the way; 503
    /// `at_capacity` when its room is taken.
    #[oai(path = "/api/tenants.start", method = "post", operation_id = "tenants_start")]
    async fn start(
        &self,
        caller: Caller<TenantsWrite>,
        trail: Trail,
        body: Body<TenantRef>,
    ) -> Result<Answer<Begun>, Problem> {
        trail.tenant(body.tenant_id);
        let tenant = living(&self.platform, &caller.user, body.tenant_id).await?;
        let begun = self.platform.orchestrator.start_tenant(tenant.id, caller.actor()).await?;
        Ok(begun_by(&trail, begun))
    }

    /// Stops a tenant; its data stays.
    ///
    /// Errors: 404; 409 `operation_in_progress` with the `operationId` that is in the way; 409
    /// `conflict` for a tenant that was never active.
    #[oai(path = "/api/tenants.stop", method = "post", operation_id = "tenants_stop")]
    async fn stop(
        &self,
        caller: Caller<TenantsWrite>,
        trail: Trail,
        body: Body<TenantRef>,
    ) -> Result<Answer<Begun>, Problem> {
        trail.tenant(body.tenant_id);
        let tenant = living(&self.platform, &caller.user, body.tenant_id).await?;
        let begun = self.platform.orchestrator.stop_tenant(tenant.id, caller.actor()).await?;
        Ok(begun_by(&trail, begun))
    }

    /// Restarts a tenant; one whose creation failed is created again.
    ///
    /// Errors: 404; 409 `operation_in_progress` with the `operationId` that is in the way.
    #[oai(path = "/api/tenants.restart", method = "post", operation_id = "tenants_restart")]
    async fn restart(
        &self,
        caller: Caller<TenantsWrite>,
        trail: Trail,
        body: Body<TenantRef>,
    ) -> Result<Answer<Begun>, Problem> {
        trail.tenant(body.tenant_id);
        let tenant = living(&self.platform, &caller.user, body.tenant_id).await?;
        let begun = self.platform.orchestrator.restart_tenant(tenant.id, caller.actor()).await?;
        Ok(begun_by(&trail, begun))
    }

    /// Runs a tenant with another image, other variables or other limits; a stopped one is started.
    ///
    /// If it does not come up, what ran before runs again. Errors: 404; 409 `operation_in_progress`
    /// with the `operationId` that is in the way; 422 `invalid` with the `field`; 503 `at_capacity`
    /// when there is no room for what it would take more.
    #[oai(path = "/api/tenants.update", method = "post", operation_id = "tenants_update")]
    async fn update(
        &self,
        caller: Caller<TenantsWrite>,
        trail: Trail,
        body: Body<UpdateTenant>,
    ) -> Result<Answer<Begun>, Problem> {
        trail.tenant(body.tenant_id);
        let tenant = living(&self.platform, &caller.user, body.tenant_id).await?;
        let (policy, spec) = (&self.platform.config.tenants, &tenant.spec);
        let limits = body.limits.as_ref().filter(|limits| !limits.is_empty());
        if body.image.is_none() && body.environment.is_none() && limits.is_none() {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Nothing would change. Name an image, an environment or limits.",
            ));
        }
        let mut update = Update::default();
        if let Some(text) = &body.image {
            update.image = Some(choice::image(policy, text)?);
        }
        if let Some(variables) = &body.environment {
            update.environment = Some(choice::environment(&spec.app, variables)?);
        }
        if let Some(limits) = limits {
            update.limits = Some(limits.checked(policy, &spec.app, spec.limits)?);
        }
        let orchestrator = &self.platform.orchestrator;
        let begun = orchestrator.update_tenant(tenant.id, update, caller.actor()).await?;
        Ok(begun_by(&trail, begun))
    }

    /// Removes a tenant with all its data, for good.
    ///
    /// It takes the place of whatever operation is under way. Errors: 404; 422
    /// `confirmation_mismatch` when `confirmation` is not the tenant's subdomain.
    #[oai(path = "/api/tenants.destroy", method = "post", operation_id = "tenants_destroy")]
    async fn destroy(
        &self,
        caller: Caller<TenantsWrite>,
        trail: Trail,
        body: Body<DestroyTenant>,
    ) -> Result<Answer<Begun>, Problem> {
        trail.tenant(body.tenant_id);
        let tenant = living(&self.platform, &caller.user, body.tenant_id).await?;
        if *body.confirmation != *tenant.spec.subdomain.as_str() {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "confirmation_mismatch",
                "To destroy this tenant and all its data, send its subdomain as the confirmation.",
            )
            .of_field("confirmation"));
        }
        let begun = self.platform.orchestrator.destroy_tenant(tenant.id, caller.actor()).await?;
        Ok(begun_by(&trail, begun))
    }
}
