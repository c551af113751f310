//! Signing in and out.

use crate::support::PASSWORD;
use crate::{Visitor, site};

#[tokio::test]
#[ignore = "needs Docker"]
async fn signing_in_goes_on_where_somebody_wanted_to_and_nowhere_else() {
    let site = site(&[]).await;
    site.sign_up("ada@example.org").await;
    for (next, to) in [
        ("", "/dashboard"),
        ("/settings/keys?page=2", "/settings/keys?page=2"),
        ("https://evil.example/", "/dashboard"),
        ("//evil.example/", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("/%0d%0aSet-Cookie:x=1\r\n", "/dashboard"),
    ] {
        let mut ada = Visitor::new(&site);
        let fields = [("email", " ada@example.org "), ("password", PASSWORD), ("next", next)];
        ada.send("/login", &fields).await.leads_to(to);
        assert_eq!(site.who(&ada.cookie).await, "ada@example.org");
        // The page has nothing for who is signed in.
        let query = format!("/login?{}", crate::form(&[("next", next)]));
        ada.get(&query).await.leads_to(to);
        ada.send("/logout", &[]).await.leads_to("/login?done=signed_out");
        let out = ada.get("/login?done=signed_out").await.is(200);
        out.has("You are signed out.").has("action=\"/login\"");
        assert!(site.who(&ada.cookie).await.is_null());
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_wrong_is_told_and_what_was_typed_stays_but_for_the_password() {
    let site = site(&[]).await;
    site.sign_up("ada@example.org").await;
    let mut ada = Visitor::new(&site);
    let sent = [("email", "ada@example.org"), ("password", "not mine at all"), ("remember", "on")];
    let page = ada.send("/login", &[&sent[..], &[("next", "/settings")]].concat()).await.is(401);
    page.has("The e-mail address or the password is wrong.").has("role=\"alert\"");
    page.has("value=\"ada@example.org\"").has("name=\"remember\" checked");
    page.has("name=\"next\" value=\"/settings\"").lacks("not mine at all");
    assert_eq!(page.header("set-cookie"), "");
    // The field that is meant says so itself.
    let page = ada.send("/login", &[("email", "ada"), ("password", "x")]).await.is(422);
    page.has("aria-invalid=\"true\" aria-describedby=\"email-wrong\"");
    page.has("<span class=\"wrong\" id=\"email-wrong\">").has("value=\"ada\"");
    // A value is text, whatever it looks like.
    let markup = "\"><script>alert(1)</script>@example.org";
    let page = ada.send("/login", &[("email", markup), ("password", "x")]).await.is(422);
    page.lacks("<script>alert");
}

/// An address that nobody knows signs nobody out.
#[tokio::test]
#[ignore = "needs Docker"]
async fn who_is_signed_in_stays_so_where_nothing_is() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    let page = ada.get("/no-such-page").await.is(404);
    page.has("There is nothing here").has("Sign out").lacks("Get started");
    Visitor::new(&site).get("/no-such-page").await.is(404).lacks("Sign out").has("Get started");
}

/// Of whom nobody knows, nobody says that they are not signed in.
#[tokio::test]
#[ignore = "needs Docker"]
async fn who_is_too_fast_is_not_told_to_sign_in() {
    let site = site(&[("RATE_READS", "4/hour")]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    while ada.get("/terms").await.status == 200 {}
    let page = ada.get("/terms").await.is(429);
    page.has("Too fast").lacks("Get started").lacks("href=\"/login\"").lacks("Sign out");
    let page = Visitor::new(&site).get("/terms").await.is(429);
    page.has("Get started").has("href=\"/login\"");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_remembered_session_outlives_the_browser() {
    let site = site(&[]).await;
    site.sign_up("ada@example.org").await;
    for remember in [true, false] {
        let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("remember", "on")];
        let fields = if remember { &fields[..] } else { &fields[..2] };
        let shown = Visitor::new(&site).send("/login", fields).await;
        assert_eq!(shown.header("set-cookie").contains("Max-Age="), remember, "{shown:?}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_page_for_its_owner_asks_to_sign_in_and_says_when_a_session_has_ended() {
    let site = site(&[]).await;
    let path = "/instances/00000000-0000-4000-8000-000000000000";
    let to = crate::form(&[("next", path)]);
    Visitor::new(&site).get(path).await.leads_to(&format!("/login?{to}"));
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    ada.get(path).await.is(404).has("There is nothing here");
    let cookie = ada.cookie.clone();
    ada.send("/logout", &[]).await.leads_to("/login?done=signed_out");
    // Another tab of the same browser does not know yet.
    ada.cookie = cookie;
    let to = format!("/login?{to}&done=session_ended");
    ada.get(path).await.leads_to(&to);
    ada.get(&to).await.is(200).has("Your session has ended.");
    // A cookie of somebody else, such as of a whole university, is no session that ended.
    ada.cookie = "_visits=1".to_owned();
    ada.get(path).await.leads_to(to.strip_suffix("&done=session_ended").unwrap());
}
