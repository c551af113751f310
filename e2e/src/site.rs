//! A platform with people and instances in every state that its pages show.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Stack;
use crate::browser::Browser;
use crate::proxy::{Upstream, Wire};
use crate::service::{PASSWORD, Server, Service, Visitor, until};
use crate::smtp::MailServer;

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
    /// Has one instance that is being set up and one that is being changed. Looked at first: neither
    /// takes so long for ever.
    Beginner,
    /// Not signed in.
    Nobody,
    /// Has no instance yet.
    Newcomer,
    /// Has one that runs, one to be set up, one that is stopped, one that failed and one that was removed.
    Owner,
    /// Has [`MANY`].
    Collector,
    /// Looks after the platform.
    Admin,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Beginner, Self::Nobody, Self::Newcomer, Self::Owner, Self::Collector, Self::Admin];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beginner => "beginner",
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

/// How a server of the platform is set up. All of them share its people and its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// As in development.
    Usual,
    /// Sends mail, and only who was invited may sign up.
    Invites,
    /// Nobody may sign up.
    Closed,
    /// Has no room for one more instance.
    Full,
    /// Everybody has asked too often.
    Hasty,
    /// Docker can't be reached.
    WithoutDocker,
    /// The platform's own database can't be reached.
    WithoutStore,
}

/// The platform.
#[derive(Debug)]
pub struct Site<'a> {
    /// The owner's instance that runs.
    pub running: String,
    /// The owner's instance whose gate is still closed.
    pub new: String,
    /// The owner's instance that is stopped.
    pub stopped: String,
    /// The owner's instance that failed.
    pub failed: String,
    /// The owner's instance that was removed.
    pub removed: String,
    /// The beginner's instance that is being set up.
    pub coming: String,
    /// The beginner's instance that is being changed.
    pub busy: String,
    /// The owner's account.
    pub account: String,
    /// The owner's API key.
    pub key: String,
    /// The invite of somebody who has not come yet.
    pub invite: String,
    stack: &'a Stack,
    database: String,
    profile: PathBuf,
    people: Vec<(Who, Visitor)>,
    usual: Server,
    others: Others,
    /// The one beside the usual that runs: all of them at once would keep a small machine from showing pages.
    beside: Option<(Setup, Server)>,
}

impl<'a> Site<'a> {
    /// Starts it on this stack, served by this program.
    pub async fn start(program: &str, stack: &'a Stack) -> Self {
        let usual = Service::new(program, stack).await.with("BASE_DOMAIN", DOMAIN);
        let public_url = origin(usual.port());
        let profile = std::env::temp_dir().join(format!("fresco-profile-{}.toml", usual.port()));
        // An instance that is being set up is so as long as it is looked at.
        let patient = FIRST_VISITOR.replace("boot_seconds = 180", "boot_seconds = 3600");
        std::fs::write(&profile, patient).expect("a profile of the app");
        let usual = usual
            .with("FRESCO_APP", profile.display())
            .with("SANDBOX_URL", "https://sandbox.example.org")
            .with("PUBLIC_URL", public_url);
        let server = usual.start().await;
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
        let grant = usual.command("admin").args(["grant", &Who::Admin.email()]).status().await;
        assert!(grant.expect("the server's program").success(), "no admin");
        let by = |who: Who| &people[who as usize].1;

        let (running, new, stopped, failed, removed, busy) = tokio::join!(
            create(by(Who::Owner), "sleep-diaries", json!({}), "success"),
            create(by(Who::Owner), "family-networks", json!({}), "success"),
            create(by(Who::Owner), "pilot-2026", json!({}), "success"),
            create(by(Who::Owner), "peer-study", json!({"APP_EXIT_AT_BOOT": "7"}), "failed"),
            create(by(Who::Owner), "field-notes", json!({}), "success"),
            create(by(Who::Beginner), "course-in-networks", json!({}), "success"),
        );
        let owner = by(Who::Owner);
        owner.call(200, "tenants.openGate", json!({"tenantId": running})).await;
        owner.act("stop", json!({"tenantId": stopped})).await;
        let end = json!({"tenantId": removed, "confirmation": "field-notes"});
        owner.act("destroy", end).await;
        let session = owner.call(200, "auth.getSession", json!({})).await;
        let key = json!({"name": "Nightly backup", "scopes": ["tenants:read"]});
        let key = owner.call(200, "apiKeys.create", key).await;
        let collectors = create(by(Who::Collector), "cohort-1", json!({}), "success").await;
        by(Who::Collector).act("stop", json!({"tenantId": collectors})).await;
        multiply(stack, &usual, &collectors).await;

        let slow = json!({"APP_BOOT_DELAY": "3600"});
        let change = json!({"tenantId": busy, "environment": slow});
        by(Who::Beginner).call(202, "tenants.update", change).await;
        let wish = json!({"subdomain": "first-interviews", "environment": slow});
        let coming = by(Who::Beginner).call(202, "tenants.create", wish).await;
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let coming = text(&coming["tenantId"]);
        for id in [&busy, &coming] {
            is_awaited(by(Who::Beginner), id).await;
        }

        let others = Others::new(&usual, stack).await;
        let (account, key) = (text(&session["user"]["id"]), text(&key["details"]["id"]));
        Self {
            running,
            new,
            stopped,
            failed,
            removed,
            coming,
            busy,
            account,
            key,
            invite: others.invite.clone(),
            stack,
            database: usual.database().to_owned(),
            profile,
            people,
            usual: server,
            others,
            beside: None,
        }
    }

    /// Lets the server that is set up like this run, beside the usual one, and no other.
    pub async fn serve(&mut self, setup: Setup) {
        if setup == Setup::Usual || self.beside.as_ref().is_some_and(|(runs, _)| *runs == setup) {
            return;
        }
        self.stop_beside().await;
        self.others.docker.mend();
        self.others.store.mend();
        let server = self.others.service(setup).start().await;
        let seen = match setup {
            Setup::Hasty => Some(("/login", 429)),
            Setup::WithoutDocker => {
                self.others.docker.cut();
                Some(("/health", 503))
            }
            Setup::WithoutStore => {
                self.others.store.cut();
                Some(("/health", 503))
            }
            Setup::Usual | Setup::Invites | Setup::Closed | Setup::Full => None,
        };
        if let Some((path, status)) = seen {
            let stranger = server.visitor();
            until(&format!("{setup:?} answers {path} with {status}"), async || {
                let answer = stranger.get(path).send().await.expect("the server answers");
                answer.status() == status
            })
            .await;
        }
        self.beside = Some((setup, server));
    }

    async fn stop_beside(&mut self) {
        if let Some((setup, server)) = self.beside.take() {
            assert!(server.stop().await.success(), "{setup:?} did not stop in order");
        }
    }

    /// Where browsers find the server that is set up like this, while [it runs](Self::serve).
    #[must_use]
    pub fn origin(&self, setup: Setup) -> String {
        match setup {
            Setup::Usual => origin(self.usual.port()),
            _ => origin(self.others.service(setup).port()),
        }
    }

    /// Lets the hour be over of everybody who is signing up.
    pub async fn end_sign_ups(&self) {
        let over = "UPDATE fresco_server.wizard_sessions SET expires_at = now()";
        self.stack.superuser_in(&self.database, over).await;
    }

    /// Lets nobody have set up the app whose gate is closed in time.
    pub async fn miss_claim(&self) {
        let before = format!(
            "UPDATE fresco.tenants SET state = state ||
                jsonb_build_object('first_active_at', now() - interval '3 hours') WHERE id = '{}'",
            self.new
        );
        self.stack.superuser_in(&self.database, &before).await;
    }

    /// This person, calling the API.
    #[must_use]
    pub fn visitor(&self, who: Who) -> &Visitor {
        &self.people[who as usize].1
    }

    /// Stops its servers, which must end in order.
    pub async fn stop(mut self) {
        self.stop_beside().await;
        assert!(self.usual.stop().await.success(), "the server did not stop in order");
        std::fs::remove_file(&self.profile).expect("the profile can be removed");
    }

    /// Lets a browser be this person's.
    pub async fn enter(&self, browser: &Browser, who: Who) {
        let origin = self.origin(Setup::Usual);
        browser.goto(&format!("{origin}/login")).await;
        browser.forget_session().await;
        if who != Who::Nobody {
            browser.sign_in(&origin, &who.email(), PASSWORD).await;
        }
    }
}

fn origin(port: u16) -> String {
    format!("http://{DOMAIN}:{port}")
}

/// The servers beside the usual one.
#[derive(Debug)]
struct Others {
    services: Vec<(Setup, Service)>,
    invite: String,
    docker: Wire,
    store: Wire,
    _mail: MailServer,
}

impl Others {
    async fn new(usual: &Service, stack: &Stack) -> Self {
        let mail = MailServer::plain();
        let invites = mail
            .settings()
            .into_iter()
            .fold(beside(usual).with("SIGNUP", "invite"), |service, (setting, value)| {
                service.with(setting, value)
            });
        let told = invites.command("invite").arg("grace@university.example").output().await;
        let told = String::from_utf8(told.expect("the server's program").stdout).expect("text");
        let invite = told.lines().next().and_then(|link| link.split_once('=')).expect("a link").1;
        let closed = beside(usual).with("SIGNUP", "closed");
        let full = beside(usual).with("TENANT_MEMORY", "512").with("MEMORY_OVERCOMMIT", "1");
        let hasty = beside(usual).with("RATE_READS", "1/hour");
        let docker = Wire::to(Upstream::Unix(stack.docker_socket().into())).await.expect("a wire");
        let without_docker =
            beside(usual).with("DOCKER_HOST", format!("tcp://{}", docker.address()));
        let store = Wire::to(Upstream::Tcp(stack.postgres_address())).await.expect("a wire");
        let without_store = beside(usual)
            .with(
                "TENANT_DATABASE_ADMIN_URL",
                stack.url(stack.postgres_address(), usual.database()),
            )
            .with("DATABASE_URL", stack.url(store.address(), usual.database()))
            .with("LOG", "off");

        let services = vec![
            (Setup::Invites, invites),
            (Setup::Closed, closed),
            (Setup::Full, full),
            (Setup::Hasty, hasty),
            (Setup::WithoutDocker, without_docker),
            (Setup::WithoutStore, without_store),
        ];
        Self { services, invite: invite.to_owned(), docker, store, _mail: mail }
    }

    fn service(&self, setup: Setup) -> &Service {
        let found = self.services.iter().find(|(known, _)| *known == setup);
        &found.expect("a server of each").1
    }
}

/// Another server of the same platform. Cookies know no ports: who is signed in at one is at all.
fn beside(service: &Service) -> Service {
    let service = service.clone().beside();
    let origin = origin(service.port());
    service.with("PUBLIC_URL", origin)
}

/// Waits until the app of an instance is waited for.
async fn is_awaited(owner: &Visitor, id: &str) {
    until("the app is waited for", async || {
        let told = owner.call(200, "tenants.get", json!({"tenantId": id})).await;
        let steps = told["operations"][0]["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().any(|step| step["name"] == "ready" && step["status"] == "running")
    })
    .await;
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
                state || jsonb_build_object('first_active_at', active_at - n * interval '1 hour'),
                created_at - n * interval '1 hour'
         FROM (SELECT gen_random_uuid() AS id, owner, status, generation, spec, state, created_at, n,
                      (state->>'first_active_at')::timestamptz AS active_at
               FROM fresco.tenants, generate_series(2, {MANY}) AS n WHERE id = '{tenant}') AS copies"
    );
    stack.superuser_in(service.database(), &copies).await;
}
