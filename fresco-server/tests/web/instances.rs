//! A person's instances, as somebody sees and handles them who runs no script.

use std::time::Duration;

use fresco_core::memory::MemoryDatabase;
use fresco_core::{Action, TenantId};
use serde_json::{Value, json};

use crate::support::soon;
use crate::{Shown, Visitor, site};

/// An instance of this name that runs; its id.
async fn running(visitor: &Visitor<'_>, subdomain: &str) -> String {
    let body = json!({ "subdomain": subdomain });
    let made = visitor.site.post_with(&visitor.cookie, "/api/tenants.create", body).await;
    visitor.site.done(made.text("operationId")).await;
    made.text("tenantId").to_owned()
}

async fn told(visitor: &Visitor<'_>, id: &str) -> Value {
    let body = json!({ "tenantId": id });
    visitor.site.post_with(&visitor.cookie, "/api/tenants.get", body).await.ok().body
}

/// Waits for what is done with it last, and tells how it stands then.
async fn settled(visitor: &Visitor<'_>, id: &str) -> (String, String) {
    let now = told(visitor, id).await;
    visitor.site.done(now["operations"][0]["id"].as_str().unwrap()).await;
    let now = told(visitor, id).await;
    let action = now["operations"][0]["action"].as_str().unwrap().to_owned();
    (action, now["tenant"]["status"].as_str().unwrap().to_owned())
}

fn cards(page: &Shown) -> usize {
    page.text.matches("data-tenant=").count()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn none_one_two_and_fifty() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    let page = ada.get("/dashboard").await.is(200);
    page.has("Create your first instance").lacks("id=\"filters\"");
    // Every way an instance may stand can be asked for.
    for status in ["active", "stopped", "error", "pending", "provisioning", "destroying"] {
        let page = ada.get(&format!("/dashboard?status={status}")).await.is(200);
        page.has(&format!("<option value=\"{status}\" selected>"));
    }
    let mut made = 0;
    for count in [1, 2, 50] {
        while made < count {
            running(&ada, &format!("study-{made:02}")).await;
            made += 1;
        }
        let page = ada.get("/dashboard").await.is(200);
        assert_eq!(cards(&page), count.min(12));
        page.has(&format!(">{count} instance{}<", if count == 1 { "" } else { "s" }));
        assert_eq!(page.text.contains("Page 1 of 5"), count == 50);
    }
    let last = ada.get("/dashboard?view=list&page=5").await.is(200);
    assert_eq!(cards(&last), 2);
    last.has("Page 5 of 5").has("href=\"/dashboard?view=list&#38;page=4\"").lacks("rel=\"next\"");
    let some = ada.get("/dashboard?search=STUDY-1").await.is(200);
    some.has(">10 instances<").has("value=\"STUDY-1\"");
    ada.get("/dashboard?status=stopped").await.is(200).has("None of your instances is like that");
    // What nobody offers is as if it were not there.
    let all = ada.get("/dashboard?status=x&page=x&view=x&search=").await.is(200);
    assert_eq!(cards(&all), 12);
    ada.get("/dashboard?page=99").await.is(200).has("There is nothing on this page");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn from_the_first_to_the_last_button() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let made = ada.send("/instances/new", &[("subdomain", " Ants ")]).await;
    let page = made.header("location").strip_suffix("?done=creating").unwrap().to_owned();
    let id = page.strip_prefix("/instances/").unwrap().to_owned();
    assert_eq!(settled(&ada, &id).await, ("create".into(), "active".into()));
    ada.get(&format!("{page}?done=creating"))
        .await
        .is(200)
        .has("Running")
        .has("http://ants.localhost");

    let back = "/dashboard?view=list&search=ants";
    let to = format!("{page}/stop");
    ada.send(&to, &[("back", back)]).await.leads_to(&format!("{back}&done=stopping#at-{id}"));
    assert_eq!(settled(&ada, &id).await, ("stop".into(), "stopped".into()));
    ada.get(&page).await.is(200).has("Stopped").has(&format!("action=\"{page}/start\""));
    ada.send(&format!("{page}/start"), &[]).await.leads_to(&format!("{page}?done=starting"));
    assert_eq!(settled(&ada, &id).await, ("start".into(), "active".into()));
    // Nobody is led to another place.
    let elsewhere = [("back", "//evil.example/x")];
    let to = ada.send(&format!("{page}/restart"), &elsewhere).await;
    to.leads_to(&format!("/dashboard?done=restarting#at-{id}"));
    assert_eq!(settled(&ada, &id).await, ("restart".into(), "active".into()));
    ada.send(&format!("{page}/open"), &[]).await.leads_to(&format!("{page}?done=opened"));
    ada.get(&format!("{page}/log")).await.is(200).has("listening on port 3000");

    let removal = format!("{page}/destroy");
    ada.get(&removal).await.is(200).has("for good");
    let wrong = ada.send(&removal, &[("confirmation", "bees")]).await.is(422);
    wrong.has("aria-invalid=\"true\"").has("Type ants to remove it.");
    assert_eq!(told(&ada, &id).await["tenant"]["status"], "active");
    let gone = ada.send(&removal, &[("confirmation", " ants ")]).await;
    gone.leads_to(&format!("{page}?done=removing"));
    assert_eq!(settled(&ada, &id).await, ("destroy".into(), "destroyed".into()));
    let gone = ada.get(&page).await.is(200);
    gone.has("Removed").lacks("/destroy").lacks("/start").lacks("/change");
    ada.get(&removal).await.leads_to(&page);
    ada.get(&format!("{page}/log")).await.is(200).has("its log with it");
    ada.send(&format!("{page}/start"), &[]).await.is(404);
}

/// By two clicks, or by whom no answer reached: what the first made is what the second leads to.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_form_sent_twice_makes_one_instance() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    running(&ada, "bees").await;
    let form = ada.get("/instances/new").await.is(200);
    let (_, once) = form.text.split_once("name=\"once\" value=\"").unwrap();
    let once = once.split_once('"').unwrap().0;
    // Another name is another wish, also in the same form.
    let taken = ada.send("/instances/new", &[("subdomain", "bees"), ("once", once)]).await.is(409);
    taken.has("id=\"subdomain-wrong\"").has(once);
    let sent = [("subdomain", "ants"), ("once", once)];
    let made = ada.send("/instances/new", &sent).await;
    let again = ada.send("/instances/new", &sent).await;
    again.leads_to(made.header("location"));
    ada.get("/dashboard").await.is(200).has("2 instances");
}

/// An app that gives itself to its first visitor is nobody's to visit before its owner was there.
#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_to_be_set_up_is_not_offered_for_a_visit() {
    let site = site(&[("FRESCO_APP", "fresco"), ("FRESCO_IMAGE", "memory/app:1")]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    // As the gate does before the first container.
    let tenant = TenantId::from_uuid(id.parse().unwrap());
    site.database.accounts().await.close_claim(tenant).await.unwrap();
    let page = format!("/instances/{id}");
    let visit = "href=\"http://ants.localhost\"";
    ada.get(&page).await.is(200).has("Make it yours").has("after that the app locks").lacks(visit);
    ada.get("/dashboard").await.is(200).has("set it up first").has("To be set up").lacks(visit);
    // Whoever keeps the platform sees it, too.
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    ada.get("/admin/tenants")
        .await
        .is(200)
        .has("To be set up")
        .lacks(">Running</span>")
        .lacks(visit);
    // Once somebody came in by the link, another time holds.
    let accounts = site.database.accounts().await;
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    let word = accounts.claim_word(&claim);
    accounts.enter_claim(&claim, &word).await.unwrap().unwrap();
    accounts.came_in(tenant).await.unwrap();
    assert!(told(&ada, &id).await["claim"]["enteredAt"].is_string());
    let entered = ada.get(&page).await.is(200);
    entered.has("Somebody came in by it on").has("Everybody is let in from").lacks("the app locks");
    let asked = ada.get(&format!("{page}/open")).await.is(200);
    asked.has("Let everybody reach ants?").has("be taken back");
    assert_eq!(told(&ada, &id).await["tenant"]["unclaimed"], true, "asking opens nothing");
    ada.send(&format!("{page}/open"), &[]).await.leads_to(&format!("{page}?done=opened"));
    ada.get(&format!("{page}/open")).await.leads_to(&page);
    ada.get(&page).await.is(200).lacks("Make it yours").has(visit);
    ada.get("/dashboard").await.is(200).lacks("set it up first").lacks("To be set up").has(visit);
    ada.get("/admin/tenants").await.is(200).lacks("To be set up").has(">Running</span>");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_refused_name_stays_in_its_field() {
    let site = site(&[("TENANTS_PER_USER", "2")]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    running(&ada, "ants").await;
    let taken = ada.send("/instances/new", &[("subdomain", "ants")]).await.is(409);
    taken
        .has("value=\"ants\"")
        .has("aria-invalid=\"true\"")
        .has("href=\"/instances/new?subdomain=ants-");
    for wrong in ["", "a", "a--b", "123", "www", "\"><script>"] {
        let page = ada.send("/instances/new", &[("subdomain", wrong)]).await;
        assert!(matches!(page.status, 409 | 422), "{wrong}: {}", page.status);
        page.has("id=\"subdomain-wrong\"").lacks("\"><script>");
    }
    running(&ada, "bees").await;
    let full = ada.send("/instances/new", &[("subdomain", "cats")]).await.is(409);
    full.has("role=\"alert\"").has("as many instances").has("value=\"cats\"");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn limits_are_changed() {
    let site = site(&[("MAX_MEMORY", "1024")]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    let page = format!("/instances/{id}/change");
    ada.get(&page).await.is(200).has("value=\"512\"").has("256 to 1024");
    let typed = |memory, cpus| [("memory", memory), ("cpus", cpus), ("image", "memory/app:1")];
    ada.send(&page, &typed("512", "0.5")).await.is(200).has("Nothing was changed.");
    ada.send(&page, &typed("much", "0.5")).await.is(422).has("value=\"much\"").has("memory-wrong");
    ada.send(&page, &typed("4096", "0.5")).await.is(422).has("id=\"memory-wrong\"");
    ada.send(&page, &typed("512", "99")).await.is(422).has("id=\"cpus-wrong\"");
    let image = [("memory", "512"), ("cpus", "0.5"), ("image", "other/app:1")];
    ada.send(&page, &image).await.is(422).has("id=\"image-wrong\"").has("<details open>");
    let good = ada.send(&page, &typed("700", "0,75")).await;
    good.leads_to(&format!("/instances/{id}?done=changing"));
    assert_eq!(settled(&ada, &id).await, ("update".into(), "active".into()));
    let limits = &told(&ada, &id).await["tenant"]["limits"];
    assert_eq!((&limits["memoryMb"], &limits["cpus"]), (&json!(700), &json!(0.75)));
}

/// What is asked for while something is under way is refused on the instance's own page.
#[tokio::test]
#[ignore = "needs Docker"]
async fn one_thing_at_a_time() {
    let site = site(&[]).await;
    let app = fresco_core::memory::MemoryApp::slow(Duration::from_secs(600));
    site.world.image("memory/app:1".parse().unwrap(), app);
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let made = ada.send("/instances/new", &[("subdomain", "ants")]).await;
    let page = made.header("location").strip_suffix("?done=creating").unwrap().to_owned();
    let shown = ada.get(&page).await.is(200);
    shown.lacks(&format!("action=\"{page}/restart\"")).has(&format!("{page}/destroy"));
    let busy = ada.send(&format!("{page}/restart"), &[]).await.is(409);
    busy.has("role=\"alert\"").has("<h1>ants</h1>").has(&format!("data-address=\"{page}\""));
    ada.send(&format!("{page}/destroy"), &[("confirmation", "ants")]).await;
    let id = page.strip_prefix("/instances/").unwrap();
    assert_eq!(settled(&ada, id).await, ("destroy".into(), "destroyed".into()));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn nobody_elses_business() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    let mut eve = Visitor::known(&site, "eve@example.org").await;
    let mut nobody = Visitor::new(&site);
    let looked = ["", "/log", "/change", "/destroy"].map(|part| format!("/instances/{id}{part}"));
    for path in &looked {
        eve.get(path).await.is(404).lacks("ants");
        let to = format!("/login?next={}", path.replace('/', "%2F"));
        nobody.get(path).await.leads_to(&to);
    }
    let typed = [("confirmation", "ants"), ("memory", "600"), ("cpus", "1"), ("image", "x")];
    for part in ["start", "stop", "restart", "open", "change", "destroy"] {
        let path = format!("/instances/{id}/{part}");
        eve.send(&path, &typed).await.is(404).lacks("ants</h1>");
        // Back to the form, or to where its button stands.
        let to = format!("/login?next={}", path.replace('/', "%2F"));
        nobody.send(&path, &typed).await.leads_to(&to);
    }
    let back = [("back", "/dashboard?view=list")];
    let to = "/login?next=%2Fdashboard%3Fview%3Dlist";
    nobody.send(&format!("/instances/{id}/stop"), &back).await.leads_to(to);
    nobody.get("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    // What was typed is there again after signing in.
    let typed = "/instances/new?subdomain=bees";
    nobody.send("/instances/new", &[("subdomain", " Bees")]).await.leads_to(typed);
    let to = "/login?next=%2Finstances%2Fnew%3Fsubdomain%3Dbees";
    nobody.get(typed).await.leads_to(to);
    ada.get(typed).await.is(200).has("value=\"bees\"");
    for path in ["/instances/x", "/instances/x/log", "/instances/x/destroy"] {
        ada.get(path).await.is(404);
    }
    assert_eq!(told(&ada, &id).await["operations"].as_array().unwrap().len(), 1);
}

/// The address of a form leads to its page: it is there in the browser after a refusal.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_refusal_can_be_loaded_again() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    for (form, page) in [
        (format!("/instances/{id}/start"), format!("/instances/{id}")),
        (format!("/instances/{id}/stop"), format!("/instances/{id}")),
        (format!("/instances/{id}/restart"), format!("/instances/{id}")),
        // Nothing is to be opened.
        (format!("/instances/{id}/open"), format!("/instances/{id}")),
        ("/settings/email".to_owned(), "/settings".to_owned()),
        ("/settings/verification".to_owned(), "/settings".to_owned()),
        (format!("/settings/sessions/{id}/revoke"), "/settings/sessions".to_owned()),
        ("/instances/%2F%2Fevil/stop".to_owned(), "/instances/%2F%2Fevil".to_owned()),
        ("/logout".to_owned(), "/".to_owned()),
    ] {
        ada.get(&form).await.leads_to(&page);
    }
    assert_eq!(site.who(&ada.cookie).await, "ada@example.org");
    assert_eq!(told(&ada, &id).await["operations"].as_array().unwrap().len(), 1);
}

/// The platform stops an app that keeps more than it may, and says so wherever the instance is seen.
#[tokio::test]
#[ignore = "needs Docker"]
async fn what_the_platform_stopped_says_why() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    let tenant = TenantId::from_uuid(id.parse().unwrap());
    let all = "x".repeat(usize::try_from(MemoryDatabase::SIZE_LIMIT).unwrap());
    site.world.put(tenant, "all", &all).unwrap();
    // The server looks by itself, too.
    let stopping = async {
        while site.orchestrator.operations(tenant, 1).await.unwrap()[0].action != Action::Stop {
            site.orchestrator.watch_database().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("a stop", stopping).await;
    assert_eq!(settled(&ada, &id).await, ("stop".into(), "stopped".into()));
    let why = "on disk, and 1 MB are allowed";
    ada.get("/dashboard").await.is(200).has(">Stopped</span>").has(why);
    let shown = ada.get(&format!("/instances/{id}")).await.is(200);
    shown.has(">Stopped</span>").has("<div class=\"notice warning\">").has(why);
    assert!(told(&ada, &id).await["tenant"]["error"]["message"].as_str().unwrap().contains(why));
}

/// One that restarts does not run, wherever it is told.
#[tokio::test]
#[ignore = "needs Docker"]
async fn what_restarts_is_said_to_restart() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    let slow = fresco_core::memory::MemoryApp::slow(Duration::from_secs(600));
    site.world.image("memory/app:1".parse().unwrap(), slow);
    let page = format!("/instances/{id}");
    ada.get("/dashboard").await.is(200).has(">Running</span>").has("data-operation=\"\"");
    assert!(told(&ada, &id).await["tenant"].get("operation").is_none());
    // Fetched again, it is the slow one.
    let image = ("image", "memory/app:1");
    let typed = [("memory", "512"), ("cpus", "0.5"), image, ("newest", "on")];
    ada.send(&format!("{page}/change"), &typed).await;
    assert_eq!(told(&ada, &id).await["tenant"]["status"], "active");
    for path in ["/dashboard", &page, &format!("{page}/log"), &format!("{page}/change")] {
        let shown = ada.get(path).await.is(200);
        shown.has("busy\">Updating</span>").lacks("active\">Running</span>");
    }
    let now = told(&ada, &id).await;
    let operation = &now["tenant"]["operation"];
    let last = &now["operations"][0];
    assert_eq!((&operation["id"], &operation["action"]), (&last["id"], &json!("update")));
    let list = site.post_with(&ada.cookie, "/api/tenants.list", json!({})).await.ok().body;
    assert_eq!(list["tenants"][0]["operation"], *operation, "{list}");
    let mark = format!("data-operation=\"{}\"", operation["id"].as_str().unwrap());
    ada.get("/dashboard").await.is(200).has(&mark).lacks("/stop\"");
    ada.send(&format!("{page}/destroy"), &[("confirmation", "ants")]).await;
    assert_eq!(settled(&ada, &id).await, ("destroy".into(), "destroyed".into()));
}

/// However many there are, the list is asked for once.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_list_is_one_call() {
    let site = site(&[("RATE_READS", "8/hour")]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    for count in 0..6 {
        running(&ada, &format!("study-{count}")).await;
    }
    // The page, who looks at it, and the list.
    for _ in 0..2 {
        assert_eq!(cards(&ada.get("/dashboard").await.is(200)), 6);
    }
}

/// What an app writes is text, whatever it is.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_log_is_text() {
    let site = site(&[]).await;
    let stream = fresco_core::LogStream::Stderr;
    let app = fresco_core::memory::MemoryApp::healthy().printing(stream, "<b>&amp;</b>");
    site.world.image("memory/app:1".parse().unwrap(), app);
    let ada = Visitor::known(&site, "ada@example.org").await;
    let id = running(&ada, "ants").await;
    let log = ada.get(&format!("/instances/{id}/log")).await.is(200);
    log.has(" UTC</time>");
    log.has("class=\"stderr\"").has("&#60;b&#62;&#38;amp;&#60;/b&#62;").lacks("<b>");
}
