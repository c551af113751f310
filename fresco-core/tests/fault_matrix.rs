//! Every action × every step × every fault, in memory and on paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use async_trait::async_trait;
use fresco_core::fault::matrix::{self, Scene};
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    AppProfile, Backends, Hostname, OwnerId, Settings, Subdomain, Tenant, TenantSpec, Update,
};

#[derive(Debug, Default)]
struct MemoryScene(MemoryWorld);

#[async_trait]
impl Scene for MemoryScene {
    fn backends(&self) -> Backends {
        self.0.backends()
    }

    fn base_domain(&self) -> Hostname {
        "example.org".parse().unwrap()
    }

    fn settings(&self, _settings: &mut Settings) {}

    fn short_deadlines(&self, _settings: &mut Settings) {
        // Paused time passes at once.
    }

    fn spec(&self, owner: OwnerId, subdomain: Subdomain) -> TenantSpec {
        let image = "memory/app:1".parse().unwrap();
        TenantSpec::new(owner, subdomain, AppProfile::generic(), image)
    }

    fn update(&self) -> Update {
        Update::image("memory/app:2".parse().unwrap())
    }

    async fn put_data(&self, tenant: &Tenant) {
        self.0.put(tenant.id, "answer", "42").unwrap();
    }

    async fn data(&self, tenant: &Tenant) -> Option<String> {
        self.0.data(tenant.id).map(|data| format!("{data:?}"))
    }

    fn patience(&self) -> Duration {
        // On paused time this passes at once when nothing else can happen.
        Duration::from_secs(3600)
    }
}

#[tokio::test(start_paused = true)]
async fn every_case_ends_as_it_is_defined_to() {
    let cases = matrix::cases(&MemoryScene::default()).await;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(why) = matrix::run(&MemoryScene::default(), case).await {
            wrong.push(format!("{case}: {why}"));
        }
    }
    for (place, count) in matrix::summary(&cases) {
        println!("{count:>5}  {place}");
    }
    println!("fault matrix in memory: {} cases, {} wrong ends", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
