//! A server that proves that tenants are kept apart: what is left of it, and what it does without the
//! right to.

use std::time::Duration;

use fresco_e2e::Stack;
use fresco_e2e::service::{Service, checked};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::census::{census, probes};
use crate::service::{PROGRAM, email, name, whoami};

/// A server that is told to stop in the middle of its proof leaves nothing of it.
pub(crate) async fn told_to_stop_in_the_middle_of_a_proof(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await;
    let server = service.start().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !probes(stack, service.database()).await.iter().any(|probe| probe.ends_with("running")) {
        assert!(Instant::now() < deadline, "no probe is under way");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.stop().await.success());
    assert_eq!(probes(stack, service.database()).await, Vec::<String>::new());
}

/// A server that may not set the packet filter lets no new tenant in, and says why; unless its policy
/// lets them in all the same.
pub(crate) async fn without_the_right_no_new_tenant_is_let_in(stack: &Stack) {
    let log = std::env::temp_dir().join(format!("{}.log", name()));
    let service = Service::new(PROGRAM, stack).await.without_net_admin().logging_to(&log);
    let server = service.start_unhealthy().await;
    let isolation = async |visitor: &fresco_e2e::service::Visitor, status| {
        let answer = visitor.get("/health").send().await.expect("the server answers");
        assert_eq!(answer.status(), status);
        let health: Value = answer.json().await.expect("JSON");
        let parts = health["parts"].as_array().expect("parts").clone();
        let part = parts.into_iter().find(|part| part["name"] == "isolation");
        part.expect("it is told")["healthy"].clone()
    };
    let (visitor, subdomain) = (server.visitor(), name());
    assert_eq!(isolation(&visitor, 503).await, json!(false));
    let session = visitor.wizard(&email(), &subdomain).await;
    let deploy = json!({"sessionId": session});
    let answer = visitor.post("wizard.deployTenant", &deploy).send().await.expect("an answer");
    assert!(answer.headers().contains_key("retry-after"));
    let problem = checked(answer, 503, "a deploy").await;
    assert_eq!(problem["code"], "isolation_unproved", "{problem}");
    assert!(census(stack, service.database()).await.is_empty());
    assert!(server.stop().await.success());
    let words = std::fs::read_to_string(&log).expect("its log");
    assert!(words.contains("CAP_NET_ADMIN") && words.contains("no new tenants"), "{words}");

    std::fs::write(&log, "").expect("its log can be emptied");
    let server = service.with("ALLOW_UNENFORCED", "network").start().await;
    let visitor = visitor.at(&server);
    assert_eq!(isolation(&visitor, 200).await, json!(true));
    let answer = visitor.call(202, "wizard.deployTenant", deploy).await;
    visitor.success(answer["operationId"].as_str().expect("an operation")).await;
    assert_eq!(whoami(stack, &subdomain).await["visits"], 0);
    let words = std::fs::read_to_string(&log).expect("its log");
    assert!(words.contains("WARN") && words.contains("CAP_NET_ADMIN"), "{words}");
    let tenant = json!({"tenantId": answer["tenantId"], "confirmation": subdomain});
    visitor.act("destroy", tenant).await;
    assert!(server.stop().await.success());
    std::fs::remove_file(&log).expect("its log can go");
}
