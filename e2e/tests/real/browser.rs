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

/// Sends a form: to this address, of these fields, so encoded.
const FORM: &str = "
    const form = document.createElement('form');
    [form.method, form.action, form.enctype] = ['POST', arguments[0], arguments[2]];
    for (const [name, value] of arguments[1]) {
        const field = document.createElement('input');
        [field.name, field.value] = [name, value];
        form.append(field);
    }
    document.body.append(form);
    // Not what a field is called, if one is called so.
    HTMLFormElement.prototype.submit.call(form);";
/// How pages' forms are encoded.
const FIELDS: &str = "application/x-www-form-urlencoded";
/// The addresses that take a form of a page elsewhere, beside those of [`fresco_server::pages`].
const FORMS: [&str; 9] = [
    "/instances/{id}/start",
    "/instances/{id}/stop",
    "/instances/{id}/restart",
    "/instances/{id}/open",
    "/logout",
    "/settings/email",
    "/settings/verification",
    "/settings/sessions/others/revoke",
    "/settings/sessions/{id}/revoke",
];

struct Scene {
    server: Server,
    platform: String,
    /// The address of the attacker's own tenant.
    evil: String,
    victim: Visitor,
    tenant: String,
    subdomain: String,
    victims_email: String,
    attackers_email: String,
    attackers_account: String,
    /// The id of the victim's API key.
    key: String,
    /// A session of the attacker's, to be planted.
    session: String,
}

async fn scene(stack: &Stack) -> Scene {
    let service = Service::new(PROGRAM, stack).await.with("BASE_DOMAIN", DOMAIN);
    let platform = format!("http://app.{DOMAIN}:{}", service.port());
    let service = service.with("PUBLIC_URL", &platform);
    let server = service.start().await;
    let (victim, attacker) = (server.visitor(), server.visitor());
    let (subdomain, evil, victims_email, attackers_email) = (name(), name(), email(), email());
    let tenant = victim.deployed(&victims_email, &subdomain).await;
    let _ = attacker.deployed(&attackers_email, &evil).await;
    // There is nothing that the victim may not do.
    let grant = service.command("admin").args(["grant", &victims_email]).status().await;
    assert!(grant.expect("the server's program").success(), "no admin");
    let key = json!({"name": "Nightly backup", "scopes": ["tenants:read"]});
    let key = text(&victim.call(200, "apiKeys.create", key).await["details"]["id"]);
    let session = attacker.call(200, "auth.getSession", json!({})).await;
    let attackers_account = text(&session["user"]["id"]);
    let sign_in = json!({"email": attackers_email, "password": PASSWORD});
    let answer = attacker.post("auth.signIn", &sign_in).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let session = cookie.split(';').next().unwrap().to_owned();
    let evil = format!("http://{evil}.{DOMAIN}:{}/signin", stack.proxy_ports().0);
    Scene {
        server,
        platform,
        evil,
        victim,
        tenant,
        subdomain,
        victims_email,
        attackers_email,
        attackers_account,
        key,
        session,
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
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

    /// Nobody but its owner has done anything to the victim's tenant, and nobody to the account.
    async fn is_untouched(&self) {
        let id = json!({"tenantId": self.tenant});
        let answer = self.victim.call(200, "tenants.get", id).await;
        assert_eq!(answer["tenant"]["status"], "active", "{answer:#}");
        let actions: Vec<_> = answer["operations"].as_array().unwrap().iter().collect();
        assert_eq!(actions.len(), 1, "{answer:#}");
        let tenants = self.victim.call(200, "tenants.list", json!({})).await;
        assert_eq!(tenants["total"], 1, "{tenants:#}");
        assert_eq!(self.keys().await, [json!(self.key)]);
        let session = self.victim.call(200, "auth.getSession", json!({})).await;
        assert_eq!(session["user"]["email"], json!(self.victims_email), "{session:#}");
        assert_eq!(session["user"]["name"], "A Researcher", "{session:#}");
        let sign_in = json!({"email": self.victims_email, "password": PASSWORD});
        self.server.visitor().call(200, "auth.signIn", sign_in).await;
        let attacker = json!({"search": self.attackers_email});
        let found = self.victim.call(200, "admin.users", attacker).await["users"][0].clone();
        assert_eq!(found["role"], "user", "{found:#}");
        assert_eq!(found["suspendedAt"], Value::Null, "{found:#}");
    }

    /// The ids of the victim's API keys.
    async fn keys(&self) -> Vec<Value> {
        let keys = self.victim.call(200, "apiKeys.list", json!({})).await["keys"].clone();
        keys.as_array().unwrap().iter().map(|key| key["id"].clone()).collect()
    }

    /// All addresses that pages' forms are sent to, and those that take none.
    async fn forms(&self) -> Vec<String> {
        let sessions = self.victim.call(200, "auth.listSessions", json!({})).await;
        let of = [
            ("/instances/", self.tenant.clone()),
            ("/signup/", self.tenant.clone()),
            ("/settings/keys/", self.key.clone()),
            ("/settings/sessions/", text(&sessions["sessions"][0]["id"])),
            ("/admin/users/", self.attackers_account.clone()),
        ];
        let filled = |path: &str| {
            let known = of.iter().find(|(part, _)| path.starts_with(part));
            let path = known.map_or(path.to_owned(), |(_, id)| path.replace("{id}", id));
            assert!(!path.contains('{'), "what does {path} stand for?");
            format!("{}{path}", self.platform)
        };
        fresco_server::pages().into_iter().chain(FORMS).map(filled).collect()
    }

    /// What fills every form, by somebody who knows even the victim's password.
    fn fields(&self) -> Value {
        json!([
            ["confirmation", self.subdomain],
            ["back", "/dashboard"],
            ["name", "Mallory"],
            ["email", self.attackers_email],
            ["password", PASSWORD],
            ["current", PASSWORD],
            ["new", "a password of another's"],
            ["scope", "tenants:write"],
            ["days", "90"],
            ["role", "admin"],
            ["subdomain", format!("{}-2", self.subdomain)],
            ["next", "/"],
            ["memory", "256"],
            ["cpus", "1"],
            ["action", "add"],
            ["token", "0".repeat(64)],
        ])
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
    let field = json!([[format!("{start},\"rest\":\""), format!("\"{end}")]]);
    browser.leave(FORM, vec![json!(url), field, json!("text/plain")]).await;
    let answer = browser.text().await;
    assert!(answer.contains("foreign_origin") || answer.contains("unsupported_media"), "{answer}");
    scene.is_untouched().await;
    assert_eq!(scene.who(&browser).await, json!(scene.victims_email), "still signed in");

    // The forms of pages, which are sent with the cookie and without any script of the platform's.
    for form in scene.forms().await {
        browser.goto(&scene.evil).await;
        browser.leave(FORM, vec![json!(form), scene.fields(), json!(FIELDS)]).await;
        let (url, answer) = (browser.url().await, browser.text().await);
        assert_eq!(url, form, "it is refused where it is: {answer}");
        assert!(answer.contains("Pages of another origin"), "{form}: {answer}");
    }
    scene.is_untouched().await;
    assert_eq!(scene.who(&browser).await, json!(scene.victims_email), "still signed in");
    // Sent from a page of the platform's own, the same does it.
    let form = format!("{}/settings/keys/new", scene.platform);
    browser.goto(&form).await;
    browser.leave(FORM, vec![json!(form), scene.fields(), json!(FIELDS)]).await;
    browser.wait_for("#made").await;
    let keys = scene.keys().await;
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys.iter().filter(|key| **key != json!(scene.key)) {
        scene.victim.call(200, "apiKeys.revoke", json!({"keyId": key})).await;
    }

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
