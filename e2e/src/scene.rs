//! The fault matrix on the real stack.

use std::time::Duration;

use async_trait::async_trait;
use fresco_core::fault::matrix::Scene;
use fresco_core::{
    Backends, Hostname, Isolation, OwnerId, Settings, Subdomain, Tenant, TenantSpec, Update,
};

use crate::World;

/// The fault matrix on the real stack.
#[derive(Debug)]
pub struct RealScene<'a> {
    world: &'a World,
    isolation: Isolation,
    databases: String,
    stack: &'a crate::Stack,
}

impl<'a> RealScene<'a> {
    /// The matrix on this platform.
    #[must_use]
    pub fn new(stack: &'a crate::Stack, world: &'a World, isolation: Isolation) -> Self {
        Self { world, isolation, databases: "fresco_tenants".into(), stack }
    }

    fn place(&self, tenant: &Tenant) -> (String, String) {
        let name = tenant.id.database_name();
        match self.isolation {
            Isolation::Schema => (self.databases.clone(), name),
            Isolation::Database => (name, "public".into()),
        }
    }
}

#[async_trait]
impl Scene for RealScene<'_> {
    fn backends(&self) -> Backends {
        self.world.backends().clone()
    }

    fn base_domain(&self) -> Hostname {
        "localhost".parse().expect("a host name")
    }

    fn settings(&self, settings: &mut Settings) {
        let (workers, grace) = (settings.workers, settings.shutdown_grace);
        *settings = self.world.orchestrator.settings().clone();
        (settings.workers, settings.shutdown_grace) = (workers, grace);
    }

    fn short_deadlines(&self, settings: &mut Settings) {
        settings.call_deadline = Duration::from_secs(4);
        settings.image_deadline = Duration::from_secs(4);
        settings.removal_deadline = Duration::from_secs(6);
    }

    fn spec(&self, owner: OwnerId, subdomain: Subdomain) -> TenantSpec {
        let mut spec = self.world.spec(self.isolation, &[]);
        spec.owner = owner;
        spec.subdomain = subdomain;
        spec
    }

    fn update(&self) -> Update {
        Update::image("fresco-dev/tenant-app:2".parse().expect("an image"))
    }

    async fn put_data(&self, tenant: &Tenant) {
        let (status, body) = self.world.get(tenant, "/visit").await;
        assert_eq!(status, 200, "{body}");
    }

    async fn data(&self, tenant: &Tenant) -> Option<String> {
        let (database, schema) = self.place(tenant);
        let query = format!("SELECT t::text FROM \"{schema}\".visits t ORDER BY 1");
        Some(self.stack.superuser_in(&database, &query).await.join("\n"))
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(300)
    }
}
