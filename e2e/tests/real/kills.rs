//! `kill -9` at seeded moments of many operations, again and again: nothing is lost, nothing is left.

use std::time::Duration;

use fresco_e2e::Stack;
use fresco_e2e::service::{Server, Service, Visitor};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::census::{Things, census, no_probes_left};
use crate::dice::Dice;
use crate::service::{PROGRAM, email, name, page, whoami};

/// Tenants that are worked on at the same time.
const TENANTS: usize = 8;
/// The server is killed within this many milliseconds after it was asked.
const MOMENT: usize = 2500;

pub(crate) async fn again_and_again(stack: &Stack) {
    both(stack, 4).await;
}

pub(crate) async fn long_two_hundred_times(stack: &Stack) {
    both(stack, 100).await;
}

async fn both(stack: &Stack, count: usize) {
    let first = cycles(stack, "schema", count).await;
    let second = cycles(stack, "database", count).await;
    // Nearly each of the killed was about to prove that tenants are kept apart.
    for (service, server) in [first, second] {
        no_probes_left(stack, service.database()).await;
        assert!(server.stop().await.success());
    }
}

/// So many kills; the last server runs still.
async fn cycles(stack: &Stack, isolation: &str, count: usize) -> (Service, Server) {
    let mut dice = Dice::new();
    println!("kill -9: {count} cycles, {isolation} mode, seed {}", dice.seed());
    let service = Service::new(PROGRAM, stack)
        .await
        .with("LEASE_SECONDS", 3)
        .with("TENANT_ISOLATION", isolation)
        .with("LOG", "error");
    let mut server = service.start().await;
    let mut owner = server.visitor();
    owner.sign_up(&email()).await;
    let mut tenants: Vec<Tenant> = (0..TENANTS).map(|_| Tenant::new()).collect();
    for _ in 0..count {
        let mut asked = Vec::new();
        for tenant in &mut tenants {
            tenant.look(stack, &service).await;
            asked.push(match tenant.choose(&mut dice) {
                Some(action) => tenant.ask(&owner, action).boxed(),
                None => std::future::ready(None).boxed(),
            });
        }
        let moment = Duration::from_millis(u64::try_from(dice.below(MOMENT)).expect("small"));
        let (answers, ()) = tokio::join!(join_all(asked), killed(server, moment));
        for (tenant, id) in tenants.iter_mut().zip(answers) {
            tenant.id = tenant.id.take().or(id);
        }
        server = service.start().await;
        owner = owner.at(&server);
    }
    for tenant in &mut tenants {
        // What was asked last may have been accepted without an answer: asking again tells.
        if tenant.id.is_none() {
            tenant.id = tenant.ask(&owner, "create").await;
        }
        tenant.settle(stack, &service, &owner).await;
    }
    compare(stack, &service, &tenants).await;
    for tenant in tenants.iter_mut().filter(|tenant| tenant.id.is_some()) {
        tenant.ask(&owner, "destroy").await;
        tenant.settle(stack, &service, &owner).await;
        assert_eq!(tenant.is, Is::Absent);
    }
    let left = census(stack, service.database()).await;
    let count_of = async |sql| stack.superuser_in(service.database(), sql).await.remove(0);
    let all = count_of("SELECT count(*) FROM fresco.operations").await;
    let open = "SELECT count(*) FROM fresco.operations WHERE status NOT IN ('success', 'failed')";
    let lost = count_of(open).await;
    println!("{count} kills, {all} operations: {lost} lost, {} tenants with leaks", left.len());
    assert_eq!((&*lost, left.len()), ("0", 0), "{left:?}");
    (service, server)
}

/// Kills the server at this moment. Waiting for a moment of chance is the point here.
async fn killed(server: Server, moment: Duration) {
    tokio::time::sleep(moment).await;
    server.kill().await;
}

/// Docker and PostgreSQL hold exactly what the tenants should have.
async fn compare(stack: &Stack, service: &Service, tenants: &[Tenant]) {
    let mut found = census(stack, service.database()).await;
    for tenant in tenants {
        let things = tenant.id.as_ref().and_then(|id| found.remove(id)).unwrap_or_default();
        let expected = match tenant.is {
            Is::Absent => Things::default(),
            Is::Running | Is::Stopped => {
                let running = usize::from(tenant.is == Is::Running);
                let containers = if tenant.is == Is::Running { 1 } else { things.containers };
                Things { containers, running, places: 1, roles: 1 }
            }
        };
        assert_eq!(things, expected, "{tenant:?}");
        assert!(things.containers <= 1, "{tenant:?}: {things:?}");
    }
    assert!(found.is_empty(), "of tenants that are no more: {found:?}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Absent,
    Running,
    Stopped,
}

/// A tenant, and what it should be.
#[derive(Debug)]
struct Tenant {
    subdomain: String,
    id: Option<String>,
    is: Is,
    version: u8,
    visits: u64,
    /// Whoever asks again for a tenant, since no answer came, asks with the same key.
    key: String,
    /// Its newest operation that has ended.
    settled: Option<String>,
    /// What it is busy with.
    busy: Option<String>,
}

impl Tenant {
    fn new() -> Self {
        Self {
            subdomain: name(),
            id: None,
            is: Is::Absent,
            version: 1,
            visits: 0,
            key: uuid::Uuid::new_v4().to_string(),
            settled: None,
            busy: None,
        }
    }

    /// What to ask for next: nothing while it is busy, but now and then to destroy it all the same.
    fn choose(&self, dice: &mut Dice) -> Option<&'static str> {
        match (self.busy.as_deref(), self.is) {
            (Some("destroy"), _) => None,
            (Some(_), _) => (dice.below(4) == 0).then_some("destroy"),
            (None, Is::Absent) => Some("create"),
            (None, Is::Stopped) => Some(dice.one_of(&["start", "update", "destroy"])),
            (None, Is::Running) => {
                Some(dice.one_of(&["stop", "restart", "update", "update", "destroy"]))
            }
        }
    }

    /// Asks a server; the id of a tenant that it creates. Nothing when it is killed meanwhile.
    fn ask(&self, owner: &Visitor, action: &str) -> impl Future<Output = Option<String>> + use<> {
        let mut body = json!({"tenantId": self.id});
        match action {
            "create" => body = json!({"subdomain": self.subdomain}),
            "update" => {
                body["image"] = json!(format!("fresco-dev/tenant-app:{}", 3 - self.version))
            }
            "destroy" => body["confirmation"] = json!(self.subdomain),
            _ => {}
        }
        let mut request = owner.post(&format!("tenants.{action}"), &body);
        if action == "create" {
            request = request.header("Idempotency-Key", &self.key);
        }
        let told = format!("{action} of {self:?}");
        async move {
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            let answer: Value = answer.json().await.ok()?;
            // A repair may have been faster.
            if answer["code"] == "operation_in_progress" {
                return None;
            }
            assert_eq!(status, 202, "{told}: {answer:#}");
            answer["tenantId"].as_str().map(str::to_owned)
        }
    }

    /// Looks where the tenant stands: what was asked for without an answer was accepted, or was not.
    async fn look(&mut self, stack: &Stack, service: &Service) {
        let Some(id) = &self.id else { return };
        let sql = format!(
            "SELECT concat_ws(' ', id, data->>'action', status) FROM fresco.operations
             WHERE tenant = '{id}' AND data->>'actor' NOT ILIKE 'system'
             ORDER BY created_at DESC LIMIT 1"
        );
        let newest = stack.superuser_in(service.database(), &sql).await;
        let mut parts = newest[0].split(' ');
        let mut part = || parts.next().expect("id, action and status").to_owned();
        let (operation, action, status) = (part(), part(), part());
        self.busy = None;
        if self.settled.as_ref() == Some(&operation) {
            return;
        }
        match status.as_str() {
            "success" => {}
            "failed" => panic!("{action} of {self:?} has failed"),
            _ => {
                self.busy = Some(action);
                return;
            }
        }
        self.settled = Some(operation);
        match action.as_str() {
            "stop" => self.is = Is::Stopped,
            "destroy" => *self = Self { subdomain: self.subdomain.clone(), ..Self::new() },
            "update" => (self.is, self.version) = (Is::Running, 3 - self.version),
            _ => self.is = Is::Running,
        }
        if self.is == Is::Running {
            // Some data, which must be there ever after.
            assert_eq!(page(stack, &self.subdomain, "/visit").await.0, 200, "{self:?}");
            self.visits += 1;
        }
    }

    /// Waits until it is busy no more, and looks at it as a visitor.
    async fn settle(&mut self, stack: &Stack, service: &Service, owner: &Visitor) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        loop {
            self.look(stack, service).await;
            if self.busy.is_none() {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "never ends: {self:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let Some(id) = &self.id else { return };
        let seen = owner.tenant(id).await;
        match self.is {
            Is::Absent => unreachable!("one that is no more has no id"),
            Is::Stopped => assert_eq!(seen["status"], "stopped", "{self:?}: {seen:#}"),
            Is::Running => {
                assert_eq!(seen["status"], "active", "{self:?}: {seen:#}");
                let me = whoami(stack, &self.subdomain).await;
                let found = (&me["visits"], &me["version"]);
                let expected = (&json!(self.visits), &json!(self.version.to_string()));
                assert_eq!(found, expected, "{self:?}");
            }
        }
    }
}
