//! What calls about tenants take and answer.

use std::collections::BTreeMap;

use poem_openapi::Object;
use uuid::Uuid;

use crate::api::choice::SomeLimits;
use crate::api::claim::Claim;
use crate::api::shapes::{Operation, Tenant, TenantStatus};
use crate::api::text::Text;

/// A new tenant.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub(super) struct CreateTenant {
    /// Its name below the platform's domain: 3 to 63 of a-z, 0-9 and single inner hyphens.
    pub(super) subdomain: Text,
    /// The image; without it, the platform's usual one.
    pub(super) image: Option<Text>,
    /// Variables for the app. Names that the platform sets itself are refused.
    pub(super) environment: Option<BTreeMap<String, Text>>,
    /// Limits; without them, the platform's usual ones.
    pub(super) limits: Option<SomeLimits>,
}

/// Which tenants to list.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListTenants {
    /// The page, from 1. Default: 1.
    pub(super) page: Option<u32>,
    /// Tenants a page, 1 to 100. Default: 20.
    pub(super) limit: Option<u32>,
    /// Only those whose subdomain contains this text.
    pub(super) search: Option<Text>,
    /// Only those with this status. Destroyed ones are listed only when asked for like this.
    pub(super) status: Option<TenantStatus>,
}

/// One page of tenants.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct TenantPage {
    /// The tenants, newest first.
    pub(super) tenants: Vec<Tenant>,
    /// How many there are in all.
    pub(super) total: u64,
    /// This page.
    pub(super) page: u32,
    /// How many pages there are; 0 when there is no tenant.
    pub(super) pages: u64,
}

/// Which tenant.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TenantRef {
    /// The tenant's id.
    pub(super) tenant_id: Uuid,
}

/// A tenant, and what was done with it.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct TenantDetails {
    /// The tenant.
    pub(super) tenant: Tenant,
    /// Its last ten operations, newest first.
    pub(super) operations: Vec<Operation>,
    /// How to become the owner of its app, as long as nobody else may reach it.
    pub(super) claim: Option<Claim>,
}

/// What became of a tenant's gate.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct OpenedGate {
    /// The tenant's id.
    pub(super) tenant_id: Uuid,
}

/// What shall change; at least one thing must be named.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpdateTenant {
    /// The tenant's id.
    pub(super) tenant_id: Uuid,
    /// The image. Naming the same one again fetches what its name stands for now.
    pub(super) image: Option<Text>,
    /// The app's variables: all of them, in place of those before.
    pub(super) environment: Option<BTreeMap<String, Text>>,
    /// The limits that shall change.
    pub(super) limits: Option<SomeLimits>,
}

/// Which tenant to destroy.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DestroyTenant {
    /// The tenant's id.
    pub(super) tenant_id: Uuid,
    /// Its subdomain, typed by the person who means it.
    pub(super) confirmation: Text,
}
