//! Signing up in a browser: the whole wizard, to a page of one's own.

use std::time::Duration;

use fresco_e2e::Stack;
use fresco_e2e::browser::{Browser, DESKTOP, PHONE, Theme};
use fresco_e2e::service::{PASSWORD, Server, Service};
use serde_json::json;
use tokio::time::Instant;

use crate::claim::PROFILE;
use crate::service::{PROGRAM, email, name};
use crate::smtp::MailServer;

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

pub(crate) async fn from_the_first_step_to_a_page_of_ones_own(stack: &Stack) {
    let profile = std::env::temp_dir().join(format!("fresco-profile-{}.toml", name()));
    // Slow enough that the set-up is seen.
    let slow = PROFILE.replace("APP_CLAIM = \"1\"", "APP_CLAIM = \"1\"\nAPP_BOOT_DELAY = \"6\"");
    std::fs::write(&profile, slow).unwrap();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let scene = Scene::of(service.with("SANDBOX_URL", "https://sandbox.example.org")).await;
    let Scene { browser, subdomain, .. } = &scene;

    scene.begin().await;
    scene.again("#account-form").await;
    scene.look("1-account").await;
    scene.account().await;
    scene.is_clean().await;
    scene.again("#use-form").await;
    browser.click(".choice [value=testing]").await;
    browser.wait_for("#sandbox a[href^='https://sandbox.example.org']").await;
    scene.look("2-use").await;
    scene.study().await;
    scene.again("#address-form").await;
    browser.type_into("#subdomain", subdomain).await;
    browser.wait_for_text_in("#availability", "is free").await;
    browser.wait_for_text_in("#preview", &format!("{subdomain}.{DOMAIN}")).await;
    scene.look("3-address").await;
    scene.address().await;
    scene.again("#terms-form").await;
    scene.look("4-terms").await;
    scene.accept().await;

    browser.wait_for("#deployment[data-state] .steps li").await;
    scene.look("5-deployment").await;
    scene.again("#deployment[data-state] h1").await;
    scene.ready().await;
    scene.again("#deployment[data-state=ready]").await;
    scene.look("6-ready").await;
    let shown = "return document.querySelector('.address a').href;";
    let shown = browser.run(shown, Vec::new()).await;
    let url = format!("http://{subdomain}.{DOMAIN}:{}", stack.proxy_ports().0);
    assert_eq!(shown, format!("{url}/"));
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
    scene.look("5-failed").await;

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

pub(crate) async fn two_tabs_of_one_sign_up(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let browser = &scene.browser;
    let first = browser.tab().await;
    scene.begin().await;
    scene.account().await;
    // The second one is where the first one is, and goes ahead.
    let second = browser.open_tab().await;
    browser.goto(&format!("{}/signup", scene.platform)).await;
    browser.wait_for("#use-form").await;
    scene.study().await;
    scene.address().await;
    // The first one does its step again, and nothing is lost.
    browser.switch(&first).await;
    browser.click(".choice [value=learning]").await;
    scene.onward("use").await;
    browser.wait_for("#address-form").await;
    assert_eq!(browser.value("#subdomain").await, scene.subdomain);
    browser.switch(&second).await;
    scene.accept().await;
    browser.wait_for("#deployment[data-state]").await;
    let there = browser.url().await;
    // The first one comes along, and both see the end.
    browser.switch(&first).await;
    browser.wait_for_url("/signup/").await;
    for tab in [&first, &second] {
        browser.switch(tab).await;
        scene.ready().await;
        assert_eq!(browser.url().await, there);
    }
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
    scene.look("3-taken").await;
    browser.click(".chip").await;
    browser.wait_for_text_in("#availability", "is free").await;
    let chosen = browser.value("#subdomain").await;
    assert!(chosen.starts_with(&taken) && chosen != taken, "{chosen}");
    browser.wait_for_text_in("#preview", &chosen).await;
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
    scene.look("1-refused").await;
    browser.type_into("#password", "another long password").await;
    browser.wait_for_text_in("#strength-word", "Good").await;
    browser.click("[data-reveal] button").await;
    assert_eq!(browser.count("#password[type=text]").await, 1);
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
    scene.look("1-known").await;
    scene.account().await;
    browser.goto(&format!("{}/signup#terms", scene.platform)).await;
    browser.wait_for("#terms-form").await;
    scene.onward("terms").await;
    browser.wait_for("#deployment[data-state]").await;
    scene.ready().await;
    scene.is_clean_but("401", "422").await;
    scene.end().await;
}

/// The network goes in the middle of it, and comes back.
pub(crate) async fn what_can_not_be_reached_is_waited_for(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let browser = &scene.browser;
    scene.begin().await;
    scene.account().await;
    browser.offline(true).await;
    browser.click(".choice [value=study]").await;
    scene.onward("use").await;
    browser.wait_for_text_in("#told", "can't be reached").await;
    browser.wait_for("#connection").await;
    scene.look("2-offline").await;
    browser.offline(false).await;
    scene.study().await;
    browser.wait_gone("#connection").await;
    scene.address().await;
    // The answer to the wish itself is lost, and the page is loaded again: it is the same wish.
    let lost = "
        const real = window.fetch;
        window.fetch = async (url, options) => {
            const answer = await real(url, options);
            return url.endsWith('wizard.deployTenant') ? new Promise(() => (window.lost = 1)) : answer;
        };";
    browser.run(lost, Vec::new()).await;
    scene.accept().await;
    let waits = "while (!window.lost) await new Promise((go) => setTimeout(go, 10)); return 1;";
    assert_eq!(browser.run(waits, Vec::new()).await, 1);
    browser.goto(&format!("{}/signup", scene.platform)).await;
    browser.wait_for_url("/signup/").await;
    scene.ready().await;
    let list = "return await (await fetch('/api/tenants.list', {method: 'POST', body: '{}',
        headers: {'content-type': 'application/json'}})).json();";
    assert_eq!(browser.run(list, Vec::new()).await["total"], 1);
    let _ = browser.complaints().await;
    scene.end().await;
}

/// After the hour of a session only the password is to be typed again.
pub(crate) async fn who_comes_too_late_begins_again(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await;
    let database = service.database().to_owned();
    let scene = Scene::of(service).await;
    let browser = &scene.browser;
    scene.begin().await;
    scene.account().await;
    scene.study().await;
    browser.type_into("#subdomain", &scene.subdomain).await;
    let over = "UPDATE fresco_server.wizard_sessions SET expires_at = now()";
    stack.superuser_in(&database, over).await;
    scene.onward("address").await;
    browser.wait_for_text_in("#told", "more than an hour ago").await;
    scene.look("1-ended").await;
    assert_eq!(browser.value("#email").await, scene.email);
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for("#use-form").await;
    scene.onward("use").await;
    browser.wait_for("#address-form").await;
    assert_eq!(browser.value("#subdomain").await, scene.subdomain);
    scene.onward("address").await;
    browser.wait_for("#terms-form").await;
    // Somebody else at this machine finds nothing of it.
    browser.click("#start-over").await;
    browser.wait_for("#account-form").await;
    assert_eq!(browser.value("#email").await, "");
    scene.is_clean_but("404", "404").await;
    scene.end().await;
}

/// Where only who was invited may sign up, and addresses are verified.
pub(crate) async fn by_an_invite_and_the_code_of_a_letter(stack: &Stack) {
    const LETTER: &str = "Your code";
    let mail = MailServer::plain();
    let mut service = Service::new(PROGRAM, stack).await.with("SIGNUP", "invite");
    for (setting, value) in mail.settings() {
        service = service.with(setting, value);
    }
    let scene = Scene::of(service.clone()).await;
    let Scene { browser, email: address, .. } = &scene;
    let invite = service.command("invite").arg(address).output().await.unwrap();
    let invite = String::from_utf8(invite.stdout).unwrap();
    let link = invite.lines().next().expect("a link");
    browser.goto(link).await;
    browser.wait_for("#invite").await;
    assert_eq!(browser.value("#invite").await.len(), 64);
    assert!(!browser.url().await.contains("invite"), "{}", browser.url().await);
    // It is for the address that was invited alone.
    browser.type_into("#email", &email()).await;
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for_text_in("#invite-wrong", "invited").await;
    scene.look("1-invite").await;
    browser.type_into("#email", address).await;
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for("#code-form").await;
    scene.again("#code-form").await;
    scene.look("1-code").await;
    browser.type_into("#code", "1234").await;
    scene.onward("code").await;
    browser.wait_for_text_in("#code-wrong", "not the code").await;
    browser.click("#resend").await;
    browser.wait_for_text_in("#told", "Another letter").await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while mail.to(address, LETTER).len() < 2 {
        assert!(Instant::now() < deadline, "no second letter: {:#?}", mail.letters());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    browser.type_into("#code", &mail.secret(address, LETTER)).await;
    scene.onward("code").await;
    browser.wait_for("#use-form").await;
    scene.study().await;
    scene.address().await;
    scene.accept().await;
    scene.ready().await;
    scene.is_clean_but("403", "403").await;
    scene.end().await;
}

pub(crate) async fn where_it_is_closed_the_page_says_so(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await.with("SIGNUP", "closed");
    let scene = Scene::of(service).await;
    scene.browser.goto(&format!("{}/signup", scene.platform)).await;
    scene.browser.wait_for_text_in("h1", "Signing up is closed").await;
    scene.look("closed").await;
    scene.end().await;
}
