//! What somebody sets of their own account.

use serde_json::{Value, json};

use crate::support::PASSWORD;
use crate::support::site::Site;
use crate::support::smtp::MailServer;
use crate::{Shown, Visitor, site};

/// The value of this attribute behind this mark, as the browser reads it.
#[track_caller]
fn attribute(page: &Shown, mark: &str, name: &str) -> String {
    let (_, rest) =
        page.text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {}", page.text));
    let (_, rest) = rest.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

async fn call(site: &Site, visitor: &Visitor<'_>, name: &str) -> Value {
    site.post_with(&visitor.cookie, &format!("/api/{name}"), json!({})).await.ok().body
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn whoever_is_not_signed_in_is_led_there_and_back() {
    let site = site(&[]).await;
    let mut nobody = Visitor::new(&site);
    for path in ["/settings", "/settings/password", "/settings/sessions", "/settings/keys/new"] {
        let to = format!("/login?next={}", path.replace('/', "%2F"));
        nobody.get(path).await.leads_to(&to);
    }
    nobody.send("/settings", &[("name", "Eve")]).await.leads_to("/login?next=%2Fsettings");
    nobody.get("/admin").await.leads_to("/login?next=%2Fadmin");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_name_is_saved_and_what_is_wrong_with_it_said() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    ada.send("/settings", &[("name", " Ada <b> ")]).await.leads_to("/settings?done=name_saved");
    let page = ada.get("/settings?done=name_saved").await.is(200);
    page.has("Your name is saved.").has("value=\"Ada &#60;b&#62;\"").lacks("Ada <b>");
    let long = "x".repeat(201);
    let page = ada.send("/settings", &[("name", &long)]).await.is(422);
    page.has("role=\"alert\"")
        .has("aria-describedby=\"name-wrong name-hint\"")
        .has("id=\"name-wrong\"")
        .has(&long);
    // Without mail there is no letter to wait for, and no form that would need one.
    page.has("sends no e-mail").lacks("action=\"/settings/email\"").lacks("/settings/verification");
    let gone = ada.send("/settings", &[("name", "")]).await;
    gone.leads_to("/settings?done=name_saved");
    assert_eq!(call(&site, &ada, "auth.getSession").await["user"].get("name"), None);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn another_address_needs_the_password_and_a_letter() {
    let mail = MailServer::plain();
    let settings = mail.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let site = site(&settings).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    ada.get("/settings").await.has("Not verified yet").has("Send the letter again");
    let wrong = [("email", "new@example.org"), ("password", "not the password")];
    let page = ada.send("/settings/email", &wrong).await.is(403);
    page.has("id=\"password-wrong\"").has("value=\"new@example.org\"").lacks("not the password");
    let page = ada.send("/settings/email", &[("email", "nonsense"), ("password", PASSWORD)]).await;
    page.is(422).has("id=\"email-wrong\"").lacks(PASSWORD);
    let right = [("email", "new@example.org"), ("password", PASSWORD)];
    ada.send("/settings/email", &right).await.leads_to("/settings?done=email_pending");
    ada.get("/settings").await.has("<strong>new@example.org</strong>");
    ada.send("/settings/verification", &[]).await.leads_to("/settings?done=letter_sent");
    ada.get("/settings/email").await.leads_to("/settings");
    // The present one takes the other back.
    let present = [("email", "ada@example.org"), ("password", PASSWORD)];
    ada.send("/settings/email", &present).await.leads_to("/settings?done=email_kept");
    ada.get("/settings?done=email_kept").await.has("ada@example.org").lacks("new@example.org");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_password_is_changed_and_others_are_signed_out() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let mut elsewhere = Visitor::new(&site);
    let login = |password| [("email", "ada@example.org"), ("password", password)];
    elsewhere.send("/login", &login(PASSWORD)).await.leads_to("/dashboard");
    let change = |current, new| [("current", current), ("new", new)];
    let page = ada.send("/settings/password", &change("wrong", "another long one")).await.is(403);
    page.has("id=\"current-wrong\"").lacks("another long one");
    let page = ada.send("/settings/password", &change(PASSWORD, "short")).await.is(422);
    page.has("id=\"new-wrong\"").lacks(PASSWORD);
    let done = ada.send("/settings/password", &change(PASSWORD, "another long one")).await;
    done.leads_to("/settings/password?done=password_changed");
    ada.get("/settings/password?done=password_changed")
        .await
        .is(200)
        .has("Your password is changed.");
    elsewhere.get("/settings").await.leads_to("/login?next=%2Fsettings&done=session_ended");
    elsewhere.send("/login", &login("another long one")).await.leads_to("/dashboard");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn sessions_are_ended_one_by_one_or_all_others() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let page = ada.get("/settings/sessions").await.is(200);
    page.has("This browser").lacks("Sign out everywhere else").lacks("aria-label=\"Sign out ");
    let login = [("email", "ada@example.org"), ("password", PASSWORD)];
    let mut others = [Visitor::new(&site), Visitor::new(&site), Visitor::new(&site)];
    for other in &mut others {
        other.send("/login", &login).await.leads_to("/dashboard");
    }
    let page = ada.get("/settings/sessions").await;
    let action =
        attribute(&page, "<form method=\"post\" action=\"/settings/sessions/others", "action");
    ada.send(&action, &[]).await.leads_to("/settings/sessions?done=session_revoked");
    // Sent twice, by two tabs, it is done all the same.
    ada.send(&action, &[]).await.leads_to("/settings/sessions?done=session_revoked");
    let count = async |others: &[Visitor<'_>; 3]| {
        let mut signed_in = 0;
        for other in others {
            signed_in += u32::from(other.get("/settings").await.status == 200);
        }
        signed_in
    };
    assert_eq!(count(&others).await, 2);
    let all = "/settings/sessions/others/revoke";
    ada.send(all, &[]).await.leads_to("/settings/sessions?done=sessions_revoked");
    assert_eq!(count(&others).await, 0);
    ada.get("/settings/sessions").await.is(200).lacks("Sign out everywhere else");
    // Nobody ends another's.
    let mut eve = Visitor::known(&site, "eve@example.org").await;
    let own = call(&site, &ada, "auth.listSessions").await["sessions"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    eve.send(&format!("/settings/sessions/{own}/revoke"), &[]).await;
    ada.get("/settings").await.is(200);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_key_is_shown_once_and_revoked() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    ada.get("/settings/keys").await.is(200).has("You have no key.");
    // The scope of admins is nothing to offer to others.
    let page = ada.get("/settings/keys/new").await.is(200);
    page.has("value=\"tenants:read\"").lacks("value=\"admin\"").has("value=\"90\" selected");
    let once = attribute(&page, "name=\"once\"", "value");
    let without = [("name", "Backup"), ("days", "30"), ("once", &once)];
    let page = ada.send("/settings/keys/new", &without).await.is(422);
    assert_eq!(attribute(&page, "name=\"once\"", "value"), once, "none was made, or nobody knows");
    page.has("id=\"scopes-wrong\"").has("value=\"Backup\"").has("value=\"30\" selected");
    let once = attribute(&page, "name=\"once\"", "value");
    let scopes = [("scope", "tenants:read"), ("scope", "logs:read")];
    let wanted = [[("name", "Backup"), ("once", &once)], scopes].concat();
    let made = ada.send("/settings/keys/new", &wanted).await.is(200);
    made.has("It is shown this once");
    assert!(made.header("cache-control").contains("no-store"), "{}", made.header("cache-control"));
    let key = attribute(&made, "<input id=\"key\"", "value");
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 200);
    // Whoever loads that page again sends the form once more: nothing comes of it but the form.
    let again = ada.send("/settings/keys/new", &wanted).await.is(409);
    again.has("This key was made before").has("value=\"Backup\"").lacks(&key);
    let listed = site.post_with(&ada.cookie, "/api/apiKeys.list", json!({})).await.ok();
    assert_eq!(listed.body["keys"].as_array().unwrap().len(), 1);
    assert_ne!(
        attribute(&again, "name=\"once\"", "value"),
        once,
        "from there a further one is made"
    );
    let page = ada.get("/settings/keys").await.is(200);
    page.has("Backup").has("logs:read").lacks(&key);
    let revoke = attribute(&page, "danger", "href");
    ada.get(&revoke).await.is(200).has("Revoke the key “Backup”?").has("href=\"/settings/keys\"");
    // It is somebody else's.
    let mut eve = Visitor::known(&site, "eve@example.org").await;
    eve.get(&revoke).await.is(404);
    eve.send(&revoke, &[]).await.is(404);
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 200);
    ada.send(&revoke, &[]).await.leads_to("/settings/keys?done=key_revoked");
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 401);
    ada.get("/settings/keys?done=key_revoked")
        .await
        .is(200)
        .has("You have no key.")
        .has("The key is revoked.");
}
