//! The HTTP service in a process of its own, on the real stack.

use std::time::Duration;

use fresco_e2e::Stack;
use fresco_e2e::service::{Service, Visitor, checked, read_events};
use serde_json::{Value, json};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fresco-e2e-server");

/// A name that nobody else has, on a stack that all tests share.
pub(crate) fn name() -> String {
    format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

pub(crate) fn email() -> String {
    format!("{}@example.org", name())
}

/// What the proxy answers for a subdomain.
pub(crate) async fn page(stack: &Stack, subdomain: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let url = format!("http://127.0.0.1:{}{path}", stack.proxy_ports().0);
    let host = format!("{subdomain}.localhost");
    let answer = client.get(url).header("Host", host).send().await.expect("the proxy answers");
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(crate) async fn whoami(stack: &Stack, subdomain: &str) -> Value {
    let (status, body) = page(stack, subdomain, "/whoami").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// What Docker says of a tenant's container.
async fn inspect(tenant: &str) -> Value {
    let container = format!("fresco_tenant_{tenant}");
    let output = tokio::process::Command::new("docker").args(["inspect", &container]).output();
    let output = output.await.expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].clone()
}

pub(crate) async fn wizard_to_a_page_of_ones_own(stack: &Stack) {
    let server = Service::new(PROGRAM, stack).await.start().await;
    let (visitor, subdomain) = (server.visitor(), name());
    let check = json!({"subdomain": subdomain});
    let free = visitor.call(200, "wizard.checkSubdomain", check.clone()).await;
    assert_eq!(free["available"], true, "{free}");

    let (tenant, operation) = visitor.deploy(&email(), &subdomain).await;
    let events = visitor.events(&operation, None).await;
    let last = events.last().unwrap();
    assert_eq!((&*last.name, &last.data["status"]), ("done", &json!("success")), "{last:?}");
    let ids: Vec<_> = events.iter().filter_map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    // Who comes back gets the rest, and nothing twice.
    let rest = visitor.events(&operation, Some(3)).await;
    assert_eq!(rest.iter().filter_map(|event| event.id).collect::<Vec<_>>(), ids[3..]);
    let taken = visitor.call(200, "wizard.checkSubdomain", check).await;
    assert_eq!((&taken["available"], &taken["reason"]), (&json!(false), &json!("taken")));

    let me = whoami(stack, &subdomain).await;
    let underscored = tenant.replace('-', "_");
    assert_eq!(me["schema"], format!("tenant_{underscored}"));
    assert_eq!(me["role"], format!("tenant_user_{underscored}"));
    assert_eq!(me["publicUrl"], visitor.tenant(&tenant).await["url"]);
    let sql = format!("SELECT nspname FROM pg_namespace WHERE nspname = 'tenant_{underscored}'");
    assert_eq!(stack.superuser_in("fresco_tenants", &sql).await.len(), 1);

    let container = inspect(&tenant).await;
    let host = &container["HostConfig"];
    assert_eq!(host["Memory"], 512 << 20);
    assert_eq!(host["MemorySwap"], 512 << 20);
    assert_eq!(host["MemoryReservation"], 256 << 20);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["CpuShares"], 256);
    assert_eq!(host["PidsLimit"], 256);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Init"], true);
    assert_eq!(container["Config"]["Labels"]["fresco.tenant.subdomain"], subdomain);

    visitor.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    assert!(server.stop().await.success());
}

pub(crate) async fn whole_life_by_the_api(stack: &Stack) {
    let server = Service::new(PROGRAM, stack).await.start().await;
    let (visitor, subdomain) = (server.visitor(), name());
    let tenant = visitor.deployed(&email(), &subdomain).await;
    let id = json!({"tenantId": tenant});
    assert_eq!(page(stack, &subdomain, "/visit").await.0, 200);

    visitor.act("stop", id.clone()).await;
    assert_eq!(visitor.tenant(&tenant).await["status"], "stopped");
    assert_ne!(page(stack, &subdomain, "/signin").await.0, 200);
    visitor.act("start", id.clone()).await;
    assert_eq!(whoami(stack, &subdomain).await["visits"], 1);
    visitor.act("restart", id.clone()).await;
    assert_eq!(visitor.tenant(&tenant).await["status"], "active");

    let update = json!({
        "tenantId": tenant, "image": "fresco-dev/tenant-app:2",
        "environment": {"GREETING": "Good morning"}, "limits": {"memoryMb": 300},
    });
    visitor.act("update", update).await;
    let me = whoami(stack, &subdomain).await;
    assert_eq!((&me["version"], &me["visits"]), (&json!("2"), &json!(1)));
    assert_eq!(inspect(&tenant).await["HostConfig"]["Memory"], 300 << 20);
    assert_eq!(visitor.tenant(&tenant).await["limits"]["memoryMb"], 300);
    assert!(page(stack, &subdomain, "/signin").await.1.contains("Good morning"));

    let logs = json!({"tenantId": tenant, "lines": 50});
    let logs = visitor.call(200, "tenants.getLogs", logs).await;
    assert!(!logs["lines"].as_array().unwrap().is_empty(), "{logs}");

    let wrong = json!({"tenantId": tenant, "confirmation": "another"});
    let problem = visitor.call(422, "tenants.destroy", wrong).await;
    assert_eq!(problem["code"], "confirmation_mismatch");
    visitor.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    assert_ne!(page(stack, &subdomain, "/signin").await.0, 200);
    let check = json!({"subdomain": subdomain});
    let free = visitor.call(200, "wizard.checkSubdomain", check).await;
    assert_eq!(free["available"], true, "{free}");

    // The name is free, also for the same person, and what runs there is new.
    let created = visitor.call(202, "tenants.create", json!({"subdomain": subdomain})).await;
    visitor.success(created["operationId"].as_str().unwrap()).await;
    assert_eq!(whoami(stack, &subdomain).await["visits"], 0);
    let again = json!({"tenantId": created["tenantId"], "confirmation": subdomain});
    visitor.act("destroy", again).await;
    assert!(server.stop().await.success());
}

pub(crate) async fn two_people_know_nothing_of_each_other(stack: &Stack) {
    let server = Service::new(PROGRAM, stack).await.start().await;
    let (alice, bob, stranger) = (server.visitor(), server.visitor(), server.visitor());
    let (hers, his) = (name(), name());
    let (tenant, operation) = alice.deploy(&email(), &hers).await;
    let other = bob.deployed(&email(), &his).await;
    alice.success(&operation).await;

    let list = |who: Visitor| async move { who.call(200, "tenants.list", json!({})).await };
    let seen = list(bob.clone()).await;
    assert_eq!((&seen["total"], &seen["tenants"][0]["id"]), (&json!(1), &json!(other)));
    let unknown = json!({"tenantId": uuid::Uuid::new_v4()});
    let nothing = bob.call(404, "tenants.get", unknown).await;
    for call in ["get", "start", "stop", "restart", "update", "destroy", "getLogs"] {
        let mut body = json!({"tenantId": tenant});
        match call {
            "update" => body["limits"] = json!({"memoryMb": 600}),
            "destroy" => body["confirmation"] = json!(hers),
            "getLogs" => body["lines"] = json!(10),
            _ => {}
        }
        let call = format!("tenants.{call}");
        // Just what an unknown one gives.
        assert_eq!(bob.call(404, &call, body.clone()).await, nothing, "{call}");
        stranger.call(401, &call, body).await;
    }
    for path in
        [format!("/api/operations/{operation}/events"), format!("/api/tenants/{tenant}/logs")]
    {
        checked(bob.get(&path).send().await.unwrap(), 404, &path).await;
        checked(stranger.get(&path).send().await.unwrap(), 401, &path).await;
    }
    let status = json!({"tenantId": tenant});
    bob.call(404, "wizard.getDeploymentStatus", status).await;
    assert_eq!(alice.tenant(&tenant).await["status"], "active");
    for (who, tenant, subdomain) in [(alice, tenant, hers), (bob, other, his)] {
        who.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    }
    assert!(server.stop().await.success());
}

/// A server is killed in the middle of deploys; the next one, started with the same settings, ends
/// them, and who watches goes on watching there.
pub(crate) async fn killed_in_the_middle_of_deploys(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await;
    let server = service.start().await;
    let mut people = Vec::new();
    for _ in 0..3 {
        let (visitor, subdomain) = (server.visitor(), name());
        let (tenant, operation) = visitor.deploy(&email(), &subdomain).await;
        people.push((visitor, subdomain, tenant, operation));
    }
    server.kill().await;
    let server = service.start().await;
    for (visitor, subdomain, tenant, operation) in people {
        visitor.success(&operation).await;
        assert_eq!(whoami(stack, &subdomain).await["visits"], 0);
        visitor.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    }
    assert!(server.stop().await.success());
}

/// A server that is told to stop hands its work to another at once, and a stream ends with it.
pub(crate) async fn told_to_stop_it_hands_over(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await;
    let first = service.start().await;
    let (visitor, subdomain) = (first.visitor(), name());
    let (tenant, operation) = visitor.deploy(&email(), &subdomain).await;
    let other = service.clone().beside();
    // A request that is on its way while the server stops may find nobody.
    let watcher = tokio::spawn(read_events(visitor.listen(&operation, None).await));
    assert!(first.stop().await.success());
    let seen = watcher.await.unwrap();
    let second = other.start().await;
    let visitor = visitor.at(&second);
    let last = seen.iter().filter_map(|event| event.id).next_back().unwrap_or(0);
    let rest = visitor.events(&operation, Some(last)).await;
    if !seen.iter().any(|event| event.name == "done") {
        assert_eq!(rest.last().unwrap().data["status"], "success", "{rest:?}");
        assert_eq!(rest.iter().find_map(|event| event.id), Some(last + 1), "{rest:?}");
    }
    visitor.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    assert!(second.stop().await.success());
}

/// Each of these settings changes what a tenant gets, or what the API says.
pub(crate) async fn settings_change_what_happens(stack: &Stack) {
    let service = Service::new(PROGRAM, stack)
        .await
        .with("TENANT_ISOLATION", "database")
        .with("DEFAULT_MEMORY", 400)
        .with("MIN_MEMORY", 128)
        .with("MAX_MEMORY", 500)
        .with("DEFAULT_CPUS", 0.75)
        .with("MIN_CPUS", 0.5)
        .with("MAX_CPUS", 1)
        .with("MAX_PIDS", 300)
        .with("BASE_DOMAIN", "study.test")
        .with("TENANT_IMAGES", "fresco-dev/tenant-app:1")
        .with("CORS_ORIGIN", "https://apps.example.org")
        .with("LISTEN_ADDRESS", "127.0.0.2")
        .with("TENANT_DATABASE_HOST", stack.gateway());
    let port = service.port();
    // Only the address that it was told to listen on.
    let refused = reqwest::get(format!("http://127.0.0.1:{port}/health"));
    let server = service.start_at("127.0.0.2").await;
    assert!(refused.await.is_err());
    let (visitor, subdomain) = (server.visitor(), name());
    let tenant = visitor.deployed(&email(), &subdomain).await;
    let seen = visitor.tenant(&tenant).await;
    assert_eq!(seen["isolation"], "database");
    assert!(seen["url"].as_str().unwrap().contains(&format!("{subdomain}.study.test")), "{seen}");
    let host = inspect(&tenant).await["HostConfig"].clone();
    assert_eq!(
        (&host["Memory"], &host["MemoryReservation"]),
        (&json!(400 << 20), &json!(128 << 20))
    );
    assert_eq!((&host["NanoCpus"], &host["CpuShares"]), (&json!(750_000_000), &json!(512)));
    for wrong in [
        json!({"limits": {"memoryMb": 501}}),
        json!({"limits": {"memoryMb": 127}}),
        json!({"limits": {"cpus": 1.5}}),
        json!({"limits": {"cpus": 0.4}}),
        json!({"limits": {"pids": 301}}),
        json!({"image": "fresco-dev/tenant-app:2"}),
    ] {
        let mut body = wrong.clone();
        body["tenantId"] = json!(tenant);
        visitor.call(422, "tenants.update", body).await;
    }
    let call = || visitor.post("wizard.checkSubdomain", &json!({"subdomain": "free-name"}));
    let other = call().header("Origin", "https://apps.example.org").send().await.unwrap();
    assert_eq!(other.headers()["access-control-allow-origin"], "https://apps.example.org");
    checked(other, 200, "the other origin").await;
    let foreign = call().header("Origin", "http://localhost:3001").send().await.unwrap();
    checked(foreign, 403, "a foreign origin").await;
    visitor.act("destroy", json!({"tenantId": tenant, "confirmation": subdomain})).await;
    assert!(server.stop().await.success());
}

/// Wrong settings, a taken port and missing tables are told in words, with an exit code.
pub(crate) async fn what_hinders_the_start_is_told(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await;
    let run = async |service: &Service, task: &str| {
        let output = service.command(task).output();
        let output = tokio::time::timeout(Duration::from_secs(60), output).await;
        let output = output.expect("it ends").unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), words)
    };
    let wrong = service.clone().with("PUBLIC_URL", "ftp://x").with("WORKERS", 0);
    let (code, words) = run(&wrong, "serve").await;
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("PUBLIC_URL") && words.contains("WORKERS"), "{words}");

    let (code, words) = run(&service.clone().with("MIGRATE", false), "serve").await;
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("migrate"), "{words}");
    let (code, words) = run(&service, "migrate").await;
    assert_eq!(code, 0, "{words}");
    let server = service.clone().with("MIGRATE", false).start().await;

    let (code, words) = run(&service, "serve").await;
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("PORT") && words.contains("doctor"), "{words}");
    assert!(server.stop().await.success());

    let url = stack.url(stack.postgres_address(), "postgres").replace("only-for-tests", "wr0ng");
    let (code, words) = run(&service.clone().with("DATABASE_URL", url), "serve").await;
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("password") && !words.contains("wr0ng"), "{words}");
}
