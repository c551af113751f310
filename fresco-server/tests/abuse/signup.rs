//! Who may sign up.

use fresco_core::fault::FaultPlan;
use fresco_server::accounts::{Accounts, Email, NewProfile};
use fresco_server::{Config, compose, settings::Values};
use serde_json::{Value, json};

use crate::support::postgres::Database;
use crate::support::site::{Answer, Site};
use crate::support::{PASSWORD, SECRET};

async fn site(settings: &[(&str, &str)]) -> Site {
    Site::on(Database::migrated().await, settings, &FaultPlan::none()).await
}

async fn sign_up(site: &Site, email: &str, invite: Option<&str>) -> Answer {
    let mut body = json!({
        "email": email, "password": PASSWORD, "termsAccepted": true, "privacyAccepted": true,
    });
    if let Some(invite) = invite {
        body["invite"] = invite.into();
    }
    site.post("/api/auth.signUp", body).await
}

async fn begin(site: &Site, email: &str, invite: Option<&str>) -> Answer {
    let mut body = json!({ "email": email });
    if let Some(invite) = invite {
        body["invite"] = invite.into();
    }
    site.post("/api/wizard.createSession", body).await
}

/// What `fresco-server invite` prints after the link's `=`.
async fn invited(site: &Site, email: &str) -> String {
    let values = [("DATABASE_URL", site.database.url.as_str()), ("AUTH_SECRET", SECRET)];
    let config = Config::read(&Values::new(values)).unwrap();
    let text = compose::invite(&config, email).await.unwrap();
    let link = text.lines().next().unwrap();
    let (page, token) = link.split_once("/signup#invite=").unwrap();
    assert_eq!((page, token.len()), ("http://localhost:3000", 64), "{text}");
    token.to_owned()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn where_nobody_may_sign_up_nobody_does_and_who_has_an_account_signs_in() {
    let open = site(&[]).await;
    open.sign_up("ada@example.org").await;
    let begun = open.filled("bob@example.org", "bobs-study").await;
    let settings = [("SIGNUP", "closed")];
    let closed = Site::on(open.database.clone(), &settings, &FaultPlan::none()).await;
    for email in ["ada@example.org", "eve@example.org"] {
        // In the same words, whether there is an account or not.
        sign_up(&closed, email, None).await.refuses(403, "signup_closed");
        begin(&closed, email, None).await.refuses(403, "signup_closed");
    }
    // What was begun while it was open makes no account any more.
    closed.deploy(&begun).await.refuses(403, "signup_closed");
    assert_eq!(closed.database.count("users").await, 1);
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    let cookie = closed.post("/api/auth.signIn", body).await.ok().cookie();
    let body = json!({ "subdomain": "adas-study" });
    assert_eq!(closed.post_with(&cookie, "/api/tenants.create", body).await.status, 202);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn only_addresses_of_the_named_domains_sign_up() {
    let settings =
        [("SIGNUP", "domains"), ("SIGNUP_EMAIL_DOMAINS", "Example.org, uni.example.edu")];
    let site = site(&settings).await;
    for email in ["a@example.com", "a@x.example.org", "a@notexample.org", "a@example.org.evil.com"]
    {
        sign_up(&site, email, None).await.refuses(403, "email_domain_refused");
        begin(&site, email, None).await.refuses(403, "email_domain_refused");
    }
    sign_up(&site, "a@EXAMPLE.org", None).await.ok();
    begin(&site, "b@uni.example.edu", None).await.ok();
}

/// Where addresses can be verified, one that was merely typed gets nothing.
#[tokio::test]
#[ignore = "needs Docker"]
async fn of_the_named_domains_only_verified_addresses_have_tenants() {
    let database = Database::migrated().await;
    let settings = [("SIGNUP", "domains"), ("SIGNUP_EMAIL_DOMAINS", "example.org")];
    let verifies = |config: &mut fresco_server::Config| config.verifies_addresses = true;
    let site = Site::changed(database.clone(), &settings, &FaultPlan::none(), verifies).await;
    let ada = site.sign_up("ada@example.org").await;
    let create =
        || site.post_with(&ada, "/api/tenants.create", json!({ "subdomain": "adas-study" }));
    let refused = create().await.refuses(403, "verification_required");
    assert!(refused.text("detail").contains("Verify your e-mail address"), "{}", refused.body);
    assert_eq!(site.tenants().await, 0);
    // Nor can the address be changed to one of another domain.
    let accounts = Accounts::connect(compose::accounts(&site.platform.config)).await.unwrap();
    let email: Email = "ada@example.org".parse().unwrap();
    let user = accounts.user_of(&email).await.unwrap().unwrap();
    let email = Some(("ada@evil.example".parse().unwrap(), PASSWORD.to_owned().into()));
    let new = NewProfile { email, ..NewProfile::default() };
    let refused = accounts.update_profile(&user, &new).await.unwrap_err();
    assert!(refused.chain().contains("example.org"), "{}", refused.chain());
    assert_eq!(database.count("users WHERE pending_email IS NOT NULL").await, 0);
    database.execute("UPDATE fresco_server.users SET email_verified_at = now()").await;
    assert_eq!(create().await.status, 202);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_invite_lets_in_its_own_address_once() {
    let site = site(&[("SIGNUP", "invite")]).await;
    let none = "0".repeat(64);
    for invite in [None, Some(""), Some("x"), Some(none.as_str())] {
        sign_up(&site, "ada@example.org", invite).await.refuses(403, "invite_required");
        begin(&site, "ada@example.org", invite).await.refuses(403, "invite_required");
    }
    let first = invited(&site, "ada@example.org").await;
    let invite = invited(&site, "Ada@Example.org").await;
    // A later one takes the place of an earlier one, and neither is for anybody else.
    for (email, invite) in [("ada@example.org", &first), ("eve@example.org", &invite)] {
        sign_up(&site, email, Some(invite)).await.refuses(403, "invite_required");
    }
    let both = tokio::join!(
        sign_up(&site, "ada@example.org", Some(&invite)),
        sign_up(&site, "ada@example.org", Some(&invite)),
    );
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert!(matches!(statuses, [200, 403 | 409]), "{statuses:?}");
    assert_eq!(site.database.count("users").await, 1);
    assert_eq!(site.database.count("invites WHERE used_at IS NOT NULL").await, 1);
    let accounts = Accounts::connect(compose::accounts(&site.platform.config)).await.unwrap();
    let again = accounts.invite(&"ada@example.org".parse::<Email>().unwrap()).await;
    assert!(again.is_err(), "who has an account needs none");
    assert!(!site.database.everything().await.contains(&invite), "it is stored as a hash");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_invite_is_used_when_the_wizard_makes_the_account() {
    let site = site(&[("SIGNUP", "invite")]).await;
    let invite = invited(&site, "ada@example.org").await;
    let steps = async |subdomain: &str| {
        let begun = begin(&site, "ada@example.org", Some(&invite)).await.ok();
        let session = begun.text("sessionId").to_owned();
        let data: [Value; 4] = [
            json!({ "password": PASSWORD }),
            json!({ "useCase": "study" }),
            json!({ "subdomain": subdomain }),
            json!({ "termsAccepted": true, "privacyAccepted": true }),
        ];
        for (step, data) in (1..).zip(data) {
            site.step(&session, step, data).await.ok();
        }
        session
    };
    let (one, two) = (steps("first-study").await, steps("second-study").await);
    // An invite that is over by then lets nobody in.
    site.database.execute("UPDATE fresco_server.invites SET expires_at = now()").await;
    site.deploy(&one).await.refuses(403, "invite_required");
    assert_eq!((site.database.count("users").await, site.tenants().await), (0, 0));
    let later = "UPDATE fresco_server.invites SET expires_at = now() + interval '1 day'";
    site.database.execute(later).await;
    assert_eq!(site.deploy(&one).await.status, 202);
    assert_eq!(site.deploy(&one).await.status, 202, "the same again");
    // The account is there: its password was typed before, and shows nothing now.
    site.deploy(&two).await.refuses(401, "sign_in_required");
    begin(&site, "ada@example.org", Some(&invite)).await.refuses(403, "invite_required");
    assert_eq!((site.database.count("users").await, site.tenants().await), (1, 1));
}
