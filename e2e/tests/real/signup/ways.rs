//! Ways through the wizard other than straight on: what is shown is what is made.

use fresco_e2e::Stack;
use fresco_e2e::service::{PASSWORD, Service};
use serde_json::json;

use super::Scene;
use crate::service::{PROGRAM, name};

/// A link to a later step, and the browser's own way there, take along what was typed before it.
pub(crate) async fn no_way_leads_past_what_was_typed(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let (browser, other, last) = (&scene.browser, name(), name());
    let terms = ".way [data-step=terms] a";
    scene.begin().await;
    scene.account().await;
    scene.study().await;
    scene.address().await;

    browser.click("#terms-form [data-back]").await;
    browser.type_into("#subdomain", &other).await;
    browser.click(terms).await;
    browser.wait_for("#terms-form").await;
    browser.wait_for_text_in("#sum-address", &other).await;
    assert_eq!(scene.held().await["subdomain"], json!(other));

    // Also from a step before the one where it was typed.
    browser.click("#terms-form [data-back]").await;
    browser.type_into("#subdomain", "www").await;
    browser.click("#address-form [data-back]").await;
    browser.wait_for("#use-form").await;
    browser.click(".choice [value=learning]").await;
    browser.click(terms).await;
    browser.wait_for("#subdomain[aria-invalid=true]").await;
    // That may be of what was typed; the address was sent as well.
    browser.wait_for("#address-form:not([aria-busy])").await;
    assert_eq!(browser.count("#terms[hidden]").await, 1);
    assert_eq!(scene.held().await["useCase"], "learning");

    // By the browser's own buttons.
    browser.type_into("#subdomain", &other).await;
    scene.onward("address").await;
    browser.wait_for("#terms-form").await;
    browser.run("history.back();", Vec::new()).await;
    browser.type_into("#subdomain", &last).await;
    browser.run("history.forward();", Vec::new()).await;
    browser.wait_for_text_in("#sum-address", &last).await;
    browser.wait_for("#terms-form").await;
    assert_eq!(scene.held().await["subdomain"], json!(last));

    // A password, too, is what was typed last.
    browser.click(".way [data-step=account] a").await;
    browser.type_into("#password", "short").await;
    browser.click(terms).await;
    browser.wait_for("#password[aria-invalid=true]").await;
    assert_eq!(browser.count("#terms[hidden]").await, 1);
    browser.type_into("#password", "another long password").await;
    browser.click(terms).await;
    browser.wait_for("#terms-form").await;
    scene.accept().await;
    scene.ready().await;
    browser.wait_for_text_in(".address", &last).await;
    let visitor = scene.server.visitor();
    for (status, password) in [(401, PASSWORD), (200, "another long password")] {
        let typed = json!({"email": scene.email, "password": password});
        visitor.call(status, "auth.signIn", typed).await;
    }
    scene.is_clean_but("409", "422").await;
    scene.end().await;
}

/// Who accepts the terms for one address gets no other.
pub(crate) async fn another_name_from_another_tab(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let (browser, other) = (&scene.browser, name());
    scene.begin().await;
    scene.account().await;
    scene.study().await;
    scene.address().await;
    let first = browser.tab().await;
    let second = browser.open_tab().await;
    scene.begin_again("#terms-form").await;
    browser.click("#terms-form [data-back]").await;
    browser.type_into("#subdomain", &other).await;
    scene.onward("address").await;
    browser.wait_for_text_in("#sum-address", &other).await;

    browser.switch(&first).await;
    browser.wait_for_text_in("#sum-address", &scene.subdomain).await;
    scene.accept().await;
    browser.wait_for_text_in("#told", "another tab").await;
    browser.wait_for_text_in("#sum-address", &other).await;
    assert_eq!(browser.value("#subdomain").await, other);
    scene.look("4-other-name").await;
    scene.onward("terms").await;
    scene.ready().await;
    browser.wait_for_text_in(".address", &other).await;
    browser.switch(&second).await;
    browser.wait_for_url("/signup/").await;
    scene.end().await;
}
