//! Signing up in a browser: the whole wizard, to a page of one's own.

mod kept;
mod setup;
mod ways;

use std::path::PathBuf;

use fresco_e2e::Stack;
use fresco_e2e::browser::{Browser, DESKTOP, PHONE, Theme};
use fresco_e2e::service::{PASSWORD, Server, Service, until};
use serde_json::{Value, json};

use crate::claim::PROFILE;
use crate::service::{PROGRAM, email, name};

pub(crate) use kept::{
    by_an_invite_and_the_code_of_a_letter, nothing_is_left_to_who_comes_next,
    two_tabs_of_one_sign_up, what_can_not_be_reached_is_waited_for,
    who_comes_too_late_begins_again,
};
pub(crate) use setup::{a_set_up_as_it_is_told, somebody_was_faster, when_there_is_no_room};
pub(crate) use ways::{another_name_from_another_tab, no_way_leads_past_what_was_typed};

const DOMAIN: &str = "localhost";

/// A platform, somebody in front of a browser, and whom and what they make.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) browser: Browser,
    platform: String,
    pub(crate) email: String,
    pub(crate) subdomain: String,
}

impl Scene {
    pub(crate) async fn of(service: Service) -> Self {
        let platform = format!("http://{DOMAIN}:{}", service.port());
        let server = service.start().await;
        let browser = Browser::start(DOMAIN).await;
        Self { server, browser, platform, email: email(), subdomain: name() }
    }

    pub(crate) async fn begin(&self) {
        self.browser.goto(&format!("{}/signup", self.platform)).await;
        self.browser.wait_for("#account-form").await;
    }

    pub(crate) async fn account(&self) {
        self.browser.type_into("#email", &self.email).await;
        self.browser.type_into("#password", PASSWORD).await;
        self.onward("account").await;
        self.browser.wait_for("#use-form").await;
    }

    async fn study(&self) {
        self.browser.click(".choice [value=study]").await;
        self.onward("use").await;
        self.browser.wait_for("#address-form").await;
    }

    async fn address(&self) {
        self.browser.type_into("#subdomain", &self.subdomain).await;
        self.browser.wait_for_text_in("#availability", "is free").await;
        self.onward("address").await;
        self.browser.wait_for("#terms-form").await;
    }

    async fn accept(&self) {
        self.browser.click("#termsAccepted").await;
        self.browser.click("#privacyAccepted").await;
        self.onward("terms").await;
    }

    pub(crate) async fn onward(&self, form: &str) {
        self.browser.click(&format!("#{form}-form .onward .button:not([type=button])")).await;
    }

    /// Everything up to the page of the deployment.
    async fn whole(&self) {
        self.begin().await;
        self.account().await;
        self.study().await;
        self.address().await;
        self.accept().await;
        self.browser.wait_for("#deployment[data-state]").await;
    }

    pub(crate) async fn ready(&self) {
        self.browser.wait_for("#deployment[data-state=ready]").await;
    }

    /// What the wizard's session is for the server.
    async fn held(&self) -> Value {
        let held = "
            const {session} = JSON.parse(localStorage.getItem('fresco.signup'));
            const answer = await fetch('/api/wizard.getSession', {method: 'POST',
                headers: {'content-type': 'application/json'}, body: JSON.stringify({sessionId: session})});
            return (await answer.json()).data;";
        self.browser.run(held, Vec::new()).await
    }

    /// Nothing that a page said of itself, and no word of a password in what the browser keeps.
    async fn is_clean(&self) {
        // What the instance's own page lacks is its own affair.
        let its_own = format!("http://{}.", self.subdomain);
        let said = self.browser.complaints().await.into_iter();
        let ours: Vec<_> = said.filter(|line| !line.starts_with(&its_own)).collect();
        assert_eq!(ours, Vec::<String>::new());
        let stored =
            "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie]);";
        let stored = self.browser.run(stored, Vec::new()).await.to_string();
        assert!(!stored.contains("horse"), "{stored}");
    }

    /// The same after answers of these statuses, which browsers write down.
    pub(crate) async fn is_clean_but(&self, one: &str, other: &str) {
        let complaints = self.browser.complaints().await;
        let expected = |words: &String| {
            words.contains(&format!("status of {one}"))
                || words.contains(&format!("status of {other}"))
        };
        assert!(complaints.iter().all(expected), "{complaints:?}");
    }

    pub(crate) async fn end(self) {
        self.is_clean().await;
        self.browser.close().await;
        assert!(self.server.stop().await.success());
    }

    /// Comes to it in a further tab.
    async fn begin_again(&self, seen: &str) {
        self.browser.goto(&format!("{}/signup", self.platform)).await;
        self.browser.wait_for(seen).await;
    }

    /// Looks at a step, as everybody may see it: nothing keeps anybody out, and nothing is too wide.
    async fn look(&self, step: &str) {
        for (size, words) in [(PHONE, "phone"), (DESKTOP, "desktop")] {
            for theme in [Theme::Dark, Theme::Light] {
                self.browser.resize(size).await;
                self.browser.theme(theme).await;
                let found = self.browser.axe().await;
                assert!(found.is_empty(), "{step}, {words}, {theme:?}: {found:#?}");
                assert_eq!(self.browser.overflow().await, 0, "{step}, {words}");
            }
        }
    }

    /// Loads the page again, which must be at the same step.
    async fn again(&self, seen: &str) {
        self.browser.reload().await;
        self.browser.wait_for(seen).await;
    }
}

/// The profile of an app that starts slowly enough for its set-up to be seen.
pub(crate) fn slow_app() -> PathBuf {
    let profile = std::env::temp_dir().join(format!("fresco-profile-{}.toml", name()));
    let slow = PROFILE.replace("APP_CLAIM = \"1\"", "APP_CLAIM = \"1\"\nAPP_BOOT_DELAY = \"6\"");
    std::fs::write(&profile, slow).unwrap();
    profile
}

pub(crate) async fn from_the_first_step_to_a_page_of_ones_own(stack: &Stack) {
    let profile = slow_app();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let scene = Scene::of(service.with("SANDBOX_URL", "https://sandbox.example.org")).await;
    let Scene { browser, subdomain, .. } = &scene;

    scene.begin().await;
    scene.again("#account-form").await;
    scene.account().await;
    scene.is_clean().await;
    scene.again("#use-form").await;
    browser.click(".choice [value=testing]").await;
    browser.wait_for("#sandbox a[href^='https://sandbox.example.org']").await;
    scene.study().await;
    scene.again("#address-form").await;
    browser.type_into("#subdomain", subdomain).await;
    browser.wait_for_text_in("#availability", "is free").await;
    browser.wait_for_text_in("#preview", &format!("{subdomain}.{DOMAIN}")).await;
    scene.address().await;
    scene.again("#terms-form").await;
    scene.accept().await;

    browser.wait_for("#deployment[data-state] .steps li").await;
    scene.again("#deployment[data-state] h1").await;
    scene.ready().await;
    scene.again("#deployment[data-state=ready]").await;
    let url = format!("http://{subdomain}.{DOMAIN}:{}", stack.proxy_ports().0);
    // Nobody is led there before it is set up.
    browser.wait_for_text_in("#host", &url).await;
    let led = "return [...document.links].filter((link) => link.href.startsWith(args[0])).map((link) => link.id);";
    let led = browser.run(led, vec![json!(url)]).await;
    assert_eq!(led, json!(["claim-link"]));
    scene.is_clean().await;

    let page = browser.url().await;

    // Nobody gets in but by the link, which makes who follows it the app's owner.
    browser.goto(&format!("{url}/whoami")).await;
    assert!(!browser.text().await.contains("publicUrl"), "{}", browser.text().await);
    let said = browser.complaints().await;
    assert!(said.iter().any(|words| words.contains("403")), "{said:?}");
    browser.goto(&page).await;
    let platform = browser.tab().await;
    let claim =
        "const a = document.querySelector('.claim a'); a.removeAttribute('target'); a.click();";
    browser.leave(claim, Vec::new()).await;
    browser.wait_for_text("you own this now").await;
    browser.goto(&format!("{url}/whoami")).await;
    browser.wait_for_text(subdomain).await;
    browser.switch(&platform).await;
    let _ = browser.complaints().await;

    // Who owns it lets everybody else in.
    browser.goto(&page).await;
    browser.click("#its-page").await;
    browser.wait_for_text_in("#claim", "Somebody came in by it").await;
    browser.click("#claim-done").await;
    browser.wait_for_text(&format!("Let everybody reach {subdomain}?")).await;
    browser.click(".question .button").await;
    browser.wait_for_text("Its address is open to everybody now.").await;
    browser.wait_for("#visit").await;
    let host = format!("{subdomain}.{DOMAIN}");
    until("everybody is let in", async || {
        let proxy = format!("http://127.0.0.1:{}/whoami", stack.proxy_ports().0);
        let asked = reqwest::Client::new().get(proxy).header("Host", &host).send().await;
        asked.is_ok_and(|answer| answer.status() == 200)
    })
    .await;

    // Whoever is signed in has no need to sign up.
    browser.goto(&format!("{}/signup", scene.platform)).await;
    browser.wait_for_url("/instances/new").await;
    std::fs::remove_file(profile).unwrap();
    scene.end().await;
}

/// The image behind the name that new instances run is one that ends at once; then it is the app's.
pub(crate) async fn what_failed_is_tried_again(stack: &Stack) {
    let image = format!("fresco-dev/{}:1", name());
    let run = |arguments: &[&str]| {
        let done = std::process::Command::new("docker").args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    run(&["tag", "fresco-dev/postgres:16", &image]);
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_IMAGE", &image);
    let scene = Scene::of(service).await;
    let Scene { browser, subdomain, .. } = &scene;
    scene.whole().await;
    browser.wait_for("#deployment[data-state=failed]").await;
    browser.wait_for_text("It did not work this time").await;
    browser.wait_for_text_in(".notice.error", "exit code").await;
    scene.again("#deployment[data-state=failed]").await;

    run(&["tag", "fresco-dev/tenant-app:1", &image]);
    browser.click("#deployment form .button").await;
    scene.ready().await;
    let url = format!("http://{subdomain}.{DOMAIN}:{}", stack.proxy_ports().0);
    browser.wait_for_text_in(".address", &url).await;
    scene.is_clean().await;
    browser.goto(&url).await;
    browser.wait_for_text(subdomain).await;
    let _ = browser.complaints().await;
    run(&["rmi", &image]);
    scene.end().await;
}

/// Answers about a name that come late, and one that is somebody's.
pub(crate) async fn a_name_as_it_is_typed(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let (browser, taken) = (&scene.browser, name());
    scene.server.visitor().deploy(&email(), &taken).await;
    scene.begin().await;
    scene.account().await;
    scene.study().await;
    // The answer about the first name comes when that about the second one has long been there.
    let late = "
        const real = window.fetch;
        window.late = 0;
        window.fetch = async (url, options = {}) => {
            const {signal, ...rest} = options;
            const answer = await real(url, rest);
            if (options.body?.includes(args[0])) {
                await new Promise((go) => { window.release = go; });
                setTimeout(() => { window.late += 1; }, 50);
            }
            return answer;
        };";
    browser.run(late, vec![json!(taken)]).await;
    browser.type_into("#subdomain", &taken).await;
    let waits = "while (!window.release) await new Promise((go) => setTimeout(go, 10)); return 1;";
    assert_eq!(browser.run(waits, Vec::new()).await, 1);
    browser.type_into("#subdomain", &scene.subdomain).await;
    browser.wait_for_text_in("#availability", &format!("{} is free", scene.subdomain)).await;
    let release = "window.release(); window.release = null;
        while (!window.late) await new Promise((go) => setTimeout(go, 10));
        return document.getElementById('availability').innerText;";
    let told = browser.run(release, Vec::new()).await;
    assert!(told.as_str().is_some_and(|told| told.contains("is free")), "{told}");

    // Of one that is taken: why, and what is free. A suggestion is taken over by a click.
    browser.reload().await;
    browser.wait_for("#address-form").await;
    browser.type_into("#subdomain", &taken).await;
    browser.wait_for_text_in("#availability", "taken").await;
    browser.wait_for(".chip").await;
    browser.click(".chip").await;
    browser.wait_for_text_in("#availability", "is free").await;
    let chosen = browser.value("#subdomain").await;
    assert!(chosen.starts_with(&taken) && chosen != taken, "{chosen}");
    browser.wait_for_text_in("#preview", &chosen).await;
    // What could not be asked is asked by itself once the platform can be reached again.
    let cut = "const real = window.fetch;
        window.cut = true;
        window.fetch = (...call) => window.cut ? Promise.reject(new TypeError('cut')) : real(...call);";
    browser.run(cut, Vec::new()).await;
    browser.type_into("#subdomain", &scene.subdomain).await;
    browser.wait_for_text_in("#connection", "can't be reached").await;
    browser.run("window.cut = false;", Vec::new()).await;
    browser.wait_for_text_in("#availability", &format!("{} is free", scene.subdomain)).await;
    browser.wait_gone("#connection").await;
    // What nobody looked at is refused all the same.
    browser.type_into("#subdomain", "www").await;
    scene.onward("address").await;
    browser.wait_for("#subdomain[aria-invalid=true]").await;
    assert_eq!(browser.count("#terms[hidden]").await, 1);
    scene.is_clean_but("409", "422").await;
    scene.end().await;
}

/// What is wrong in a step is said where it stands.
pub(crate) async fn what_is_refused_is_said_at_its_field(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let browser = &scene.browser;
    scene.server.visitor().sign_up(&scene.email).await;
    scene.begin().await;
    // Steps that are not reached yet are not shown.
    browser.goto(&format!("{}/signup#terms", scene.platform)).await;
    browser.wait_for("#account-form").await;
    scene.onward("account").await;
    browser.wait_for_text_in("#email-wrong", "Type your e-mail address").await;
    browser.wait_for_text_in("#password-wrong", "Type a password").await;
    browser.type_into("#email", &scene.email).await;
    browser.type_into("#password", "short").await;
    browser.wait_for_text_in("#strength-word", "Too short").await;
    scene.onward("account").await;
    browser.wait_for("#password[aria-invalid=true]").await;
    browser.type_into("#password", "another long password").await;
    browser.wait_for_text_in("#strength-word", "Good").await;
    browser.click("[data-reveal] button").await;
    assert_eq!(browser.count("#password[type=text]").await, 1);
    scene.onward("account").await;
    browser.wait_for("#use-form").await;
    // The password that was typed is kept, unless something beside it changes.
    browser.click("[data-back=account]").await;
    browser.wait_for_text_in("#password-hint", "Leave it empty to keep").await;
    browser.type_into("#name", "Ada").await;
    browser.wait_for_text_in("#password-hint", "once more").await;
    let empty = "const name = document.getElementById('name');
        name.value = '';
        name.dispatchEvent(new Event('input', {bubbles: true}));";
    browser.run(empty, Vec::new()).await;
    browser.wait_for_text_in("#password-hint", "Leave it empty to keep").await;
    scene.onward("account").await;
    browser.wait_for("#use-form").await;
    scene.onward("use").await;
    browser.wait_for_text_in("#useCase-wrong", "Choose").await;
    scene.study().await;
    scene.address().await;
    scene.onward("terms").await;
    browser.wait_for_text_in("#privacyAccepted-wrong", "Without this").await;
    scene.accept().await;
    // The address has an account with another password: that one makes the instance.
    browser.wait_for_text_in("#told", "has an account already").await;
    browser.wait_for("#told a[href^='/login']").await;
    scene.account().await;
    browser.goto(&format!("{}/signup#terms", scene.platform)).await;
    browser.wait_for("#terms-form").await;
    scene.onward("terms").await;
    browser.wait_for("#deployment[data-state]").await;
    scene.ready().await;
    scene.is_clean_but("401", "422").await;
    scene.end().await;
}

pub(crate) async fn where_it_is_closed_the_page_says_so(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await.with("SIGNUP", "closed");
    let scene = Scene::of(service).await;
    scene.browser.goto(&format!("{}/signup", scene.platform)).await;
    scene.browser.wait_for_text_in("h1", "Signing up is closed").await;
    scene.end().await;
}
