//! A forgotten password.

use serde_json::json;

use crate::support::postgres::{Database, connect};
use crate::support::site::Site;
use crate::support::smtp::MailServer;
use crate::support::{PASSWORD, soon};
use crate::{deliver, forgot, known, reset, sign_in, site_with};
use fresco_core::TenantId;
use fresco_core::fault::FaultPlan;
use futures_util::future::join_all;

const RESET: &str = "Set another password";
const NEW: &str = "one more password";

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_letter_sets_another_password_and_ends_all_sessions() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let key = site.key(&cookie).await;
    forgot(&site, "ADA@example.org").await.is(202.try_into().unwrap());
    forgot(&site, "ADA@example.org").await;
    deliver(&site).await;
    // To the account's own spelling: another one may be another's mailbox.
    assert_eq!(mail.to("ADA@example.org", RESET).len(), 0);
    assert_eq!(mail.to("ada@example.org", RESET).len(), 2);
    let token = mail.secret("ada@example.org", RESET);
    assert!(!site.database.everything().await.contains(&token));

    reset(&site, &token, "short").await.refuses_field("password");
    reset(&site, &token, "password123").await.refuses_field("password");
    reset(&site, &token, "ada@example.org").await.refuses_field("password");
    reset(&site, &"0".repeat(64), NEW).await.refuses(404, "unknown_token");
    assert_eq!(site.who(&cookie).await, "ada@example.org");
    reset(&site, &token, NEW).await.ok();
    assert_eq!(site.who(&cookie).await, json!(null));
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 401);
    sign_in(&site, "ada@example.org", PASSWORD).await.refuses(401, "wrong_credentials");
    sign_in(&site, "ada@example.org", NEW).await.ok();

    // Once, and the other letter's is worth nothing either.
    assert_eq!(site.database.count("mail_tokens").await, 0);
    reset(&site, &token, "and one more password").await.refuses(404, "unknown_token");
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", "Your password was changed").len(), 1);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn of_many_with_one_token_one_sets_the_password() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    known(&site, &mail, "ada@example.org").await;
    forgot(&site, "ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", RESET);
    let all = (0..4).map(|n| {
        let (site, token) = (&site, &token);
        async move { reset(site, token, &format!("password number {n}")).await.status }
    });
    let mut statuses = join_all(all).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404]);
}

/// Whoever ends a token locks its account first: of two who lock them in another order, each would wait for
/// the other.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn who_shows_a_token_locks_the_account_before_it() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    known(&site, &mail, "ada@example.org").await;
    forgot(&site, "ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", RESET);
    let mut other = connect(&site.database.url).await;
    let held = other.transaction().await.unwrap();
    held.execute("SELECT FROM fresco_server.users FOR UPDATE", &[]).await.unwrap();
    let watch = connect(&site.database.url).await;
    let waits = async {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watch.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    let mut shown = Box::pin(reset(&site, &token, NEW));
    tokio::select! {
        _ = &mut shown => panic!("it was answered"),
        () = soon("a call that waits", waits) => {}
    }
    let sql = "SELECT FROM fresco_server.mail_tokens FOR UPDATE NOWAIT";
    assert_eq!(held.execute(sql, &[]).await.unwrap(), 1);
    held.rollback().await.unwrap();
    shown.await.ok();
}

/// Somebody made an account for another's address, and the other takes it over.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn nothing_is_left_to_who_made_an_account_for_anothers_address() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let accounts = &site.platform.accounts;
    let change = json!({ "name": "Eve", "email": "eve@example.org", "password": PASSWORD });
    let update = async |cookie: &str| {
        let changed = site.post_with(cookie, "/api/auth.updateProfile", change.clone()).await.ok();
        assert_eq!(
            (changed.text("name"), changed.text("pendingEmail")),
            ("Eve", "eve@example.org")
        );
    };
    let take_over = async |email: &str| {
        forgot(&site, email).await;
        deliver(&site).await;
        reset(&site, &mail.secret(email, RESET), NEW).await.ok();
        sign_in(&site, email, NEW).await.ok().body["user"].clone()
    };
    let eve = site.sign_up("ada@example.org").await;
    update(&eve).await;
    let mut gates = Vec::new();
    for name in ["one", "two"] {
        let made = site.post_with(&eve, "/api/tenants.create", json!({ "subdomain": name })).await;
        site.done(made.text("operationId")).await;
        let tenant: TenantId = made.text("tenantId").parse().unwrap();
        accounts.close_claim(tenant).await.unwrap();
        let claim = accounts.claim(tenant).await.unwrap().unwrap();
        let pass = accounts.enter_claim(&claim, &accounts.claim_word(&claim)).await.unwrap();
        accounts.came_in(tenant).await.unwrap();
        let claim = accounts.claim(tenant).await.unwrap().unwrap();
        gates.push((tenant, pass.unwrap(), accounts.claim_word(&claim)));
        assert!(accounts.passes_claim(&claim, &gates.last().unwrap().1));
    }
    // One was made while the platform sent no mail, and so is none that ends unless an address is verified.
    let [(one, ..), _] = &gates[..] else { panic!("two") };
    site.database
        .execute(&format!("DELETE FROM fresco_server.trials WHERE tenant_id = '{one}'"))
        .await;

    let user = take_over("ada@example.org").await;
    assert_eq!((user.get("name"), user.get("pendingEmail")), (None, None), "{user}");
    for (tenant, pass, word) in &gates {
        let claim = accounts.claim(*tenant).await.unwrap().unwrap();
        assert!(!accounts.passes_claim(&claim, pass), "a pass");
        assert!(accounts.enter_claim(&claim, word).await.unwrap().is_none(), "a link");
        assert_eq!((claim.entered_at, claim.open), (None, false));
        let word = accounts.claim_word(&claim);
        assert!(accounts.enter_claim(&claim, &word).await.unwrap().is_some(), "the owner's");
    }

    // Who was known before keeps the name; another address is wanted anew by who has the new password.
    let bob = known(&site, &mail, "bob@example.org").await;
    update(&bob).await;
    let made = site.post_with(&bob, "/api/tenants.create", json!({ "subdomain": "three" })).await;
    site.done(made.text("operationId")).await;
    let tenant: TenantId = made.text("tenantId").parse().unwrap();
    accounts.close_claim(tenant).await.unwrap();
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    let pass = accounts.enter_claim(&claim, &accounts.claim_word(&claim)).await.unwrap().unwrap();
    accounts.came_in(tenant).await.unwrap();
    let before = accounts.claim(tenant).await.unwrap().unwrap();
    let word = accounts.claim_word(&before);
    let user = take_over("bob@example.org").await;
    // Whoever had a session of his may have read the link.
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    assert!(accounts.enter_claim(&claim, &word).await.unwrap().is_none());
    assert!(!accounts.passes_claim(&claim, &pass));
    // He was in, and his app is told to be set up all the same.
    assert_eq!((claim.entered_at, claim.open), (before.entered_at, false));
    assert!(before.entered_at.is_some());
    assert_eq!((&user["name"], user.get("pendingEmail")), (&json!("Eve"), None), "{user}");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn nobody_learns_whether_an_address_has_an_account() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let there = forgot(&site, "ada@example.org").await;
    let not_there = forgot(&site, "bob@example.org").await;
    assert_eq!((there.status, &there.body), (202, &json!({})));
    assert_eq!(there, not_there);
    // Neither is looked up: both are written down alike, and only one is sent.
    assert_eq!(site.database.count("letters WHERE kind = 'reset_password'").await, 2);
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", RESET).len(), 1);
    assert_eq!(mail.to("bob@example.org", RESET).len(), 0);
    forgot(&site, "nobody").await.refuses_field("email");
    // A flood for one address is none.
    for _ in 0..7 {
        assert_eq!(forgot(&site, "ada@example.org").await.status, 202);
    }
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", RESET).len(), 5);
    // Nor when it comes all at once.
    let all = (0..40).map(|_| forgot(&site, "eve@example.org"));
    assert!(join_all(all).await.iter().all(|answer| answer.status == 202));
    assert_eq!(site.database.count("letters WHERE recipient_key = 'eve@example.org'").await, 5);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_token_ends_with_its_hour_and_a_reset_verifies_the_address() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = site.sign_up("ada@example.org").await;
    for end in [
        "UPDATE fresco_server.mail_tokens SET expires_at = now()",
        "UPDATE fresco_server.users SET password_hash = password_hash || 'x'",
        "UPDATE fresco_server.users SET email_key = 'x' || email_key, email = 'x' || email",
    ] {
        site.database.execute("DELETE FROM fresco_server.letters").await;
        let email = site.who(&cookie).await;
        let email = email.as_str().unwrap();
        forgot(&site, email).await;
        deliver(&site).await;
        let token = mail.secret(email, RESET);
        let within = "mail_tokens WHERE expires_at < now() + interval '1 hour'";
        assert!(site.database.count(within).await > 0);
        site.database.execute(end).await;
        reset(&site, &token, NEW).await.refuses(404, "unknown_token");
    }
    let email = "xada@example.org";
    forgot(&site, email).await;
    deliver(&site).await;
    reset(&site, &mail.secret(email, RESET), NEW).await.ok();
    let user = sign_in(&site, email, NEW).await.ok().body["user"].clone();
    assert_eq!(user["emailVerified"], true);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn without_mail_in_production_it_says_so() {
    let settings = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ];
    let site = Site::on(Database::migrated().await, &settings, &FaultPlan::none()).await;
    let cookie = site.sign_up("ada@example.org").await;
    forgot(&site, "ada@example.org").await.refuses(409, "no_mail");
    site.post_with(&cookie, "/api/auth.resendVerification", json!({}))
        .await
        .refuses(409, "no_mail");
    let change = json!({ "email": "b@example.org", "password": PASSWORD });
    site.post_with(&cookie, "/api/auth.updateProfile", change).await.refuses(409, "no_mail");
    let code = json!({ "sessionId": "x", "code": "1" });
    site.post("/api/wizard.verifyEmail", code).await.refuses(409, "no_mail");
    assert_eq!(site.database.count("letters").await, 0);
    // The password is no matter of mail.
    let change = json!({ "current": PASSWORD, "new": NEW });
    site.post_with(&cookie, "/api/auth.changePassword", change).await.ok();
}
