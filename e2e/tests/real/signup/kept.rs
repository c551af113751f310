//! What a sign-up that goes on later, or in another tab, finds of itself; and what it leaves to nobody.

use std::time::Duration;

use fresco_e2e::Stack;
use fresco_e2e::service::{PASSWORD, Service};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Scene, slow_app};
use crate::service::{PROGRAM, email};
use crate::smtp::MailServer;

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

/// The network goes in the middle of it, and comes back.
pub(crate) async fn what_can_not_be_reached_is_waited_for(stack: &Stack) {
    let profile = slow_app();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let scene = Scene::of(service).await;
    let browser = &scene.browser;
    scene.begin().await;
    scene.account().await;
    browser.offline(true).await;
    browser.click(".choice [value=study]").await;
    scene.onward("use").await;
    browser.wait_for_text_in("#told", "can't be reached").await;
    browser.wait_for("#connection").await;
    browser.offline(false).await;
    scene.study().await;
    browser.wait_gone("#connection").await;
    // Something on the way answers with an error, once: it is asked again.
    let fail = "
        const real = window.fetch, failed = new Set();
        window.failed = failed;
        window.fetch = async (url, options) => {
            const once = /checkSubdomain|deployTenant/.exec(url)?.[0];
            if (!once || failed.has(once)) return real(url, options);
            failed.add(once);
            return new Response('<html>', {status: 502});
        };";
    browser.run(fail, Vec::new()).await;
    scene.address().await;
    // The answer to the wish itself is lost, and the page is loaded again: it is the same wish.
    let lost = "
        const real = window.fetch;
        window.fetch = async (url, options) => {
            const answer = await real(url, options);
            const wish = url.endsWith('wizard.deployTenant') && answer.ok;
            return wish ? new Promise(() => (window.lost = 1)) : answer;
        };";
    browser.run(lost, Vec::new()).await;
    scene.accept().await;
    let waits = "while (!window.lost) await new Promise((go) => setTimeout(go, 10)); return 1;";
    assert_eq!(browser.run(waits, Vec::new()).await, 1);
    assert_eq!(browser.run("return window.failed.size;", Vec::new()).await, 2);
    browser.goto(&format!("{}/signup", scene.platform)).await;
    browser.wait_for_url("/signup/").await;
    scene.ready().await;
    scene.keeps(Value::Null).await;
    let list = "return await (await fetch('/api/tenants.list', {method: 'POST', body: '{}',
        headers: {'content-type': 'application/json'}})).json();";
    assert_eq!(browser.run(list, Vec::new()).await["total"], 1);
    let _ = browser.complaints().await;
    std::fs::remove_file(profile).unwrap();
    scene.end().await;
}

/// The answer to the wish is lost, and somebody else uses this browser next: the session of the sign-up
/// would sign them in.
pub(crate) async fn nothing_is_left_to_who_comes_next(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let browser = &scene.browser;
    scene.server.visitor().deployed(&scene.email, &scene.subdomain).await;
    let lost = json!({"session": "a".repeat(64), "deploying": scene.subdomain});
    let left = "localStorage.setItem('fresco.signup', JSON.stringify(args[0]));
        sessionStorage.setItem('fresco.invite', 'b');";
    scene.begin().await;
    browser.run(left, vec![lost.clone()]).await;
    // They sign in by the form, having lost patience.
    browser.sign_in(&scene.platform, &scene.email, PASSWORD).await;
    scene.keeps(Value::Null).await;

    let tenant = json!({"tenant": "c"});
    for left_by in [lost, tenant] {
        browser.run(left, vec![left_by]).await;
        browser.click("form[action='/logout'] button").await;
        browser.wait_for_text("You are signed out.").await;
        scene.keeps(Value::Null).await;
        browser.sign_in(&scene.platform, &scene.email, PASSWORD).await;
    }
    scene.end().await;
}

impl Scene {
    /// Waits until the browser keeps no more of the sign-up than this, and no invite.
    async fn keeps(&self, expected: Value) {
        let kept = "const deadline = performance.now() + 20000;
            for (;;) {
                const kept = localStorage.getItem('fresco.signup');
                const all = [kept && JSON.parse(kept), sessionStorage.getItem('fresco.invite')];
                if (JSON.stringify(all) === JSON.stringify([args[0], null])) return null;
                if (performance.now() > deadline) return all;
                await new Promise((go) => setTimeout(go, 20));
            }";
        let instead = self.browser.run(kept, vec![expected]).await;
        assert_eq!(instead, Value::Null, "{}", self.browser.url().await);
    }
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
    let first = browser.tab().await;
    let second = browser.open_tab().await;
    scene.begin_again("#address-form").await;
    browser.type_into("#subdomain", "typed-here").await;
    let told = "addEventListener('storage', () => setTimeout(() => { window.told = true; }, 100));";
    browser.run(told, Vec::new()).await;
    browser.switch(&first).await;
    let over = "UPDATE fresco_server.wizard_sessions SET expires_at = now()";
    stack.superuser_in(&database, over).await;
    scene.onward("address").await;
    browser.wait_for_text_in("#told", "more than an hour ago").await;
    // The other tab hears of it, and keeps what was typed there.
    browser.switch(&second).await;
    let told = "while (!window.told) await new Promise((go) => setTimeout(go, 10)); return 1;";
    assert_eq!(browser.run(told, Vec::new()).await, 1);
    assert_eq!(browser.value("#subdomain").await, "typed-here");
    browser.close_tab().await;
    browser.switch(&first).await;
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
    // Whoever comes back after the hour has nothing typed here, and is not told so.
    scene.account().await;
    stack.superuser_in(&database, over).await;
    browser.reload().await;
    browser.wait_for_text_in("#told", "nothing was created").await;
    browser.wait_for("#account-form").await;
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
    scene.again("#invite").await;
    assert_eq!(browser.value("#invite").await.len(), 64, "kept for when the page is loaded again");
    // It is for the address that was invited alone.
    browser.type_into("#email", &email()).await;
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for_text_in("#invite-wrong", "invited").await;
    browser.type_into("#email", address).await;
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for("#code-form").await;
    scene.again("#code-form").await;
    let kept = "return sessionStorage.getItem('fresco.invite');";
    assert_eq!(browser.run(kept, Vec::new()).await, Value::Null, "it has done its work");
    browser.type_into("#code", "1234").await;
    scene.onward("code").await;
    browser.wait_for_text_in("#code-wrong", "not the code").await;
    // Twice in a row is one letter.
    let twice = "
        const real = window.fetch, button = document.getElementById('resend');
        let sent = 0, answered = new Promise((go) => { window.answer = go; });
        window.fetch = async (url, options) => {
            if (!url.endsWith('wizard.resendCode')) return real(url, options);
            sent += 1;
            await answered;
            return real(url, options);
        };
        button.click();
        button.click();
        const during = button.getAttribute('aria-disabled');
        window.answer();
        window.fetch = real;
        return [sent, during];";
    assert_eq!(browser.run(twice, Vec::new()).await, json!([1, "true"]));
    browser.wait_for_text_in("#told", "Another letter").await;
    browser.wait_for("#resend:not([aria-disabled])").await;
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
