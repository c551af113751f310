//! The HTTP API: what each call takes, does and answers.

mod admin;
mod api_keys;
mod attempts;
mod auth;
mod body;
mod choice;
mod claim;
mod explorer;
mod feed;
mod health;
mod logs;
mod once;
mod operations;
mod page;
mod profile;
mod recovery;
mod sessions;
mod shapes;
mod tenants;
mod text;
mod wizard;

use std::collections::HashMap;
use std::marker::PhantomData;

use poem::Route;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService, Tags};

use crate::http::addresses::Addresses;
use crate::platform::Platform;

/// The groups of calls, as the document shows them.
#[derive(Tags)]
#[oai(rename_all = "lowercase")]
enum Tag {
    /// Sign up and get a first tenant, step by step.
    Wizard,
    /// Accounts and sessions.
    Auth,
    /// The signed-in user's tenants.
    Tenants,
    /// Keys for programs.
    Keys,
    /// Work under way on a tenant.
    Operations,
    /// All accounts and tenants, for admins.
    Admin,
    /// The platform itself.
    System,
}

type Calls = (
    wizard::WizardApi,
    auth::AuthApi,
    profile::ProfileApi,
    recovery::RecoveryApi,
    sessions::SessionsApi,
    tenants::TenantsApi,
    logs::LogsApi,
    api_keys::ApiKeysApi,
    admin::AdminApi,
    admin::audit::AdminAuditApi,
    admin::capacity::AdminCapacityApi,
    admin::platform::AdminPlatformApi,
    operations::OperationsApi,
    health::HealthApi,
);

/// All that the service answers, with its document and its explorer.
pub(crate) fn routes(platform: &Platform) -> Route {
    let calls: Calls = (
        wizard::WizardApi::new(platform.clone()),
        auth::AuthApi::new(platform.clone()),
        profile::ProfileApi::new(platform.clone()),
        recovery::RecoveryApi::new(platform.clone()),
        sessions::SessionsApi::new(platform.clone()),
        tenants::TenantsApi::new(platform.clone()),
        logs::LogsApi::new(platform.clone()),
        api_keys::ApiKeysApi::new(platform.clone()),
        admin::AdminApi::new(platform.clone()),
        admin::audit::AdminAuditApi::new(platform.clone()),
        admin::capacity::AdminCapacityApi::new(platform.clone()),
        admin::platform::AdminPlatformApi::new(platform.clone()),
        operations::OperationsApi::new(platform.clone()),
        health::HealthApi::new(platform.clone()),
    );
    let service = described(calls);
    Route::new()
        .at("/openapi.json", poem::get(service.spec_endpoint()))
        .nest("/docs", explorer::pages(&service.swagger_ui_html()))
        .nest("/", service)
}

/// Every call of [`routes`].
pub(crate) fn calls() -> Vec<MetaApi> {
    Calls::meta()
}

/// Every address of [`routes`], with its methods.
pub(crate) fn addresses() -> Addresses {
    Addresses::of(calls())
}

/// The API's description, as `GET /openapi.json` answers it.
#[must_use]
pub fn openapi_document() -> String {
    described(Described::<Calls>(PhantomData)).spec()
}

fn described<T: OpenApi>(calls: T) -> OpenApiService<T, ()> {
    OpenApiService::new(calls, "Fresco Platform", env!("CARGO_PKG_VERSION"))
        .description(
            "Sign up, pick a subdomain, and run an instance of your own of a containerised web \
             app.\n\nCalls are POST with a JSON body; streams are GET and send server-sent events. \
             Every error is a problem document (RFC 9457) whose `code` is stable. Signing in sets \
             a cookie; programs send an API key, as `Authorization: Bearer <key>`. Which of them a call \
             takes, and the scope that a key needs, is its security.",
        )
        .license("MIT OR Apache-2.0")
        .external_document("https://documentation.networkcanvas.com/en/fresco")
}

/// Calls that can be described and not called: a document needs no platform.
struct Described<T>(PhantomData<T>);

impl<T: OpenApi> OpenApi for Described<T> {
    fn meta() -> Vec<MetaApi> {
        T::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}
