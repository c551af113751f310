//! Instances in a browser: what the buttons do, and what is seen of what others do.

use fresco_e2e::Stack;
use fresco_e2e::browser::Browser;
use fresco_e2e::service::{PASSWORD, Server, Service, Visitor};
use serde_json::json;

use crate::service::{PROGRAM, email, name};

const DOMAIN: &str = "localhost";

/// Somebody in front of a browser who is signed in, with one instance that runs.
pub(crate) struct Scene {
    server: Server,
    pub(crate) browser: Browser,
    platform: String,
    pub(crate) visitor: Visitor,
    pub(crate) tenant: String,
    pub(crate) subdomain: String,
    pub(crate) email: String,
}

impl Scene {
    pub(crate) async fn new(stack: &Stack) -> Self {
        let service = Service::new(PROGRAM, stack).await;
        let platform = format!("http://{DOMAIN}:{}", service.port());
        let server = service.start().await;
        let (visitor, subdomain, email) = (server.visitor(), name(), email());
        let tenant = visitor.deployed(&email, &subdomain).await;
        let browser = Browser::start(DOMAIN).await;
        Self { server, browser, platform, visitor, tenant, subdomain, email }
    }

    /// Its app takes its time to start from now on: what is seen only meanwhile can be waited for.
    pub(crate) async fn slowly(self) -> Self {
        let slow = json!({"tenantId": self.tenant, "environment": {"APP_BOOT_DELAY": "8"}});
        self.visitor.act("update", slow).await;
        self
    }

    pub(crate) async fn sign_in(&self) {
        self.browser.sign_in(&self.platform, &self.email, PASSWORD).await;
    }

    pub(crate) async fn go(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.platform)).await;
    }

    pub(crate) async fn page(&self, part: &str) {
        self.go(&format!("/instances/{}{part}", self.tenant)).await;
    }

    /// The button of the instance that does this.
    pub(crate) fn button(&self, what: &str) -> String {
        format!("#{what}-{}", self.tenant)
    }

    pub(crate) async fn end(self, complaints: &[&str]) {
        let told = self.browser.complaints().await;
        let told: Vec<_> = told
            .into_iter()
            .filter(|told| !complaints.iter().any(|known| told.contains(known)))
            .collect();
        assert_eq!(told, Vec::<String>::new());
        self.browser.close().await;
        assert!(self.server.stop().await.success());
    }
}

/// Whatever is done in one tab is seen in the other, which nobody loads again.
pub(crate) async fn two_tabs_and_every_button(stack: &Stack) {
    let scene = Scene::new(stack).await.slowly().await;
    let browser = &scene.browser;
    scene.sign_in().await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", "Running").await;
    let list = browser.tab().await;
    let one = browser.open_tab().await;
    scene.page("").await;
    browser.wait_for_text_in("#instance .title", "Running").await;

    browser.switch(&list).await;
    browser.click(&scene.button("stop")).await;
    browser.wait_for_text("The instance stops.").await;
    browser.wait_for_text_in("#instances", "Stopped").await;
    browser.switch(&one).await;
    browser.wait_for_text_in("#instance .title", "Stopped").await;
    browser.wait_for_text_in("#current-operation", "Stopping").await;
    browser.click(&scene.button("start")).await;
    browser.wait_for_text_in("#current-operation", "Starting").await;
    browser.wait_for_text_in("#current-operation", "Done").await;
    browser.wait_for_text_in("#instance .title", "Running").await;
    browser.switch(&list).await;
    browser.wait_for_text_in("#instances", "Running").await;
    browser.click(&scene.button("restart")).await;
    browser.wait_for_text("The instance restarts.").await;
    browser.wait_for_text_in("#instances", "Restarting").await;
    browser.switch(&one).await;
    browser.wait_for_text_in("#current-operation", "Restarting").await;
    browser.wait_for_text_in("#current-operation", "Done").await;
    browser.switch(&list).await;
    browser.wait_for_text_in("#instances", "Running").await;
    browser.switch(&one).await;

    // A further one: what is taken is said while it is typed, and what is free is one click away.
    scene.go("/instances/new").await;
    browser.type_into("#subdomain", &scene.subdomain).await;
    browser.wait_for_text_in("#availability", "This name is taken.").await;
    browser.click(".chip").await;
    browser.wait_for_text_in("#availability", "is free").await;
    let second = browser.value("#subdomain").await;
    browser.click("#new-instance .button:not(.quiet)").await;
    browser.wait_for_text_in("#instance .title", "Running").await;
    let page = browser.url().await;
    browser.switch(&list).await;
    browser.wait_for_text_in("#instances", "2 instances").await;
    browser.type_into("#search", "no-such-thing").await;
    browser.wait_for_text_in("#instances", "None of your instances is like that").await;
    browser.type_into("#search", &second).await;
    let narrowed = format!("/dashboard?search={second}");
    browser.wait_for_url(&narrowed).await;
    browser.wait_for_text_in("#instances", "1 instance").await;
    assert!(browser.url().await.ends_with(&narrowed));

    // Removing asks for the name.
    browser.switch(&one).await;
    browser.click("#remove").await;
    browser.type_into("#confirm", "another").await;
    browser.click("#removal .danger").await;
    browser.wait_for_text("This is not its name.").await;
    browser.type_into("#confirm", &second).await;
    browser.click("main form .danger").await;
    browser.wait_for_text_in("#instance .title", "Removed").await;
    assert!(browser.url().await.starts_with(page.split('?').next().unwrap()));
    browser.switch(&list).await;
    browser.wait_for_text_in("#instances", "None of your instances is like that").await;

    let end = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    scene.visitor.act("destroy", end).await;
    // The page that said that the name was another's is a 422.
    scene.end(&["422"]).await;
}

/// What others do is seen, and heard, without a need to look again; what is the same is left alone.
pub(crate) async fn what_others_do(stack: &Stack) {
    let scene = Scene::new(stack).await.slowly().await;
    let browser = &scene.browser;
    scene.sign_in().await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", "Running").await;
    let id = json!({"tenantId": scene.tenant});
    // As if somebody came back to the page just now.
    let look = "document.dispatchEvent(new Event('visibilitychange'));";
    for (path, part) in [
        ("/dashboard".to_owned(), "#instances"),
        (format!("/instances/{}", scene.tenant), ".title"),
    ] {
        scene.go(&path).await;
        browser.wait_for_text_in(part, "Running").await;
        let begun = scene.visitor.call(202, "tenants.restart", id.clone()).await;
        browser.run(look, Vec::new()).await;
        browser.wait_for_text_in(part, "Restarting").await;
        browser.wait_for_text_in("#say", &format!("{}: Restarting", scene.subdomain)).await;
        scene.visitor.success(begun["operationId"].as_str().unwrap()).await;
        browser.wait_for_text_in(part, "Running").await;
        browser.wait_for_text_in("#say", &format!("{}: Running", scene.subdomain)).await;
    }
    scene.go("/dashboard").await;
    let twice = "const {renew} = await import(document.querySelector('script[src$=\"dashboard.js\"]').src.replace('dashboard', 'live'));
        await renew(['instances']);
        const list = document.getElementById('instances');
        await renew(['instances']);
        return list.isConnected;";
    assert_eq!(browser.run(twice, Vec::new()).await, json!(true));
    let end = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    scene.visitor.act("destroy", end).await;
    scene.end(&[]).await;
}

/// With the first instance of an empty list, made elsewhere, come the list's tools, and they work.
pub(crate) async fn the_first_instance(stack: &Stack) {
    let scene = Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    let end = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    scene.visitor.act("destroy", end).await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", "Nothing here yet").await;
    let second = name();
    let made = scene.visitor.call(202, "tenants.create", json!({"subdomain": second})).await;
    browser.wait_for_text_in("#instances", "1 instance").await;
    browser.wait_for_text_in("#tools", "New instance").await;
    browser.type_into("#search", "no-such-thing").await;
    browser.wait_for_text_in("#instances", "None of your instances is like that").await;
    scene.visitor.success(made["operationId"].as_str().unwrap()).await;
    let end = json!({"tenantId": made["tenantId"], "confirmation": second});
    scene.visitor.act("destroy", end).await;
    scene.end(&[]).await;
}

/// The log is written on as the app writes, waits while it is paused, and goes on when the app was away.
pub(crate) async fn a_log_as_it_is_written(stack: &Stack) {
    let scene = Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    scene.page("/log").await;
    browser.wait_for_text_in("#log-state", "Live").await;
    let lines = "#log-lines div";
    let first = browser.count(lines).await;
    assert!(first > 0, "what was written before is there");
    let id = json!({"tenantId": scene.tenant});
    scene.visitor.act("stop", id.clone()).await;
    browser.wait_for_text_in("#log-state", "The app does not run").await;
    browser.wait_for_text_in("#log-head", "Stopped").await;
    assert!(browser.count(lines).await >= first, "what was written stays to be read");
    browser.click("#log-pause").await;
    browser.wait_for_text_in("#log-state", "Paused").await;
    let before = browser.count(lines).await;
    scene.visitor.act("start", id).await;
    browser.wait_for_text_in("#log-news", "new line").await;
    assert_eq!(browser.count(lines).await, before, "paused");
    browser.click("#log-pause").await;
    browser.wait_for_text_in("#log-state", "Live").await;
    browser.wait_for_text_in("#log-head", "Running").await;
    let more = "const deadline = performance.now() + 20000;
                while (document.querySelectorAll('#log-lines div').length <= args[0]) {
                    if (performance.now() > deadline) throw Error('no more lines');
                    await new Promise((done) => setTimeout(done, 20));
                }
                return true;";
    assert_eq!(browser.run(more, vec![json!(before)]).await, json!(true));
    let end = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    scene.visitor.act("destroy", end).await;
    scene.end(&["503"]).await;
}

/// Signing in, the list, every button of an instance's life, and a further one, for who runs no script.
pub(crate) async fn without_javascript(stack: &Stack) {
    let scene = Scene::new(stack).await;
    let browser = &scene.browser;
    browser.scripts(false).await;
    scene.sign_in().await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", &scene.subdomain).await;
    for (what, said, then) in [
        ("stop", "The instance stops.", "Stopped"),
        ("start", "The instance starts.", "Running"),
        ("restart", "The instance restarts.", "Running"),
    ] {
        browser.click(&scene.button(what)).await;
        browser.wait_for_text(said).await;
        let now = scene.visitor.call(200, "tenants.get", json!({"tenantId": scene.tenant})).await;
        assert_eq!(now["operations"][0]["action"], what, "{now:#}");
        scene.visitor.success(now["operations"][0]["id"].as_str().unwrap()).await;
        scene.go("/dashboard").await;
        browser.wait_for_text_in("#instances", then).await;
    }
    // A further one, whose name is another's at first.
    let second = name();
    scene.go("/instances/new").await;
    browser.type_into("#subdomain", &scene.subdomain).await;
    browser.click("#new-instance .button:not(.quiet)").await;
    browser.wait_for("#subdomain-wrong").await;
    browser.type_into("#subdomain", &second).await;
    browser.click("#new-instance .button:not(.quiet)").await;
    browser.wait_for_url("done=creating").await;
    browser.wait_for_text_in("#instance .title", &second).await;
    let made = browser.url().await;
    let made = made.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let now = scene.visitor.call(200, "tenants.get", json!({"tenantId": made})).await;
    scene.visitor.success(now["operations"][0]["id"].as_str().unwrap()).await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", "2 instances").await;
    let end = json!({"tenantId": made, "confirmation": second});
    scene.visitor.act("destroy", end).await;
    scene.page("/log").await;
    browser.wait_for("#log-lines").await;
    scene.page("").await;
    browser.click("#remove").await;
    browser.wait_for_url("/destroy").await;
    browser.type_into("#confirm", &scene.subdomain).await;
    browser.click("main form .danger").await;
    browser.wait_for_text("The instance is being removed").await;
    let now = scene.visitor.call(200, "tenants.get", json!({"tenantId": scene.tenant})).await;
    scene.visitor.success(now["operations"][0]["id"].as_str().unwrap()).await;
    scene.page("").await;
    browser.wait_for_text_in("#instance .title", "Removed").await;
    // The page that said that the name was taken is a 409.
    scene.end(&["409"]).await;
}
