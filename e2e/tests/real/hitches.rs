//! What goes wrong while a page is looked at, and how it goes on.

use fresco_e2e::Stack;
use fresco_e2e::service::{PASSWORD, Service};
use serde_json::json;

use crate::service::PROGRAM;
use crate::smtp::MailServer;
use crate::{dashboard, signup};

/// Streams of events to which happens what the test says.
pub(crate) const STREAMS: &str = "
    window.streams = [];
    window.EventSource = class extends EventTarget {
        static CLOSED = 2;
        constructor(url) { super(); Object.assign(this, {url, readyState: 0}); window.streams.push(this); }
        close() { this.readyState = 2; }
        happen(name, state, data, lastEventId = '') {
            this.readyState = state;
            this.dispatchEvent(Object.assign(new Event(name), {data: JSON.stringify(data), lastEventId}));
        }
    };";

/// A stream that is cut is told of until it is back; one that is refused is opened again, later each
/// time, unless nobody is signed in any more. Of what is written while the log is paused nobody is told
/// line by line.
pub(crate) async fn streams_that_are_cut_or_refused(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    browser.before_pages(STREAMS).await;
    // How long the page waits before it does something, without what it does every three seconds.
    let pauses = "const real = window.setTimeout;
        window.pauses = [];
        window.setTimeout = (act, ms, ...rest) => {
            if (ms >= 1000 && ms < 3000) window.pauses.push(ms);
            return real(act, ms, ...rest);
        };";
    browser.before_pages(pauses).await;
    scene.page("/log").await;
    let happen = async |event: &str| {
        browser.run(&format!("window.streams.at(-1).happen({event});"), Vec::new()).await
    };
    let opened =
        "while (window.streams.length < args[0]) await new Promise((go) => setTimeout(go, 10));
        return window.pauses;";
    happen("'open', 1").await;
    browser.wait_for_text_in("#log-state", "Live").await;
    browser.wait_gone("#connection").await;
    // It ends after an hour, which is no fault of the platform's.
    let told = "window.told = [];
        document.addEventListener('connection', ({detail}) => window.told.push(detail));";
    browser.run(told, Vec::new()).await;
    happen("'error', 0").await;
    let told = "while (!window.told.length) await new Promise((go) => setTimeout(go, 10));
        return window.told.includes('offline');";
    assert_eq!(browser.run(told, Vec::new()).await, json!(false));
    browser.offline(true).await;
    happen("'error', 0").await;
    browser.wait_for_text_in("#connection", "can't be reached").await;
    browser.offline(false).await;
    happen("'open', 1").await;
    browser.wait_gone("#connection").await;

    browser.click("#log-pause").await;
    for _ in 0..2 {
        happen("'line', 1, {at: '2026-01-01T00:00:00Z', stream: 'stdout', text: 'x'}").await;
    }
    browser.wait_for_text_in("#log-news", "2 new lines").await;
    let state = "return document.getElementById('log-state').textContent;";
    assert_eq!(browser.run(state, Vec::new()).await, "Paused");
    browser.click("#log-pause").await;
    browser.wait_for_text_in("#log-lines div", "2026").await;

    for (count, pauses) in [(2, json!([1000])), (3, json!([1000, 2000]))] {
        happen("'error', 2").await;
        browser.wait_for_text_in("#log-state", "Waiting for the app").await;
        assert_eq!(browser.run(opened, vec![json!(count)]).await, pauses, "later each time");
    }
    happen("'open', 1").await;
    browser.forget_session().await;
    happen("'error', 2").await;
    browser.wait_for_text_in("#connection", "Your session has ended.").await;
    browser.wait_for("#connection a[href^='/login?next=%2Finstances']").await;
    scene.end(&["ERR_INTERNET_DISCONNECTED", "401"]).await;
}

/// A browser has few connections for all its tabs: a page that nobody sees holds none, and goes on where it
/// was once it is seen.
pub(crate) async fn streams_of_pages_that_nobody_sees(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    browser.before_pages(STREAMS).await;
    scene.page("/log").await;
    let open = "return window.streams.filter((one) => one.readyState < 2).map((one) => one.url);";
    let seen = async |hidden: bool| {
        let script =
            "Object.defineProperty(document, 'hidden', {value: args[0], configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));";
        browser.run(script, vec![json!(hidden)]).await;
        browser.run(open, Vec::new()).await
    };
    let path = format!("/api/tenants/{}/logs", scene.tenant);
    assert_eq!(browser.run(open, Vec::new()).await, json!([path]));
    let line = "const last = window.streams.at(-1);
        last.happen('open', 1);
        last.happen('line', 1, {at: new Date().toISOString(), stream: 'stdout', text: 'x'}, '1.0-a');";
    browser.run(line, Vec::new()).await;
    browser.wait_for_text_in("#log-lines", "x").await;
    assert_eq!(seen(true).await, json!([]));
    assert_eq!(seen(false).await, json!([format!("{path}?after=1.0-a")]));
    browser.run(&line.replace("'1.0-a'", "'2.0-b'"), Vec::new()).await;
    let two = "while (document.querySelectorAll('#log-lines div').length < 2) await new Promise((go) => setTimeout(go, 10));
        return true;";
    assert_eq!(browser.run(two, Vec::new()).await, json!(true), "what came before stays");
    scene.end(&[]).await;
}

/// What is asked for while it can't be had is shown as soon as it can.
pub(crate) async fn a_list_that_can_not_be_had(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    let refuse = "const real = window.fetch;
        window.fetch = (url, ...rest) => window.refuse && String(url).includes('/dashboard')
            ? Promise.resolve(Object.defineProperty(new Response('', {status: 503}), 'url',
                {value: new URL(url, location).href}))
            : real(url, ...rest);";
    browser.before_pages(refuse).await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", "Running").await;
    browser.offline(true).await;
    browser.type_into("#search", "no-such-thing").await;
    browser.wait_for_text_in("#connection", "can't be reached").await;
    browser.wait_for_url("no-such-thing").await;
    browser.offline(false).await;
    browser.wait_for_text_in("#instances", "None of your instances is like that").await;
    browser.wait_gone("#connection").await;

    browser.run("window.refuse = true;", Vec::new()).await;
    browser.type_into("#search", &scene.subdomain).await;
    browser.wait_for_url(&scene.subdomain).await;
    browser.wait_for_text_in("#connection", "What you see may be old").await;
    browser.run("window.refuse = false;", Vec::new()).await;
    browser.wait_for_text_in("#instances", "1 instance").await;
    browser.wait_gone("#connection").await;
    scene.end(&["ERR_INTERNET_DISCONNECTED"]).await;
}

/// What is asked for while the platform can't be reached is not sent, and the page stays. How the platform is
/// nobody knows then.
pub(crate) async fn what_is_done_while_nobody_answers(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    scene.go("/dashboard").await;
    browser.wait_for_text_in("#instances", "Running").await;
    browser.offline(true).await;
    browser.wait_for_text_in("#connection", "can't be reached").await;
    // What was asked before says nothing of now, whatever comes of it.
    let late = "const {call} = await import(document.querySelector('script[src$=\"app.js\"]').src.replace('app.js', 'api.js'));
        const real = window.fetch;
        let answer;
        window.fetch = () => new Promise((done) => { answer = done; });
        const asked = call('auth.getSession').catch(() => {});
        window.fetch = real;
        // A browser's clock is coarse.
        for (const then = performance.now(); performance.now() === then;);
        await call('auth.getSession').catch(() => {});
        answer(args[0] ? new Response('{}') : Promise.reject(new TypeError()));
        await asked;
        return document.getElementById('connection').dataset.state;";
    assert_eq!(browser.run(late, vec![json!(true)]).await, json!("offline"));
    browser.click(&scene.button("stop")).await;
    browser.wait_for_text_in("#connection", "was not sent").await;
    browser.offline(false).await;
    browser.wait_gone("#connection").await;
    assert_eq!(browser.run(late, vec![json!(false)]).await, json!("online"));
    browser.click(&scene.button("stop")).await;
    browser.wait_for_text("The instance stops.").await;
    browser.wait_for_text_in("#instances", "Stopped").await;
    assert!(browser.url().await.ends_with(&format!("#at-{}", scene.tenant)));

    scene.go("/status").await;
    let well = "Everything works";
    browser.wait_for_text_in(".overall", well).await;
    let look = async || {
        let look = "document.dispatchEvent(new Event('visibilitychange'));";
        browser.run(look, Vec::new()).await
    };
    browser.offline(true).await;
    look().await;
    browser.wait_for_text_in(".overall", "Not known at the moment").await;
    browser.offline(false).await;
    look().await;
    browser.wait_for_text_in(".overall", well).await;
    scene.end(&["ERR_INTERNET_DISCONNECTED"]).await;
}

/// An answer that says nothing is told as that.
pub(crate) async fn answers_that_say_nothing(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await;
    let browser = &scene.browser;
    scene.sign_in().await;
    scene.go("/dashboard").await;
    let ask = "const {call} = await import(document.querySelector('script[src$=\"app.js\"]').src.replace('app.js', 'api.js'));
        window.fetch = async () => new Response(args[0], {status: 418});
        return call('tenants.list').catch(({code, status, message}) => [code, status, message]);";
    for body in ["{\"detail\": 5}", "{}", "[]", "null", "\"text\"", "<html>"] {
        let told = browser.run(ask, vec![json!(body)]).await;
        assert_eq!((&told[0], &told[1]), (&json!("unreadable"), &json!(418)), "{body}: {told}");
    }
    scene.end(&[]).await;
}

/// What was refused stands at the instance's own address, where it can be loaded again. What the browser
/// kept of a page is asked for anew.
pub(crate) async fn pages_that_are_loaded_again(stack: &Stack) {
    let scene = dashboard::Scene::new(stack).await.slowly().await;
    let browser = &scene.browser;
    scene.sign_in().await;
    scene.page("").await;
    browser.wait_for(&scene.button("stop")).await;
    let id = json!({"tenantId": scene.tenant});
    let begun = scene.visitor.call(202, "tenants.restart", id.clone()).await;
    // As the button's own form, which may be gone by now.
    let send = "const form = document.createElement('form');
        [form.method, form.action] = ['POST', arguments[0]];
        document.body.append(form);
        form.submit();";
    browser.leave(send, vec![json!(format!("/instances/{}/stop", scene.tenant))]).await;
    browser.wait_for("main > .notice.error").await;
    browser.wait_for_text_in("#instance .title", "Restarting").await;
    let own = format!("/instances/{}", scene.tenant);
    browser.wait_for_url(&own).await;
    assert!(browser.url().await.ends_with(&own), "{}", browser.url().await);
    scene.visitor.success(begun["operationId"].as_str().unwrap()).await;
    browser.wait_for_text_in("#instance .title", "Running").await;
    browser.reload().await;
    browser.wait_for_text_in("#instance .title", "Running").await;
    browser.wait_gone("main > .notice.error").await;
    let now = scene.visitor.call(200, "tenants.get", id).await;
    assert_eq!(now["operations"][0]["action"], "restart", "nothing was sent once more");

    let back = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}));";
    browser.leave(back, Vec::new()).await;
    browser.wait_for_text_in("#instance .title", "Running").await;
    scene.end(&["409"]).await;
}

/// Whoever comes back to a sign-up that nobody can tell of may begin another.
pub(crate) async fn a_sign_up_that_can_not_be_gone_on_with(stack: &Stack) {
    let scene = signup::Scene::of(Service::new(PROGRAM, stack).await).await;
    let browser = &scene.browser;
    scene.begin().await;
    scene.account().await;
    let cut = "const real = window.fetch;
        window.fetch = (url, ...rest) => url.endsWith?.('wizard.getSession') ? Promise.reject(new TypeError()) : real(url, ...rest);";
    browser.before_pages(cut).await;
    browser.reload().await;
    browser.wait_for_text_in("#loading", "can't be reached").await;
    browser.click("#start-over").await;
    browser.wait_for("#account-form").await;
    assert_eq!(browser.value("#email").await, "");
    scene.end().await;
}

/// After too many wrong codes another letter is one password away.
pub(crate) async fn too_many_wrong_codes(stack: &Stack) {
    let mail = MailServer::plain();
    let mut service = Service::new(PROGRAM, stack).await;
    for (setting, value) in mail.settings() {
        service = service.with(setting, value);
    }
    let scene = signup::Scene::of(service).await;
    let browser = &scene.browser;
    scene.begin().await;
    browser.type_into("#email", &scene.email).await;
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for("#code-form").await;
    let session = "return JSON.parse(localStorage.getItem('fresco.signup')).session;";
    let session = browser.run(session, Vec::new()).await;
    let visitor = scene.server.visitor();
    for _ in 0..10 {
        let wrong = json!({"sessionId": session, "code": "00000000"});
        visitor.call(403, "wizard.verifyEmail", wrong).await;
    }
    browser.type_into("#code", "00000000").await;
    scene.onward("code").await;
    browser.wait_for_text_in("#told", "Too many codes were wrong.").await;
    assert_eq!(browser.value("#email").await, scene.email);
    browser.type_into("#password", PASSWORD).await;
    scene.onward("account").await;
    browser.wait_for("#code-form").await;
    scene.is_clean_but("403", "403").await;
    scene.end().await;
}
