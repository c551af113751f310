//! What people are sent and type into pages, and what the operator has set.

use fresco_core::fault::FaultPlan;
use fresco_core::{ClaimGates, TenantId};
use fresco_server::accounts::AuditQuery;
use fresco_server::mail::Post;
use fresco_server::{Gates, app, compose};
use poem::http::Method;
use poem::test::TestClient;
use poem::{EndpointExt, Response};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::Log;
use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::smtp::{LOGIN, MailServer};
use crate::support::{PASSWORD, SECRET};

const EMAIL: &str = "ada@example.org";
/// Where the proxy asks.
const GATE: &str = "127.0.0.1:3000";
/// The password of the database. [`database`] writes it in two parts: what a test sends is logged, too.
const OF_THE_DATABASE: &str = "word-of-the-database";
const WRONG: &str = "nine green scooters sideways";
const NEW: &str = "seven blue bicycles uphill";
const NEWER: &str = "eight red tricycles downhill";

/// A database whose password is not its name.
async fn database() -> Database {
    let mut database = Database::migrated().await;
    let plant = "DO $$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', current_user,
                     'word-of-' || 'the-database'); END $$";
    database.execute(plant).await;
    let name = database.url.rsplit('/').next().unwrap().to_owned();
    database.url = database.url.replace(&format!(":{name}@"), &format!(":{OF_THE_DATABASE}@"));
    assert!(database.url.contains(OF_THE_DATABASE), "{}", database.url);
    database
}

/// Somebody in front of the pages, who keeps all that they answer.
struct Visitor<'a> {
    site: &'a Site,
    cookie: String,
    shown: Vec<String>,
}

impl Visitor<'_> {
    async fn keep(&mut self, path: &str, answer: Response, status: u16) -> String {
        let (found, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.into_body().into_string().await.unwrap();
        assert_eq!(found, status, "{path}: {text}");
        if let Some(line) = headers.get("set-cookie") {
            self.cookie = line.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        self.shown.push(format!("{path} {headers:?} {text}"));
        text
    }

    /// Sends a page's form.
    async fn send(&mut self, path: &str, fields: &[(&str, &str)], status: u16) -> String {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.site.request(Method::POST, path).header("cookie", &self.cookie);
        let request = request.header("origin", "http://localhost:3000");
        let request = request.content_type("application/x-www-form-urlencoded").body(body);
        let answer = request.send().await.0;
        self.keep(path, answer, status).await
    }

    async fn call(&mut self, path: &str, body: serde_json::Value) -> serde_json::Value {
        let answer = self.site.request(Method::POST, path).body_json(&body).send().await.0;
        serde_json::from_str(&self.keep(path, answer, 200).await).unwrap()
    }
}

/// What stands behind this, up to a quotation mark or a semicolon.
fn behind<'a>(text: &'a str, mark: &str) -> &'a str {
    let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {text}"));
    rest.split(['"', ';']).next().unwrap()
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn what_people_type_and_are_sent_is_told_by_nothing() {
    let log = Log::begin();
    let mail = MailServer::starttls();
    let settings = mail.settings();
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<_> = settings.chain([("SIGNUP", "invite")]).collect();
    let site = Site::on(database().await, &settings, &FaultPlan::none()).await;
    let (platform, accounts) = (&site.platform, &site.platform.accounts);
    let deliver = async || {
        let post = Post::new(platform).unwrap();
        while post.round().await.unwrap() > 0 {}
    };
    let mut visitor = Visitor { site: &site, cookie: String::new(), shown: Vec::new() };

    // An invite, the code of a wizard that it lets in, and the account that it makes.
    let invite = compose::invite(&platform.config, EMAIL).await.unwrap();
    let invite = invite.lines().next().unwrap().split_once("#invite=").unwrap().1.to_owned();
    let begin = json!({ "email": EMAIL, "invite": invite });
    let begun = visitor.call("/api/wizard.createSession", begin).await;
    let wizard = begun["sessionId"].as_str().unwrap().to_owned();
    deliver().await;
    let code = mail.secret(EMAIL, "Your code");
    let typed = json!({ "sessionId": wizard, "code": code });
    let verified = visitor.call("/api/wizard.verifyEmail", typed).await;
    assert_eq!(verified["emailVerified"], true, "{verified}");
    let account = json!({ "email": EMAIL, "password": PASSWORD, "invite": invite,
                          "termsAccepted": true, "privacyAccepted": true });
    visitor.call("/api/auth.signUp", account).await;
    let mut told = vec![invite, wizard, code.replace(' ', ""), code, visitor.cookie.clone()];

    // The tokens of letters, passwords and a key, through pages.
    deliver().await;
    let verification = mail.secret(EMAIL, "Is this your address");
    visitor.send("/verify-email", &[("token", &verification), ("password", PASSWORD)], 303).await;
    visitor.send("/login", &[("email", EMAIL), ("password", WRONG)], 401).await;
    visitor.send("/login", &[("email", EMAIL), ("password", PASSWORD)], 303).await;
    told.push(visitor.cookie.clone());
    visitor.send("/forgot-password", &[("email", EMAIL)], 303).await;
    deliver().await;
    let reset = mail.secret(EMAIL, "Set another password");
    visitor.send("/reset-password", &[("token", &reset), ("password", NEW)], 303).await;
    visitor.send("/login", &[("email", EMAIL), ("password", NEW)], 303).await;
    visitor.send("/settings/password", &[("current", WRONG), ("new", NEWER)], 403).await;
    visitor.send("/settings/password", &[("current", NEW), ("new", NEWER)], 303).await;
    let fields = [("name", "ci"), ("scope", "tenants:read"), ("days", "90")];
    let made = visitor.send("/settings/keys/new", &fields, 200).await;
    told.extend([behind(&made, "data-copy=\"").to_owned(), visitor.cookie.clone()]);
    visitor.send("/login", &[("email", EMAIL), ("password", WRONG)], 401).await;
    let letters = [verification, reset];

    // The link to an app without an owner, and the pass that it leads to.
    let tenant = TenantId::new();
    Gates::new(accounts.clone(), GATE.parse().unwrap()).gate(tenant, false).await.unwrap();
    let claim = accounts.claim(tenant).await.unwrap().unwrap();
    let word = accounts.claim_word(&claim).expose_secret().to_owned();
    let proxy = TestClient::new(app(platform.clone()).map_to_response());
    let ask = async |uri: String, cookie: &str, status: u16| {
        let request = proxy.get(format!("/internal/gate/{tenant}")).header("host", GATE);
        let request = request.header("x-forwarded-method", "GET").header("x-forwarded-uri", uri);
        let answer = request.header("cookie", cookie).send().await.0;
        assert_eq!(answer.status(), status);
        let line = answer.headers().get("set-cookie");
        line.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned())
    };
    let pass = ask(format!("/setup?fresco_claim={word}"), "", 303).await.expect("a pass");
    ask("/".to_owned(), &pass, 204).await;
    ask(format!("/setup?fresco_claim={word}"), "", 403).await;
    told.extend([word, pass]);

    // What is known to one side alone is in no answer; what was told once is kept by nothing.
    let of_the_url = LOGIN.1.replace(' ', "%20").replace('/', "%2F");
    let mut known = vec![SECRET.to_owned(), OF_THE_DATABASE.into(), LOGIN.1.into(), of_the_url];
    known.extend([PASSWORD, WRONG, NEW, NEWER].map(str::to_owned));
    known.extend(letters);
    let told = told.iter().map(|told| told.rsplit('=').next().unwrap());
    let copy = site.database.dump().await;
    assert!(copy.contains("COPY fresco_server.mail_tokens") && copy.contains(EMAIL), "{copy}");
    let audit = accounts.audit(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).await;
    let audit = serde_json::to_string(&audit.unwrap().rows).unwrap();
    for event in ["wizard_verify_email", "auth_reset_password", "gate_entered"] {
        assert!(audit.contains(event), "{event} in {audit}");
    }
    let log = log.text();
    assert!(log.contains("somebody came in by the owner's link"), "the log is there: {log}");
    let places = [
        ("a copy of the database", copy),
        ("the audit log", audit),
        ("the log", log),
        ("the platform", format!("{platform:?}")),
    ];
    for (what, text) in &places {
        for secret in known.iter().map(String::as_str).chain(told.clone()) {
            assert!(!text.contains(secret), "{what} tells {secret}");
        }
    }
    for answer in &visitor.shown {
        let secret = known.iter().find(|secret| answer.contains(*secret));
        assert_eq!(secret, None, "an answer tells it: {answer}");
    }
}
