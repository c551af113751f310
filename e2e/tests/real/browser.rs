//! What a tenant's page can do to a visitor who is signed in to the platform: nothing. In a real
//! browser, on sibling subdomains of a domain where cookies can be planted.

use fresco_e2e::Stack;
use fresco_e2e::browser::Browser;
use fresco_e2e::service::{PASSWORD, Server, Service, Visitor};
use serde_json::{Value, json};

use crate::service::{PROGRAM, email, name};

const DOMAIN: &str = "fresco.test";
/// A page of the platform's that may call it.
const PAGE: &str = "/docs";

/// Calls the platform from one of its own pages.
const CALL: &str = "
    const [call, body] = args;
    const answer = await fetch('/api/' + call, {
        method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body),
    });
    return {status: answer.status, body: await answer.json().catch(() => null)};";

struct Scene {
    server: Server,
    platform: String,
    /// The address of the attacker's own tenant.
    evil: String,
    victim: Visitor,
    tenant: String,
    subdomain: String,
    victims_email: String,
    /// A session of the attacker's, to be planted.
    session: String,
}

async fn scene(stack: &Stack) -> Scene {
    let service = Service::new(PROGRAM, stack).await.with("BASE_DOMAIN", DOMAIN);
    let platform = format!("http://app.{DOMAIN}:{}", service.port());
    let server = service.with("PUBLIC_URL", &platform).start().await;
    let (victim, attacker) = (server.visitor(), server.visitor());
    let (subdomain, evil, victims_email, attackers_email) = (name(), name(), email(), email());
    let tenant = victim.deployed(&victims_email, &subdomain).await;
    let _ = attacker.deployed(&attackers_email, &evil).await;
    let sign_in = json!({"email": attackers_email, "password": PASSWORD});
    let answer = attacker.post("auth.signIn", &sign_in).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let session = cookie.split(';').next().unwrap().to_owned();
    let evil = format!("http://{evil}.{DOMAIN}:{}/signin", stack.proxy_ports().0);
    Scene { server, platform, evil, victim, tenant, subdomain, victims_email, session }
}

impl Scene {
    async fn sign_in(&self, browser: &Browser) {
        browser.goto(&format!("{}{PAGE}", self.platform)).await;
        let body = json!({"email": self.victims_email, "password": PASSWORD});
        let answer = browser.run(CALL, vec![json!("auth.signIn"), body]).await;
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!(self.who(browser).await, json!(self.victims_email));
    }

    /// Who the platform takes the browser for, asked from a page of the platform's.
    async fn who(&self, browser: &Browser) -> Value {
        browser.goto(&format!("{}{PAGE}", self.platform)).await;
        let answer = browser.run(CALL, vec![json!("auth.getSession"), json!({})]).await;
        answer["body"]["user"]["email"].clone()
    }

    /// Nobody but its owner has done anything to the victim's tenant.
    async fn is_untouched(&self) {
        let id = json!({"tenantId": self.tenant});
        let answer = self.victim.call(200, "tenants.get", id).await;
        assert_eq!(answer["tenant"]["status"], "active", "{answer:#}");
        let actions: Vec<_> = answer["operations"].as_array().unwrap().iter().collect();
        assert_eq!(actions.len(), 1, "{answer:#}");
    }
}

pub(crate) async fn a_tenants_page_can_do_nothing_on_the_platform(stack: &Stack) {
    let scene = scene(stack).await;
    let browser = Browser::start(DOMAIN).await;
    scene.sign_in(&browser).await;
    let destroy = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    let url = format!("{}/api/tenants.destroy", scene.platform);

    browser.goto(&scene.evil).await;
    // A fetch that the browser sends without asking first, with the victim's cookie.
    let blind = "
        const answer = await fetch(args[0], {
            method: 'POST', mode: 'no-cors', credentials: 'include', body: JSON.stringify(args[1]),
            headers: {'content-type': 'text/plain'},
        });
        return answer.type;";
    let sent = browser.run(blind, vec![json!(url), destroy.clone()]).await;
    assert!(sent["thrown"].is_string(), "it is sent, and nothing of the answer seen: {sent}");
    // One that it asks about first.
    let asked = blind.replace("'no-cors'", "'cors'").replace("text/plain", "application/json");
    let refused = browser.run(&asked, vec![json!(url), destroy.clone()]).await;
    assert!(refused["thrown"].as_str().is_some_and(|text| text.contains("TypeError")), "{refused}");
    // What is only read, it may not read.
    for path in ["/health", "/openapi.json"] {
        let read = "return await (await fetch(args[0], {credentials: 'include'})).text();";
        let refused = browser.run(read, vec![json!(format!("{}{path}", scene.platform))]).await;
        assert!(refused["thrown"].is_string(), "{path}: {refused}");
    }
    scene.is_untouched().await;

    // A form whose one field makes the body valid JSON.
    let body = destroy.to_string();
    let (start, end) = body.split_at(body.len() - 1);
    let field = format!("{start},\"rest\":\"");
    let form = "
        const form = document.createElement('form'), field = document.createElement('input');
        [form.method, form.action, form.enctype] = ['POST', arguments[0], 'text/plain'];
        [field.name, field.value] = [arguments[1], arguments[2]];
        form.append(field);
        document.body.append(form);
        form.submit();";
    browser.leave(form, vec![json!(url), json!(field), json!(format!("\"{end}"))]).await;
    let answer = browser.text().await;
    assert!(answer.contains("foreign_origin") || answer.contains("unsupported_media"), "{answer}");
    scene.is_untouched().await;
    assert_eq!(scene.who(&browser).await, json!(scene.victims_email), "still signed in");

    // A cookie for all of the domain, so that the victim works in the attacker's account.
    browser.goto(&scene.evil).await;
    let plant = "document.cookie = `${args[0]}; domain=${args[1]}; path=/api`; return 0;";
    browser.run(plant, vec![json!(scene.session), json!(DOMAIN)]).await;
    assert_eq!(scene.who(&browser).await, Value::Null, "of two neither is believed");
    scene.is_untouched().await;

    browser.close().await;
    let end = json!({"tenantId": scene.tenant, "confirmation": scene.subdomain});
    scene.victim.act("destroy", end).await;
    assert!(scene.server.stop().await.success());
}
