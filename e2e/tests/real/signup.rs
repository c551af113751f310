//! Signing up in a browser: the whole wizard, to a page of one's own.

use std::path::PathBuf;

use fresco_e2e::Stack;
use fresco_e2e::browser::Browser;
use fresco_e2e::service::{PASSWORD, Server, Service};
use serde_json::{Value, json};

use crate::claim::PROFILE;
use crate::service::{PROGRAM, email, name};

const DOMAIN: &str = "localhost";

/// A platform, somebody in front of a browser, and whom and what they make.
struct Scene {
    server: Server,
    browser: Browser,
    platform: String,
    email: String,
    subdomain: String,
}

impl Scene {
    async fn of(service: Service) -> Self {
        let platform = format!("http://{DOMAIN}:{}", service.port());
        let server = service.start().await;
        let browser = Browser::start(DOMAIN).await;
        Self { server, browser, platform, email: email(), subdomain: name() }
    }

    async fn begin(&self) {
        self.browser.goto(&format!("{}/signup", self.platform)).await;
        self.browser.wait_for("#account-form").await;
    }

    async fn account(&self) {
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

    async fn onward(&self, form: &str) {
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

    async fn ready(&self) {
        self.browser.wait_for("#deployment[data-state=ready]").await;
    }

    /// Nothing that a page said of itself, and no word of a password in what the browser keeps.
    async fn is_clean(&self) {
        assert_eq!(self.browser.complaints().await, Vec::<String>::new());
        let stored = "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie]);";
        let stored = self.browser.run(stored, Vec::new()).await.to_string();
        assert!(!stored.contains("horse"), "{stored}");
    }

    async fn end(self) {
        self.is_clean().await;
        self.browser.close().await;
        assert!(self.server.stop().await.success());
    }

    /// A picture of the page, where they are wished for.
    async fn picture(&self, step: &str) {
        let Some(folder) = std::env::var_os("FRESCO_SHOTS").map(PathBuf::from) else { return };
        use fresco_e2e::browser::{DESKTOP, PHONE, Theme};
        for (size, words) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
            for theme in [Theme::Light, Theme::Dark] {
                self.browser.resize(size).await;
                self.browser.theme(theme).await;
                let file = format!("signup-{step}-{words}-{}.png", theme.name());
                self.browser.screenshot(&folder.join(file)).await;
            }
        }
        self.browser.resize(DESKTOP).await;
        self.browser.theme(Theme::Light).await;
    }

    /// Loads the page again, which must be at the same step.
    async fn again(&self, seen: &str) {
        self.browser.reload().await;
        self.browser.wait_for(seen).await;
    }
}

pub(crate) async fn from_the_first_step_to_a_page_of_ones_own(stack: &Stack) {
    let profile = std::env::temp_dir().join(format!("fresco-profile-{}.toml", name()));
    std::fs::write(&profile, PROFILE).unwrap();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let scene = Scene::of(service.with("SANDBOX_URL", "https://sandbox.example.org")).await;
    let Scene { browser, subdomain, .. } = &scene;

    scene.begin().await;
    scene.again("#account-form").await;
    scene.picture("1-account").await;
    scene.account().await;
    scene.is_clean().await;
    scene.again("#use-form").await;
    browser.click(".choice [value=testing]").await;
    browser.wait_for("#sandbox a[href^='https://sandbox.example.org']").await;
    scene.picture("2-use").await;
    scene.study().await;
    scene.again("#address-form").await;
    browser.type_into("#subdomain", subdomain).await;
    browser.wait_for_text_in("#availability", "is free").await;
    browser.wait_for_text_in("#preview", &format!("{subdomain}.{DOMAIN}")).await;
    scene.picture("3-address").await;
    scene.address().await;
    scene.again("#terms-form").await;
    scene.picture("4-terms").await;
    scene.accept().await;

    browser.wait_for("#deployment[data-state] .steps li").await;
    scene.picture("5-deployment").await;
    scene.again("#deployment[data-state] h1").await;
    scene.ready().await;
    scene.again("#deployment[data-state=ready]").await;
    scene.picture("6-ready").await;
    let shown = "return document.querySelector('.address a').href;";
    let shown = browser.run(shown, Vec::new()).await;
    let url = format!("http://{subdomain}.{DOMAIN}:{}", stack.proxy_ports().0);
    assert_eq!(shown, format!("{url}/"));
    scene.is_clean().await;

    // Nobody but who has the link gets in, and its holder is the app's owner.
    browser.goto(&format!("{url}/whoami")).await;
    assert!(!browser.text().await.contains("publicUrl"), "{}", browser.text().await);
    let _ = browser.complaints().await;
    browser.goto(&scene.platform).await;
    browser.goto(&format!("{}/signup", scene.platform)).await;
    let _ = browser.complaints().await;
    std::fs::remove_file(profile).unwrap();
    scene.end().await;
}
