//! A tenant that the platform stopped: what its owner learns, and how it comes back.

use std::time::Duration;

use fresco_core::TenantId;
use fresco_core::memory::MemoryDatabase;
use serde_json::json;

use crate::world::{PATIENCE, World};

#[tokio::test]
#[ignore = "needs Docker"]
async fn its_owner_learns_why_the_platform_stopped_it() {
    let world = World::new().await;
    let person = world.person().await;
    let id = person.tenant("my-study").await;
    let size = usize::try_from(MemoryDatabase::SIZE_LIMIT).unwrap();
    let tenant = TenantId::from_uuid(id.parse().unwrap());
    world.memory.put(tenant, "all", &"x".repeat(size)).unwrap();

    let end = tokio::time::Instant::now() + PATIENCE;
    while person.show(&id).await["tenant"]["status"] != "stopped" {
        assert!(tokio::time::Instant::now() < end, "{}", person.show(&id).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let shown = person.show(&id).await;
    let error = &shown["tenant"]["error"];
    assert_eq!(error["code"], "exhausted", "{shown}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("2 MB on disk, and 1 MB are allowed"), "{message}");
    assert!(message.contains("Its data is kept"), "{message}");
    assert_eq!(shown["tenant"]["desiredState"], "stopped");

    // With less data its owner starts it again, and nothing is wrong any more.
    world.memory.put(tenant, "all", "little").unwrap();
    let done = person.act("tenants.start", json!({ "tenantId": id })).await;
    assert_eq!(done["status"], "success", "{done}");
    let shown = person.show(&id).await;
    assert_eq!(shown["tenant"]["status"], "active");
    assert!(shown["tenant"].get("error").is_none(), "{shown}");
}
