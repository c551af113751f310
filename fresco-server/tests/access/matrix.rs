//! Every call of the document, made by everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fresco_core::{Actor, TenantId};
use fresco_server::accounts::{Accounts, KeyCreation, NewApiKey, NewLogin, Role, Scope, User};
use poem::http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use crate::support::site::Site;
use crate::table::{ASKERS, About, Row, TABLE, Takes, Thing};

const COOKIE: &str = "fresco_session";

/// A call as the document has it.
struct Call {
    method: Method,
    path: String,
    takes: BTreeSet<String>,
}

fn calls() -> BTreeMap<String, Call> {
    let document: Value = serde_json::from_str(&fresco_server::openapi_document()).unwrap();
    let mut calls = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let security = call["security"].as_array().cloned().unwrap_or_default();
            let names = security.iter().flat_map(|one| one.as_object().unwrap().keys().cloned());
            let method = method.to_uppercase().parse().unwrap();
            let id = call["operationId"].as_str().unwrap().to_owned();
            let (path, takes) = (path.clone(), names.collect());
            assert!(calls.insert(id, Call { method, path, takes }).is_none());
        }
    }
    calls
}

#[test]
fn every_call_has_a_row_that_takes_what_the_document_says() {
    let calls = calls();
    let rows: BTreeSet<_> = TABLE.iter().map(|row| row.operation.to_owned()).collect();
    assert_eq!(rows.len(), TABLE.len(), "a call has two rows");
    let missing: Vec<_> = calls.keys().filter(|id| !rows.contains(*id)).collect();
    assert!(missing.is_empty(), "say in tests/access/table.rs who may call {missing:?}");
    for row in TABLE {
        let call = calls.get(row.operation);
        let call = call.unwrap_or_else(|| panic!("there is no call {}", row.operation));
        let expected: Vec<String> = match row.takes {
            Takes::Nothing => vec![],
            Takes::Session => vec!["session".into()],
            Takes::Key(scope) => {
                vec!["session".into(), format!("key_{}", scope.replace(':', "_"))]
            }
        };
        assert_eq!(call.takes, expected.into_iter().collect(), "{}", row.operation);
    }
}

/// A site, and who is there.
struct World {
    site: Site,
    accounts: Accounts,
    owner: User,
    other: User,
    admin: User,
    bystander: User,
}

/// What a request carries.
#[derive(Default)]
struct Carried {
    cookie: Option<String>,
    key: Option<String>,
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("thing-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    async fn new() -> Self {
        let site = Site::new().await;
        let accounts = site.database.accounts().await;
        let mut people = Vec::new();
        for name in ["owner", "other", "admin", "bystander"] {
            let email = format!("{name}@example.org");
            site.sign_up(&email).await;
            people.push(accounts.user_of(&email.parse().unwrap()).await.unwrap().unwrap());
        }
        let [owner, other, admin, bystander] = people.try_into().unwrap();
        accounts.set_role(admin.id, Role::Admin).await.unwrap();
        Self { site, accounts, owner, other, admin, bystander }
    }

    async fn session(&self, user: &User) -> SecretString {
        // Its password may be another by now.
        let now = self.accounts.users_by_id(&[user.id]).await.unwrap().remove(0);
        let opened = self.accounts.open_session(&now, &NewLogin::default()).await;
        opened.unwrap().unwrap().token
    }

    async fn session_id(&self, token: &SecretString) -> Uuid {
        self.accounts.session(token).await.unwrap().unwrap().id
    }

    async fn key(&self, user: &User, scopes: BTreeSet<Scope>) -> (String, Uuid) {
        let life = Duration::from_secs(60);
        let new = NewApiKey { name: "k".into(), scopes, life, once: None };
        let session = self.session_id(&self.session(user).await).await;
        match self.accounts.create_api_key(user.id, session, &new).await.unwrap() {
            KeyCreation::Made { key, details } => (key.expose_secret().to_owned(), details.id),
            other => panic!("{other:?}"),
        }
    }

    /// What a call is about.
    async fn thing(&self, about: About) -> Thing {
        let name = unique();
        let id = match about {
            About::Nothing => String::new(),
            About::Tenant | About::Operation => {
                let subdomain = name.parse().unwrap();
                let policy = &self.site.platform.config.tenants;
                let spec = policy.new_tenant(self.owner.owner(), subdomain);
                let (id, actor) = (TenantId::new(), Actor::System);
                let accepted = self.site.orchestrator.deploy(id, spec, actor).await.unwrap();
                let operation = accepted.operation.id.to_string();
                self.site.done(&operation).await;
                if about == About::Tenant { id.to_string() } else { operation }
            }
            About::Session => self.session_id(&self.session(&self.owner).await).await.to_string(),
            About::Key => self.key(&self.owner, BTreeSet::from([Scope::Admin])).await.1.to_string(),
            About::Account => self.bystander.id.to_string(),
            About::Wizard => {
                let email = format!("{name}@example.org").parse().unwrap();
                let new = self.accounts.begin_wizard(&email, None).await.unwrap();
                new.token.expose_secret().to_owned()
            }
        };
        Thing { id, name }
    }

    async fn cookie(&self, user: &User) -> Carried {
        let token = self.session(user).await;
        let cookie = Some(format!("{COOKIE}={}", token.expose_secret()));
        Carried { cookie, key: None }
    }

    async fn carried(&self, asker: &str, row: &Row) -> Carried {
        let scope = match row.takes {
            Takes::Key(scope) => Some(scope.parse::<Scope>().unwrap()),
            _ => None,
        };
        let entitled = if scope == Some(Scope::Admin) { &self.admin } else { &self.owner };
        let (fitting, others): (BTreeSet<_>, _) =
            Scope::ALL.into_iter().partition(|one| scope.is_none_or(|needed| *one == needed));
        let others = if scope.is_some() { others } else { fitting.clone() };
        let key = |(key, _): (String, Uuid)| Carried { cookie: None, key: Some(key) };
        match asker {
            "anonymous" => Carried::default(),
            "other user" => self.cookie(&self.other).await,
            "owner" => self.cookie(&self.owner).await,
            "admin" => self.cookie(&self.admin).await,
            "key" => key(self.key(entitled, fitting).await),
            "key without the scope" => key(self.key(entitled, others).await),
            "revoked key" => {
                let (text, id) = self.key(entitled, fitting).await;
                assert!(self.accounts.revoke_api_key(entitled.id, id).await.unwrap());
                key((text, id))
            }
            "expired session" => {
                let token = self.session(entitled).await;
                let id = self.session_id(&token).await;
                let sql = "UPDATE fresco_server.sessions SET expires_at = now() WHERE id";
                self.site.database.execute(&format!("{sql} = '{id}'")).await;
                let cookie = Some(format!("{COOKIE}={}", token.expose_secret()));
                Carried { cookie, key: None }
            }
            "cookie and key" => {
                let both = key(self.key(entitled, fitting).await);
                Carried { cookie: self.cookie(entitled).await.cookie, ..both }
            }
            other => panic!("who is {other}?"),
        }
    }

    /// Makes the call: `ok`, or the refusal's status and code.
    async fn ask(&self, call: &Call, row: &Row, thing: &Thing, carried: Carried) -> String {
        let path = call.path.replace("{id}", &thing.id);
        let mut request = self.site.request(call.method.clone(), &path);
        if call.method == Method::POST {
            request = request.body_json(&(row.body)(thing));
        }
        if let Some(cookie) = carried.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(key) = carried.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = request.send().await.0;
        let status = response.status().as_u16();
        if status == row.good {
            return "ok".into();
        }
        let body: Value = response.into_body().into_json().await.unwrap();
        format!("{status} {}", body["code"].as_str().unwrap_or_default())
    }

    /// How often something was asked of a tenant.
    async fn asked(&self, tenant: &str) -> usize {
        let id = tenant.parse().unwrap();
        self.site.orchestrator.operations(id, 10).await.unwrap().len()
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn every_call_answers_everybody_as_the_table_says() {
    let world = World::new().await;
    let (calls, mut wrong) = (calls(), Vec::new());
    for row in TABLE {
        let call = &calls[row.operation];
        for (asker, expected) in ASKERS.iter().zip(row.answers) {
            let thing = world.thing(row.about).await;
            let carried = world.carried(asker, row).await;
            let answer = world.ask(call, row, &thing, carried).await;
            if answer != expected {
                wrong.push(format!("{} by {asker}: {answer}, not {expected}", row.operation));
            }
            if row.about == About::Tenant && answer != "ok" && world.asked(&thing.id).await != 1 {
                wrong.push(format!("{} by {asker} was refused and done", row.operation));
            }
            // Nobody may have more than fifty.
            world.site.database.execute("DELETE FROM fresco_server.api_keys").await;
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
