//! A platform with people and instances in every state that its pages show.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Stack;
use crate::browser::Browser;
use crate::service::{PASSWORD, Server, Service, Visitor};

/// The domain of the platform and its tenants.
pub const DOMAIN: &str = "localhost";
/// So many instances a person has who has many.
pub const MANY: usize = 50;

/// The profile of the tenant app in its first-visitor mode.
pub const FIRST_VISITOR: &str = r#"
name = "first-visitor"
port = 3000
health_path = "/signin"
health_status = 200
claim_path = "/setup"
isolation = "schema"
session_required = true
connection_limit = 20
scratch = [{ path = "/tmp", size_mb = 64 }]
read_only = true
min_pids = 64
min_memory_mb = 64
boot_seconds = 180
stop_seconds = 10

[environment]
DATABASE_URL = "{database.pooled}"
DATABASE_URL_UNPOOLED = "{database.direct}"
PUBLIC_URL = "{url}"
HOSTNAME = "0.0.0.0"
APP_CLAIM = "1"
"#;

/// Somebody who looks at pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Not signed in.
    Nobody,
    /// Has no instance yet.
    Newcomer,
    /// Has one that runs, one to be set up, one that is stopped and one that failed.
    Owner,
    /// Has [`MANY`].
    Collector,
    /// Looks after the platform.
    Admin,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Nobody, Self::Newcomer, Self::Owner, Self::Collector, Self::Admin];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Newcomer => "newcomer",
            Self::Owner => "owner",
            Self::Collector => "collector",
            Self::Admin => "admin",
        }
    }

    /// The address of the account.
    #[must_use]
    pub fn email(self) -> String {
        format!("{}@university.example", self.name())
    }
}

/// The platform.
#[derive(Debug)]
pub struct Site {
    /// Its server.
    pub server: Server,
    /// Where browsers find it.
    pub origin: String,
    /// The owner's instance that runs.
    pub running: String,
    /// The owner's instance whose gate is still closed.
    pub new: String,
    /// The owner's instance that is stopped.
    pub stopped: String,
    /// The owner's instance that failed.
    pub failed: String,
    /// The owner's account.
    pub account: String,
    /// The owner's API key.
    pub key: String,
    profile: PathBuf,
    people: Vec<(Who, Visitor)>,
}

impl Site {
    /// Starts it on this stack, served by this program.
    pub async fn start(program: &str, stack: &Stack) -> Self {
        let service = Service::new(program, stack).await.with("BASE_DOMAIN", DOMAIN);
        let origin = format!("http://{DOMAIN}:{}", service.port());
        let profile = std::env::temp_dir().join(format!("fresco-profile-{}.toml", service.port()));
        std::fs::write(&profile, FIRST_VISITOR).expect("a profile of the app");
        let service = service.with("PUBLIC_URL", &origin).with("FRESCO_APP", profile.display());
        let server = service.start().await;
        let mut people = Vec::new();
        for who in Who::ALL {
            let visitor = server.visitor();
            if who != Who::Nobody {
                visitor.sign_up(&who.email()).await;
                let name = json!({"name": format!("Dr {}", who.name())});
                visitor.call(200, "auth.updateProfile", name).await;
            }
            people.push((who, visitor));
        }
        let grant = service.command("admin").args(["grant", &Who::Admin.email()]).status().await;
        assert!(grant.expect("the server's program").success(), "no admin");
        let by = |who: Who| &people[who as usize].1;

        let (running, new, stopped, failed) = tokio::join!(
            create(by(Who::Owner), "sleep-diaries", json!({}), "success"),
            create(by(Who::Owner), "family-networks", json!({}), "success"),
            create(by(Who::Owner), "pilot-2026", json!({}), "success"),
            create(by(Who::Owner), "peer-study", json!({"APP_EXIT_AT_BOOT": "7"}), "failed"),
        );
        let owner = by(Who::Owner);
        owner.call(200, "tenants.openGate", json!({"tenantId": running})).await;
        owner.act("stop", json!({"tenantId": stopped})).await;
        let session = owner.call(200, "auth.getSession", json!({})).await;
        let key = json!({"name": "Nightly backup", "scopes": ["tenants:read"]});
        let key = owner.call(200, "apiKeys.create", key).await;
        let collectors = create(by(Who::Collector), "cohort-1", json!({}), "success").await;
        by(Who::Collector).act("stop", json!({"tenantId": collectors})).await;
        multiply(stack, &service, &collectors).await;
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let (account, key) = (text(&session["user"]["id"]), text(&key["details"]["id"]));
        Self { server, origin, running, new, stopped, failed, account, key, profile, people }
    }

    /// This person, calling the API.
    #[must_use]
    pub fn visitor(&self, who: Who) -> &Visitor {
        &self.people[who as usize].1
    }

    /// Stops its server, which must end in order.
    pub async fn stop(self) {
        assert!(self.server.stop().await.success(), "the server did not stop in order");
        std::fs::remove_file(&self.profile).expect("the profile can be removed");
    }

    /// Lets a browser be this person's.
    pub async fn enter(&self, browser: &Browser, who: Who) {
        browser.goto(&format!("{}/login", self.origin)).await;
        browser.forget_session().await;
        if who != Who::Nobody {
            browser.sign_in(&self.origin, &who.email(), PASSWORD).await;
        }
    }
}

/// Asks for an instance and waits until that has ended so; its id.
async fn create(owner: &Visitor, subdomain: &str, environment: Value, end: &str) -> String {
    let body = json!({"subdomain": subdomain, "environment": environment});
    let answer = owner.call(202, "tenants.create", body).await;
    let done = owner.done(answer["operationId"].as_str().expect("an operation")).await;
    assert_eq!(done["status"], end, "{done:#}");
    answer["tenantId"].as_str().expect("an id").to_owned()
}

/// Writes a stopped instance as many times as somebody has who has many: fifty real ones would take
/// minutes, and nothing is asked of them but to be in a list.
async fn multiply(stack: &Stack, service: &Service, tenant: &str) {
    let copies = format!(
        "INSERT INTO fresco.tenants
         SELECT id, owner, 'cohort-' || n, status, generation,
                replace(spec::text, '\"cohort-1\"', '\"cohort-' || n || '\"')::jsonb,
                state, created_at - n * interval '1 hour'
         FROM (SELECT gen_random_uuid() AS id, owner, status, generation, spec, state, created_at, n
               FROM fresco.tenants, generate_series(2, {MANY}) AS n WHERE id = '{tenant}') AS copies"
    );
    stack.superuser_in(service.database(), &copies).await;
}
