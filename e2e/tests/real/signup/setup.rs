//! The last steps: a wish that is refused, and the page of the set-up.

use fresco_e2e::Stack;
use fresco_e2e::service::Service;
use serde_json::json;

use super::{Scene, slow_app};
use crate::hitches::STREAMS;
use crate::service::{PROGRAM, email, name};

/// Nothing is made as long as there is no room, and all of it once there is some.
pub(crate) async fn when_there_is_no_room(stack: &Stack) {
    let service = Service::new(PROGRAM, stack).await;
    let scene = Scene::of(service.with("TENANT_MEMORY", "256").with("MIN_MEMORY", "256")).await;
    let (browser, other) = (&scene.browser, scene.server.visitor());
    let tenant = other.deployed(&email(), &name()).await;
    scene.begin().await;
    scene.account().await;
    scene.study().await;
    scene.address().await;
    scene.accept().await;
    browser.wait_for("#asking-again").await;
    browser.wait_for_text_in("#asking", "no room").await;
    browser.click("#asking-again [data-back]").await;
    browser.wait_for("#terms-form").await;
    // The page is loaded again, and asks for nothing by itself.
    scene.again("#terms-form").await;
    scene.onward("terms").await;
    browser.wait_for("#asking-again").await;

    // Of somebody who asks too often.
    let hasty = "
        const real = window.fetch;
        window.fetch = async (url, options) => {
            if (!url.endsWith('wizard.deployTenant')) return real(url, options);
            window.fetch = real;
            const problem = {status: 429, code: 'rate_limited', detail: 'Wait for a tenant.'};
            return new Response(JSON.stringify(problem), {status: 429});
        };";
    browser.run(hasty, Vec::new()).await;
    browser.click("#ask-again").await;
    browser.wait_for_text_in("#asking", "Wait for an instance.").await;
    browser.wait_for("#asking-again").await;

    other.act("stop", json!({"tenantId": tenant})).await;
    browser.click("#ask-again").await;
    scene.ready().await;
    browser.wait_for_text_in(".address", &scene.subdomain).await;
    scene.is_clean_but("503", "503").await;
    scene.end().await;
}

/// The name goes to somebody else between the choice and the wish.
pub(crate) async fn somebody_was_faster(stack: &Stack) {
    let scene = Scene::of(Service::new(PROGRAM, stack).await).await;
    let Scene { browser, subdomain, .. } = &scene;
    scene.begin().await;
    scene.account().await;
    scene.study().await;
    scene.address().await;
    scene.server.visitor().deploy(&email(), subdomain).await;
    scene.accept().await;
    browser.wait_for("#address-form").await;
    browser.wait_for_text_in("#availability", "taken").await;
    browser.wait_for(".chip").await;
    browser.click(".chip").await;
    let chosen = browser.value("#subdomain").await;
    assert_ne!(&chosen, subdomain);
    scene.onward("address").await;
    browser.wait_for_text_in("#sum-address", &chosen).await;
    scene.onward("terms").await;
    scene.ready().await;
    browser.wait_for_text_in(".address", &chosen).await;
    scene.is_clean_but("409", "409").await;
    scene.end().await;
}

/// How long it has taken, how much of the image has come, and the address to take along.
pub(crate) async fn a_set_up_as_it_is_told(stack: &Stack) {
    let profile = slow_app();
    let service = Service::new(PROGRAM, stack).await.with("FRESCO_APP", profile.display());
    let scene = Scene::of(service).await;
    let Scene { browser, subdomain, .. } = &scene;
    browser.before_pages(STREAMS).await;
    scene.whole().await;
    let happen = async |event: &str| {
        browser.run(&format!("window.streams.at(-1).happen({event});"), Vec::new()).await
    };
    let awaited = "
        const call = async (name, body) => (await fetch(`/api/${name}`, {method: 'POST',
            headers: {'content-type': 'application/json'}, body: JSON.stringify(body)})).json();
        const tenantId = location.pathname.split('/').at(-1);
        for (;;) {
            const {operations: [now]} = await call('tenants.get', {tenantId});
            if (now.steps.some((step) => step.name === args[0] && step.status === args[1])) return null;
            await new Promise((go) => setTimeout(go, 50));
        }";
    browser.run(awaited, vec![json!("ready"), json!("running")]).await;
    happen("'step', 1, {}").await;
    browser.wait_for_text_in(".steps li.running", "Wait until the app answers").await;
    browser.wait_for_text_in("#deployment", "so far; it is the first one here").await;
    let elapsed = "const place = document.getElementById('elapsed'), before = place.textContent;
        while (place.textContent === before) await new Promise((go) => setTimeout(go, 50));
        place.dataset.seconds = 3600;
        return [before, place.textContent].map((words) => /^\\d+ s$/.test(words));";
    assert_eq!(browser.run(elapsed, Vec::new()).await, json!([true, true]));
    browser.wait_for_text_in("#elapsed", "60 min ").await;

    for (progress, words) in [
        ("{detail: 'Extracting'}", "Extracting"),
        ("{detail: 'Pulling', doneBytes: 1500000}", "1.5 MB"),
        ("{detail: 'Pulling', doneBytes: 12345678, totalBytes: 98765432}", "12.3 MB of 98.8 MB"),
    ] {
        happen(&format!("'progress', 1, {{progress: {progress}}}")).await;
        browser.wait_for_text_in(".steps li.running .detail", words).await;
    }
    assert_eq!(browser.count(".steps .detail").await, 1);
    scene.look("5-fetching").await;

    browser.run(awaited, vec![json!("active"), json!("done")]).await;
    happen("'done', 1, {}").await;
    scene.ready().await;

    let address = "return document.getElementById('host').textContent.replace(/\\/$/, '');";
    let address = browser.run(address, Vec::new()).await;
    assert!(address.as_str().is_some_and(|address| address.contains(subdomain)), "{address}");
    browser.allow_clipboard().await;
    browser.click("#copy").await;
    browser.wait_for_text_in("#copy", "Copied").await;
    let copied = "return (await navigator.clipboard.readText()).replace(/\\/$/, '');";
    assert_eq!(browser.run(copied, Vec::new()).await, address);
    browser.wait_for("#copy:not(:disabled)").await;
    let back = "while (document.getElementById('copy').textContent !== 'Copy') {
            await new Promise((go) => setTimeout(go, 50));
        }
        navigator.clipboard.writeText = () => Promise.reject(new Error('not now'));";
    browser.run(back, Vec::new()).await;
    browser.click("#copy").await;
    browser.wait_for_text_in("#copy", "Copy it by hand").await;
    std::fs::remove_file(profile).unwrap();
    scene.end().await;
}
