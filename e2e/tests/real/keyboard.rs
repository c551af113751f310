//! The pages by keys alone.

use fresco_e2e::Stack;
use fresco_e2e::browser::PHONE;
use fresco_e2e::service::{PASSWORD, Service};
use serde_json::json;
use thirtyfour::Key;

use crate::service::{PROGRAM, email, name};
use crate::{dashboard, signup};

/// The whole wizard, with a name that somebody has, and a step back.
pub(crate) async fn signing_up(stack: &Stack) {
    let profile = signup::slow_app();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let service = service.with("SANDBOX_URL", "https://sandbox.example.org");
    let scene = signup::Scene::of(service).await;
    let (browser, taken) = (&scene.browser, name());
    scene.server.visitor().deploy(&email(), &taken).await;

    scene.begin().await;
    browser.go_round().await;
    scene.begin().await;
    browser.tab_to(".skip").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("main").await;
    browser.tab_to("#email").await;
    browser.press(scene.email.as_str()).await;
    browser.tab_to("#password").await;
    browser.press(PASSWORD).await;
    browser.tab_to("[data-reveal] button").await;
    browser.press(" ").await;
    browser.wait_for("#password[type=text]").await;
    browser.tab_to("#account-form .onward .button").await;
    browser.press(Key::Enter).await;

    browser.wait_for_focus("#use-title").await;
    browser.tab_to("#use-form [type=radio]").await;
    browser.press(" ").await;
    browser.press(Key::Down).await;
    browser.wait_for("#sandbox").await;
    browser.go_round().await;
    browser.tab_to("#use-form [type=radio]").await;
    browser.press(Key::Down + Key::Down).await;
    browser.wait_for("#otherText").await;
    browser.tab_to("#otherText").await;
    browser.press("A library").await;
    browser.tab_to("#use-form .onward .button").await;
    browser.press(Key::Enter).await;

    browser.wait_for_focus("#address-title").await;
    browser.tab_to("#subdomain").await;
    browser.press(taken.as_str()).await;
    browser.wait_for(".chip").await;
    browser.go_round().await;
    browser.tab_to(".chip").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("#subdomain").await;
    browser.wait_for_text_in("#availability", "is free").await;
    // Back, and to it again by the steps above.
    browser.tab_to("#address-form [data-back]").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("#use-title").await;
    browser.tab_back_to(".way [data-step=address] a").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("#address-title").await;
    browser.tab_to("#subdomain").await;
    browser.press(Key::Enter).await;

    browser.wait_for_focus("#terms-title").await;
    browser.wait_for_text_in("[data-document='/privacy']", "data").await;
    browser.go_round().await;
    for (text, tick) in [("/terms", "#termsAccepted"), ("/privacy", "#privacyAccepted")] {
        let text = format!("[data-document='{text}']");
        browser.tab_to(&text).await;
        browser.press(Key::PageDown).await;
        browser.scrolled(&text).await;
        browser.tab_to(tick).await;
        browser.press(" ").await;
    }
    browser.tab_to("#terms-form .onward .button").await;
    browser.press(Key::Enter).await;

    browser.wait_for("#deployment[data-state=working]").await;
    scene.ready().await;
    browser.wait_for_focus("#deployment h1").await;
    browser.go_round().await;
    browser.tab_to("#deployment .onward a[href='/dashboard']").await;
    browser.press(Key::Enter).await;
    browser.wait_for_url("/dashboard").await;
    scene.is_clean_but("409", "409").await;
    std::fs::remove_file(profile).unwrap();
    scene.end().await;
}

/// Signing in, the list of instances, and one of them, which changes while it is looked at.
pub(crate) async fn instances(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    let id = json!({"tenantId": scene.tenant});
    scene.go("/login").await;
    browser.go_round().await;
    scene.go("/login").await;
    browser.wait_for_focus("#email").await;
    browser.press(scene.email.as_str()).await;
    browser.tab_to("#password").await;
    browser.press(PASSWORD).await;
    browser.press(Key::Enter).await;
    browser.wait_for_url("/dashboard").await;

    browser.go_round().await;
    scene.go("/dashboard").await;
    browser.tab_to("#search").await;
    browser.press("no-such-thing").await;
    browser.wait_for_text_in("#instances", "None of your instances is like that").await;
    browser.go_round().await;
    browser.tab_to("#search").await;
    browser.press(Key::Escape).await;
    browser.wait_for_text_in("#instances", "1 instance").await;
    browser.tab_to("#status").await;
    browser.press("Stopped").await;
    browser.wait_for_text_in("#instances", "None of your instances is like that").await;
    browser.press(Key::Home).await;
    browser.wait_for_text_in("#instances", "1 instance").await;
    let stop = scene.button("stop");
    browser.tab_to(&stop).await;
    // What others do leaves the focus where it is, and at the instance when the button is gone, as it is
    // to who sees that it restarts.
    scene.visitor.act("restart", id.clone()).await;
    browser.wait_for_focus(&format!("{stop}, #name-{}", scene.tenant)).await;
    scene.visitor.act("stop", id.clone()).await;
    browser.wait_for_text_in("#instances", "Stopped").await;
    browser.wait_for_focus(&format!("#name-{}", scene.tenant)).await;
    browser.tab_to(&scene.button("start")).await;
    browser.press(Key::Enter).await;
    browser.wait_for_text("The instance starts.").await;
    browser.wait_for_text_in("#instances", "Running").await;

    browser.tab_to(&format!("#name-{}", scene.tenant)).await;
    browser.press(Key::Enter).await;
    browser.wait_for_text_in("#current-operation", "Done").await;
    browser.go_round().await;
    browser.resize(PHONE).await;
    browser.go_round().await;
    browser.resize(fresco_e2e::browser::DESKTOP).await;
    // What was opened stays open, and the focus on it, while something else is done with the instance.
    browser.tab_to(".history summary").await;
    browser.press(Key::Enter).await;
    browser.wait_for(".history details[open] .steps").await;
    let opened = "return document.querySelector('.history details[open]').id;";
    let opened = browser.run(opened, Vec::new()).await;
    let opened = format!("#{}", opened.as_str().unwrap());
    scene.visitor.act("restart", id.clone()).await;
    browser.wait_for_text_in("#current-operation", "Restarting").await;
    browser.wait_for_text_in("#current-operation", "Done").await;
    browser.wait_for_focus(&format!("{opened}[open] summary")).await;

    // The dialog takes the focus, keeps it, and gives it back, also when its opener was drawn again.
    browser.tab_to("#remove").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("#confirm").await;
    browser.tab_to("#removal [data-close]").await;
    browser.tab_to("#confirm").await;
    scene.visitor.act("restart", id.clone()).await;
    browser.wait_for_text_in("#current-operation", "Done").await;
    browser.wait_for_focus("#confirm").await;
    browser.press(Key::Escape).await;
    browser.wait_for_focus("#remove").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("#confirm").await;
    browser.tab_to("#removal [data-close]").await;
    browser.press(" ").await;
    browser.wait_for_focus("#remove").await;

    scene.page("/log").await;
    browser.wait_for_text_in("#log-state", "Live").await;
    browser.go_round().await;
    browser.tab_to("#log-lines").await;
    browser.press(Key::Home).await;
    browser.tab_back_to("#log-pause").await;
    browser.press(" ").await;
    browser.wait_for_text_in("#log-pause", "Go on").await;
    for path in ["/instances/new", "/change", "/destroy"] {
        match path {
            "/instances/new" => scene.go(path).await,
            part => scene.page(part).await,
        }
        browser.go_round().await;
    }

    // Its end.
    scene.page("").await;
    browser.tab_to("#remove").await;
    browser.press(Key::Enter).await;
    browser.wait_for_focus("#confirm").await;
    browser.press(scene.subdomain.as_str()).await;
    browser.press(Key::Enter).await;
    browser.wait_for_text_in("#instance .title", "Removed").await;
    scene.end(&[]).await;
}

/// Every part of the settings, a key that is made, and one that is revoked.
pub(crate) async fn settings(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    browser.tab_to("nav [href='/settings']").await;
    browser.press(Key::Enter).await;
    browser.wait_for_url("/settings").await;
    browser.tab_to("#name").await;
    browser.press("Ada").await;
    browser.tab_to("main form .button").await;
    browser.press(Key::Enter).await;
    browser.wait_for_text("Your name is saved.").await;
    for part in ["", "/password", "/sessions", "/keys", "/keys/new"] {
        scene.go(&format!("/settings{part}")).await;
        browser.go_round().await;
    }
    scene.go("/settings/keys/new").await;
    browser.tab_to("#name").await;
    browser.press("Backup").await;
    browser.tab_to("[name=scope]").await;
    browser.press(" ").await;
    browser.tab_to("main form button").await;
    browser.press(Key::Enter).await;
    browser.wait_for("#key").await;
    browser.go_round().await;
    browser.tab_to("main .actions a").await;
    browser.press(Key::Enter).await;
    browser.wait_for_text_in("main", "Backup").await;
    browser.tab_to("main a.danger").await;
    browser.press(Key::Enter).await;
    browser.wait_for_url("/revoke").await;
    browser.go_round().await;
    browser.tab_to("main form button").await;
    browser.press(Key::Enter).await;
    browser.wait_for_text("The key is revoked.").await;
    let end = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    scene.visitor.act("destroy", end).await;
    scene.end(&[]).await;
}
