//! From an address to a tenant.

use fresco_core::ErrorKind;
use fresco_core::fault::{Call, Fault, FaultPlan};
use poem::http::StatusCode;
use serde_json::{Value, json};

use crate::support::postgres::Database;
use crate::support::site::{Answer, Site};
use crate::support::{PASSWORD, soon};

const OTHER: &str = "another password";

async fn status(site: &Site, cookie: &str, tenant: &str) -> Answer {
    let path = "/api/wizard.getDeploymentStatus";
    site.post_with(cookie, path, json!({ "tenantId": tenant })).await
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_whole_wizard_leads_to_an_active_tenant() {
    let site = Site::new().await;
    let asked = json!({ "subdomain": "my-study" });
    let checked = site.post("/api/wizard.checkSubdomain", asked.clone()).await.ok();
    assert_eq!(
        checked.body,
        json!({ "subdomain": "my-study", "available": true, "suggestions": [] })
    );
    let session = site.filled("Ada@example.org", "my-study").await;
    let state = site.post("/api/wizard.getSession", json!({ "sessionId": session })).await.ok();
    let data = json!({
        "name": "Ada", "useCase": "study", "subdomain": "my-study",
        "termsAccepted": true, "privacyAccepted": true,
    });
    assert_eq!(state.body["data"], data);
    assert_eq!((state.text("email"), &state.body["stepCompleted"]), ("Ada@example.org", &json!(4)));
    assert!(!state.body.to_string().contains(PASSWORD));

    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    assert_eq!(deployed.text("subdomain"), "my-study");
    assert_eq!(deployed.text("url"), "http://my-study.localhost");
    let (cookie, tenant) = (deployed.cookie(), deployed.text("tenantId").to_owned());
    assert_eq!(site.who(&cookie).await, "Ada@example.org");
    site.done(deployed.text("operationId")).await;
    let shown = status(&site, &cookie, &tenant).await.ok().body;
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["operation"]["id"], deployed.body["operationId"]);
    assert_eq!(shown["operation"]["status"], "success");

    let checked = site.post("/api/wizard.checkSubdomain", asked).await.ok();
    assert_eq!((checked.text("reason"), &checked.body["available"]), ("taken", &json!(false)));
    // Somebody else learns nothing of it, not even that it is there.
    let stranger = site.sign_up("bob@example.org").await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let (theirs, none) =
        tokio::join!(status(&site, &stranger, &tenant), status(&site, &stranger, unknown));
    assert_eq!(theirs.clone().refuses(404, "not_found").body, none.body);
    status(&site, "", &tenant).await.refuses(401, "not_signed_in");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_repeated_deploy_is_one_deploy() {
    let site = Site::new().await;
    let session = site.filled("ada@example.org", "my-study").await;
    let both = [site.deploy(&session), site.deploy(&session), site.deploy(&session)];
    let mut answers = futures_util::future::join_all(both).await;
    answers.push(site.deploy(&session).await);
    site.done(answers[0].text("operationId")).await;
    answers.push(site.deploy(&session).await);
    for answer in &answers {
        let answer = answer.clone().is(StatusCode::ACCEPTED);
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(site.who(&answer.cookie()).await, "ada@example.org");
    }
    assert_eq!((site.tenants().await, site.database.count("users").await), (1, 1));
    // What is deployed is changed elsewhere.
    for (step, data) in [(1, json!({ "password": OTHER })), (3, json!({ "subdomain": "other" }))] {
        site.step(&session, step, data).await.refuses(409, "wizard_finished");
    }
}

/// Whoever kept the secret of a sign-up is let in no more by it once its owner has left.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_sign_up_ends_with_a_session_that_is_ended() {
    let site = Site::new().await;
    let session = site.filled("ada@example.org", "my-study").await;
    let cookie = site.deploy(&session).await.is(StatusCode::ACCEPTED).cookie();
    site.post_with(&cookie, "/api/auth.signOut", json!({})).await.ok();
    site.deploy(&session).await.refuses(404, "unknown_session");

    let session = site.filled("bob@example.org", "bobs-study").await;
    let cookie = site.deploy(&session).await.is(StatusCode::ACCEPTED).cookie();
    let listed = site.post_with(&cookie, "/api/auth.listSessions", json!({})).await.ok();
    let end = json!({ "sessionId": listed.body["sessions"][0]["id"] });
    site.post_with(&cookie, "/api/auth.revokeSession", end).await.ok();
    site.deploy(&session).await.refuses(404, "unknown_session");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_deploy_whose_answer_was_lost_is_found_again() {
    let call = Call { method: "store.create", step: None, nth: 0 };
    let plan = FaultPlan::with([(call, Fault::FailAfter(ErrorKind::TimedOut))]);
    let site = Site::on(Database::migrated().await, &[], &plan).await;
    let session = site.filled("ada@example.org", "my-study").await;
    site.deploy(&session).await.refuses(503, "unavailable");
    assert_eq!((plan.struck(), site.tenants().await), (1, 1));
    let moved = site.step(&session, 3, json!({ "subdomain": "elsewhere" })).await;
    moved.refuses(409, "wizard_finished");
    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    assert_eq!(deployed.text("subdomain"), "my-study");
    site.done(deployed.text("operationId")).await;
    assert_eq!((site.tenants().await, site.database.count("users").await), (1, 1));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn while_the_store_is_away_nothing_is_lost() {
    let call = Call { method: "store.create", step: None, nth: 0 };
    let plan = FaultPlan::with([(call, Fault::FailBefore(ErrorKind::Unavailable))]);
    let site = Site::on(Database::migrated().await, &[], &plan).await;
    let session = site.filled("ada@example.org", "my-study").await;
    site.deploy(&session).await.refuses(503, "unavailable");
    assert_eq!((site.tenants().await, site.database.count("users").await), (0, 1));
    // The account is there, so its password is no matter of the wizard any more; the rest is.
    let password = json!({ "password": OTHER });
    site.step(&session, 1, password).await.refuses(409, "account_made");
    site.step(&session, 3, json!({ "subdomain": "elsewhere" })).await.ok();
    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    assert_eq!(deployed.text("subdomain"), "elsewhere");
    site.done(deployed.text("operationId")).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn while_tenants_are_not_proved_to_be_kept_apart_no_new_one_is_let_in() {
    let site = Site::new().await;
    let session = site.filled("ada@example.org", "my-study").await;
    let outsider = site.world.outsider();
    outsider.forbid_isolation(true);
    site.orchestrator.reconcile().await.unwrap();
    let refused = site.deploy(&session).await.refuses(503, "isolation_unproved");
    assert!(!refused.text("detail").contains("no right"), "the reason is the operators'");
    assert_eq!(site.tenants().await, 0);
    outsider.forbid_isolation(false);
    site.orchestrator.reconcile().await.unwrap();
    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    site.done(deployed.text("operationId")).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn who_was_slower_picks_another_subdomain() {
    let site = Site::new().await;
    let fast = site.filled("ada@example.org", "my-study").await;
    let slow = site.filled("bob@example.org", "my-study").await;
    site.deploy(&fast).await.is(StatusCode::ACCEPTED);
    let refused = site.deploy(&slow).await.refuses(409, "subdomain_taken");
    assert_eq!((refused.text("field"), refused.set_cookie.as_ref()), ("subdomain", None));
    assert_eq!(site.database.count("users").await, 1);
    let again = site.step(&slow, 3, json!({ "subdomain": "my-study" })).await;
    again.refuses(409, "subdomain_taken");
    site.step(&slow, 3, json!({ "subdomain": "bobs-study" })).await.ok();
    let deployed = site.deploy(&slow).await.is(StatusCode::ACCEPTED);
    assert_eq!(site.who(&deployed.cookie()).await, "bob@example.org");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn of_many_who_deploy_one_subdomain_one_gets_it() {
    let site = Site::new().await;
    let mut sessions = Vec::new();
    for person in 0..6 {
        sessions.push(site.filled(&format!("p{person}@example.org"), "my-study").await);
    }
    let deploys = sessions.iter().map(|session| site.deploy(session));
    let answers = futures_util::future::join_all(deploys).await;
    let (got, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 202);
    assert_eq!((got.len(), site.tenants().await), (1, 1));
    for answer in lost {
        answer.refuses(409, "subdomain_taken");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn two_sessions_of_one_address() {
    let site = Site::new().await;
    let first = site.filled("ada@example.org", "first").await;
    let second = site.begin("Ada@example.org").await;
    assert_ne!(first, second);
    // The second knows nothing of the first.
    let state = site.post("/api/wizard.getSession", json!({ "sessionId": second })).await.ok();
    assert_eq!((&state.body["stepCompleted"], &state.body["data"]), (&json!(0), &json!({})));
    site.step(&second, 1, json!({ "password": OTHER })).await.ok();
    site.step(&second, 2, json!({ "useCase": "learning" })).await.ok();
    site.step(&second, 3, json!({ "subdomain": "second" })).await.ok();
    let both = json!({ "termsAccepted": true, "privacyAccepted": true });
    site.step(&second, 4, both).await.ok();
    site.deploy(&first).await.is(StatusCode::ACCEPTED);

    let refused = site.deploy(&second).await.refuses(401, "sign_in_required");
    assert_eq!((refused.set_cookie, site.tenants().await), (None, 1));
    site.step(&second, 1, json!({ "password": PASSWORD })).await.ok();
    let deployed = site.deploy(&second).await.is(StatusCode::ACCEPTED);
    let listed = site.post_with(&deployed.cookie(), "/api/tenants.list", json!({})).await.ok();
    assert_eq!((&listed.body["total"], site.database.count("users").await), (&json!(2), 1));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn suggestions_can_be_had() {
    let site = Site::new().await;
    for name in ["my-study", "my-study-study", "my-study-lab"] {
        let session = site.filled(&format!("{name}@example.org"), name).await;
        site.deploy(&session).await.is(StatusCode::ACCEPTED);
    }
    let check =
        |text: String| site.post("/api/wizard.checkSubdomain", json!({ "subdomain": text }));
    for (text, reason) in [
        ("my-study", "taken"),
        ("www", "reserved"),
        ("a", "invalid"),
        ("-x", "invalid"),
        ("x_y", "invalid"),
        ("WWW", "invalid"),
        ("My Study", "invalid"),
        ("x`) || Host(`y", "invalid"),
        (&"a".repeat(64), "invalid"),
        ("12345", "invalid"),
    ] {
        let answer = soon("an answer", check(text.to_owned())).await.ok().body;
        assert_eq!((&answer["reason"], &answer["available"]), (&json!(reason), &json!(false)));
        let names: Vec<Value> = answer["suggestions"].as_array().unwrap().clone();
        assert_eq!(names.len(), 5, "{answer}");
        for name in names {
            let found = check(name.as_str().unwrap().to_owned()).await.ok();
            assert_eq!(found.body["available"], true, "{found:?}");
        }
    }
    assert_eq!(check("!!!".into()).await.ok().body["suggestions"], json!([]));
    assert_eq!(check("a".repeat(256)).await.ok().body["reason"], "invalid");
    for text in ["a".repeat(257), "ä".repeat(30_000)] {
        check(text).await.refuses_field("subdomain");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_full_platform_refuses_and_keeps_the_session() {
    let settings = [("TENANT_MEMORY", "600"), ("MIN_MEMORY", "256")];
    let site = Site::on(Database::migrated().await, &settings, &FaultPlan::none()).await;
    let mut first = None;
    for (email, name) in [("ada@example.org", "one"), ("bob@example.org", "two")] {
        let session = site.filled(email, &format!("study-{name}")).await;
        let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
        site.done(deployed.text("operationId")).await;
        first.get_or_insert((deployed.cookie(), deployed.text("tenantId").to_owned()));
    }
    let session = site.filled("eve@example.org", "study-three").await;
    for _ in 0..2 {
        let refused = site.deploy(&session).await.refuses(503, "at_capacity");
        assert_eq!((refused.retry_after, refused.set_cookie), (Some("300".into()), None));
        assert_eq!(site.database.count("users").await, 2, "no account is made");
    }
    let check = json!({ "subdomain": "study-three" });
    let free = site.post("/api/wizard.checkSubdomain", check).await.ok();
    assert_eq!(free.body["available"], true);

    // One that stops makes room, and can't come back until there is some again.
    let (ada, tenant) = first.unwrap();
    let body = json!({ "tenantId": tenant });
    let stop = site.post_with(&ada, "/api/tenants.stop", body.clone()).await;
    site.done(stop.is(StatusCode::ACCEPTED).text("operationId")).await;
    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    site.done(deployed.text("operationId")).await;
    let start = site.post_with(&ada, "/api/tenants.start", body).await;
    start.refuses(503, "at_capacity");
}

/// Whoever hangs up in the middle leaves no tenant without an owner, however late the store answers.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_request_that_is_cut_off_is_done_all_the_same() {
    let call = Call { method: "store.create", step: None, nth: 0 };
    let plan = FaultPlan::with([(call, Fault::CrashAfter)]);
    let site = Site::on(Database::migrated().await, &[], &plan).await;
    let session = site.filled("ada@example.org", "my-study").await;
    tokio::select! {
        answer = site.deploy(&session) => panic!("{answer:?}"),
        () = plan.crashed() => {}
    }
    // The store has the tenant, and says so to nobody any more.
    soon("what was begun", site.platform.settle()).await;
    assert_eq!(site.database.count("users").await, 1, "its owner is there");
}

/// The secret of the wizard lets its owner in for an hour after the end: no longer than sessions.
#[tokio::test]
#[ignore = "needs Docker"]
async fn the_wizards_secret_ends_with_all_sessions() {
    let site = Site::new().await;
    let session = site.filled("ada@example.org", "adas-study").await;
    let ada = site.deploy(&session).await.is(StatusCode::ACCEPTED).cookie();
    site.deploy(&session).await.is(StatusCode::ACCEPTED);
    site.post_with(&ada, "/api/auth.revokeOtherSessions", json!({})).await.ok();
    site.deploy(&session).await.refuses(404, "unknown_session");
}
