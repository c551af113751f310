//! What was changed by hand is mended; what the store does not know is left alone.

use std::process::{Command, Output};
use std::time::Duration;

use fresco_core::{
    Accepted, Action, Actor, ErrorKind, Fence, Isolation, Limits, Operation, OperationId,
    OperationStatus, Orchestrator, Reconciliation, Tenant, TenantId, TenantStatus, Update, Workers,
};
use fresco_e2e::{Stack, Wiring, World};

pub(crate) async fn container_removed_by_hand(stack: &Stack) {
    by_hand(stack, &["rm", "-f"]).await;
}

pub(crate) async fn container_killed_by_hand(stack: &Stack) {
    by_hand(stack, &["kill"]).await;
}

async fn by_hand(stack: &Stack, command: &[&str]) {
    let world = World::with(stack, |settings| {
        settings.reconcile_interval = Some(Duration::from_secs(600));
    })
    .await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Database, &[])).await;
    assert_eq!(world.get(&tenant, "/visit").await.0, 200);
    docker(command, &container(&tenant));
    // The interval is longer than this waits: it is the runtime's event that leads to the repair.
    world
        .until("the platform has repaired it", async || {
            let operations = world.orchestrator.operations(tenant.id, 1).await.unwrap();
            let repair = &operations[0];
            repair.action == Action::Start && repair.status == OperationStatus::Success
        })
        .await;
    assert_eq!(world.whoami(&tenant).await["visits"], 1, "its data");
    assert_eq!(world.tenant(tenant.id).await.state.status, TenantStatus::Active);
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

/// Paused, and taken off its network: it runs, and nobody reaches it.
pub(crate) async fn container_cut_off_by_hand(stack: &Stack) {
    let scene = Scene::new(stack, None, &[]).await;
    docker(&["pause"], &container(&scene.tenant));
    let mended = scene.is_mended().await;
    docker(&["network", "disconnect", stack.network()], &container(&mended));
    scene.is_mended().await;
    scene.end().await;
}

/// It runs, on its network, and no way leads to it: an address that something else holds looks the same.
pub(crate) async fn container_without_a_way_to_it(stack: &Stack) {
    let scene = Scene::new(stack, None, &[]).await;
    let process = docker(&["inspect", "--format", "{{.State.Pid}}"], &container(&scene.tenant));
    let mut down = Command::new("nsenter");
    down.args(["-t", &process, "-n", "ip", "link", "set", "eth0", "down"]);
    assert!(down.status().expect("nsenter of util-linux").success());
    scene.is_mended_by(Action::Restart).await;
    scene.end().await;
}

/// What the app can do to itself, and what somebody can do to it: its password is another, and its rights
/// are gone.
pub(crate) async fn password_and_rights_changed(stack: &Stack) {
    let scene = Scene::new(stack, None, &[]).await;
    let (role, name) = (scene.tenant.id.role_name(), scene.tenant.id.database_name());
    for sql in [
        format!("ALTER ROLE {role} PASSWORD 'its own'"),
        format!("REVOKE ALL ON SCHEMA public FROM {role}"),
    ] {
        stack.superuser_in(&name, &sql).await;
        docker(&["kill"], &container(&scene.now().await));
        let first = scene.repair().await;
        assert_eq!(first.status, OperationStatus::Failed, "{sql}: {first:#?}");
        scene.is_mended().await;
        // A person's wish begins the count anew.
        let user = Actor::User("alice".into());
        let restart = scene.world.orchestrator.restart_tenant(scene.tenant.id, user).await.unwrap();
        scene.world.success(&restart).await;
    }
    scene.end().await;
}

/// Two tenants, and two servers that compare when they are told to: the first one works.
struct Scene {
    world: World,
    other: Orchestrator,
    workers: Workers,
    tenant: Tenant,
    beside: Tenant,
    /// What the tenant beside looked like at the beginning.
    untouched: (OperationId, String, String),
}

impl Scene {
    async fn new(stack: &Stack, limits: Option<Limits>, switches: &[(&str, &str)]) -> Self {
        let world = World::new(stack).await;
        let workers = world.work();
        let (backends, _) = world.wiring.backends().await.unwrap();
        let other = Wiring::orchestrator(backends, |_| {}).await.unwrap();
        let mut spec = world.spec(Isolation::Database, switches);
        spec.limits = limits.unwrap_or(spec.limits);
        let beside = world.deployed(world.spec(Isolation::Schema, &[])).await;
        let tenant = world.deployed(spec).await;
        assert_eq!(world.get(&tenant, "/visit").await.0, 200);
        let untouched = seen(&world, beside.id).await;
        Self { world, other, workers, tenant, beside, untouched }
    }

    /// Both servers compare until one repair comes of it, and it has ended.
    async fn repair(&self) -> Operation {
        self.repair_by(Action::Start).await
    }

    async fn repair_by(&self, action: Action) -> Operation {
        let wait = async {
            loop {
                let (own, other) =
                    tokio::join!(self.world.orchestrator.reconcile(), self.other.reconcile());
                let mut repairs = own.unwrap().repairs;
                repairs.extend(other.unwrap().repairs);
                if let [repair] = *repairs {
                    assert_eq!(repair, (self.tenant.id, action));
                    return;
                }
                assert_eq!(repairs, []);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(180), wait).await.expect("a repair");
        let operation = newest(&self.world, self.tenant.id).await;
        assert_eq!((operation.action, &operation.actor), (action, &Actor::System));
        let tenant = self.now().await;
        self.world.ended(&Accepted { tenant, operation }).await
    }

    /// One repair mends it, its data is there, and nothing is left to do.
    async fn is_mended(&self) -> Tenant {
        self.is_mended_by(Action::Start).await
    }

    async fn is_mended_by(&self, action: Action) -> Tenant {
        let repair = self.repair_by(action).await;
        assert_eq!(repair.status, OperationStatus::Success, "{repair:#?}");
        let nothing = Reconciliation::default();
        assert_eq!(self.world.orchestrator.reconcile().await.unwrap(), nothing);
        assert_eq!(self.other.reconcile().await.unwrap(), nothing);
        assert_eq!(self.world.whoami(&self.tenant).await["visits"], 1, "its data");
        self.now().await
    }

    /// While a person's update is under way nothing is repaired; returns once it is done.
    async fn updated(&self, meanwhile: impl Fn(&str)) {
        let image = "fresco-dev/tenant-app:2".parse().unwrap();
        let user = Actor::User("alice".into());
        let orchestrator = &self.world.orchestrator;
        let update = orchestrator.update_tenant(self.tenant.id, Update::image(image), user);
        let update = update.await.unwrap();
        let mut done = false;
        while !done {
            // Looked up before: what is found after its end is no matter of this.
            let found = self.other.reconcile().await.unwrap();
            done = orchestrator.operation(update.operation.id).await.unwrap().status.is_finished();
            assert!(done || found.repairs.is_empty(), "{found:?}");
            assert_eq!(found.removed, [], "{found:?}");
            if let Some(own) = self.now().await.state.container {
                meanwhile(&own.id.to_string());
            }
        }
        self.world.success(&update).await;
        // A repair that was asked for right after it is no matter of what follows.
        let (tenant, operation) = (self.now().await, newest(&self.world, self.tenant.id).await);
        self.world.ended(&Accepted { tenant, operation }).await;
    }

    async fn now(&self) -> Tenant {
        self.world.tenant(self.tenant.id).await
    }

    async fn end(self) {
        let beside = self.beside.id;
        assert_eq!(seen(&self.world, beside).await, self.untouched, "the tenant beside");
        self.world.destroyed(self.tenant.id).await;
        self.world.destroyed(beside).await;
        self.workers.shutdown().await;
    }
}

async fn newest(world: &World, tenant: TenantId) -> Operation {
    world.orchestrator.operations(tenant, 1).await.unwrap().remove(0)
}

/// A tenant's newest operation, its container, and what is told of that: since when it runs, limits.
async fn seen(world: &World, tenant: TenantId) -> (OperationId, String, String) {
    let own = container(&world.tenant(tenant).await);
    let told = inspect(&own);
    (newest(world, tenant).await.id, own, told)
}

pub(crate) async fn app_that_ends_again_and_again_is_in_error(stack: &Stack) {
    let scene = Scene::new(stack, None, &[]).await;
    let own = container(&scene.tenant);
    for _ in 0..5 {
        docker(&["kill"], &own);
        let repair = scene.repair().await;
        assert_eq!(repair.status, OperationStatus::Success, "{repair:#?}");
    }
    docker(&["kill"], &own);
    let gave_up = scene.repair().await;
    assert_eq!(gave_up.status, OperationStatus::Failed, "{gave_up:#?}");
    let state = scene.now().await.state;
    assert_eq!((state.status, &state.error), (TenantStatus::Error, &gave_up.error));
    let error = state.error.unwrap();
    println!("{error}");
    for words in ["exit code 137", "5 times", "Look at its log"] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    assert!(!error.log_tail.is_empty());
    // It is left alone, by a server that has just been started too.
    assert_eq!(scene.other.reconcile().await.unwrap(), Reconciliation::default());
    // A person begins anew.
    let user = Actor::User("alice".into());
    let restart = scene.world.orchestrator.restart_tenant(scene.tenant.id, user).await.unwrap();
    scene.world.success(&restart).await;
    docker(&["kill"], &own);
    let state = scene.is_mended().await.state;
    assert_eq!((state.status, state.error), (TenantStatus::Active, None));
    scene.end().await;
}

pub(crate) async fn too_little_memory_is_named(stack: &Stack) {
    // Some seconds after each start it has used all its memory up.
    let limits = Limits { memory_mb: 1024, cpus: 0.5, pids: 256 };
    let scene = Scene::new(stack, Some(limits), &[("APP_EAT_MEMORY", "2048")]).await;
    let own = container(&scene.tenant);
    for _ in 0..5 {
        // Or it has ended already.
        drop(run(&["kill"], &own));
        let repair = scene.repair().await;
        assert_eq!(repair.status, OperationStatus::Success, "{repair:#?}");
    }
    let error = scene.repair().await.error.expect("it gives up");
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Exhausted, "{error}");
    for words in ["more than its 1024 MB of memory", "Give it more memory"] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    assert!(error.log_tail.iter().any(|line| line.contains("of 2048 MB")), "{error:?}");
    scene.end().await;
}

pub(crate) async fn limits_changed_by_hand(stack: &Stack) {
    let scene = Scene::new(stack, None, &[]).await;
    let before = inspect(&container(&scene.tenant));
    for change in [
        // More of everything.
        &["update", "--memory=2g", "--memory-swap=3g", "--cpus=2", "--pids-limit=999"][..],
        // Swap alone.
        &["update", "--memory-swap=-1"],
    ] {
        docker(change, &container(&scene.tenant));
        assert_ne!(inspect(&container(&scene.tenant)), before);
        let now = scene.is_mended().await;
        assert_eq!(now.state.container, scene.tenant.state.container, "the same container");
        assert_eq!(inspect(&container(&now)), before, "the limits, and since when it runs");
    }
    // While an update is under way it is nobody else's matter.
    scene.updated(|own| drop(run(&["update", "--pids-limit=777"], own))).await;
    docker(&["update", "--pids-limit=888"], &container(&scene.now().await));
    scene.is_mended().await;
    scene.end().await;
}

pub(crate) async fn credentials_out_of_step(stack: &Stack) {
    let scene = Scene::new(stack, None, &[]).await;
    let (client, connection) =
        tokio_postgres::connect(&scene.world.wiring.admin_url, tokio_postgres::NoTls)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let (id, role) = (scene.tenant.id, scene.tenant.id.role_name());
    for change in ["a late issue", "no login"] {
        let before = scene.now().await;
        if change == "no login" {
            client.batch_execute(&format!("ALTER ROLE {role} NOLOGIN")).await.unwrap();
        } else {
            // As a call that was given up, and took effect later.
            let fence = Fence { tenant: id, generation: before.generation };
            scene.world.backends().database.issue(fence).await.unwrap();
        }
        let now = scene.is_mended().await;
        assert_eq!(now.state.image, before.state.image, "{change}");
        assert_ne!(now.state.container, before.state.container, "{change}");
        assert_eq!(now.state.status, TenantStatus::Active, "{change}");
    }
    // In the middle of an update they are out of step, too.
    scene.updated(|_| {}).await;
    assert_eq!(scene.other.reconcile().await.unwrap(), Reconciliation::default());
    assert_eq!(scene.world.whoami(&scene.tenant).await["visits"], 1, "its data");
    drop(client);
    connection.await.unwrap().unwrap();
    scene.end().await;
}

pub(crate) async fn surplus_is_removed_and_the_unknown_left_alone(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Schema, &[])).await;
    let own = container(&tenant);
    let id = tenant.id.to_string();
    // A second container of the same tenant, and one of a tenant that nobody knows.
    let surplus = copy(&world, &id, "surplus");
    let stranger = uuid::Uuid::new_v4().to_string();
    let unknown = copy(&world, &stranger, "unknown");

    let found = world.orchestrator.reconcile().await.unwrap();
    assert_eq!(found.removed, [tenant.id], "{found:?}");
    assert_eq!(found.unknown.len(), 1, "{found:?}");
    assert_eq!(found.unknown[0].to_string(), stranger);
    assert!(!exists(&surplus), "the surplus container is left");
    assert!(exists(&unknown), "the unknown container was removed");
    assert!(exists(&own), "the tenant's own container was removed");
    docker(&["rm", "-f"], &unknown);
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

fn container(tenant: &Tenant) -> String {
    tenant.state.container.as_ref().expect("a container").id.to_string()
}

/// A container that carries the platform's marks, made by hand.
fn copy(world: &World, tenant: &str, name: &str) -> String {
    let name = format!("{name}-{tenant}");
    let label = |key: &str, value: &str| format!("--label={key}={value}");
    let labels = [
        label("fresco.platform", &world.platform.to_string()),
        label("fresco.tenant.id", tenant),
        label("fresco.tenant.subdomain", "by-hand"),
        label("fresco.generation", "1"),
        label("fresco.revision", "by-hand"),
        label("fresco.credential", &uuid::Uuid::new_v4().to_string()),
        label("fresco.port", "3000"),
        label("fresco.test", "by-hand"),
    ];
    let output = Command::new("docker")
        .args(["create", "--name", &name])
        .args(labels)
        .arg("fresco-dev/tenant-app:1")
        .output()
        .expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run(command: &[&str], container: &str) -> Output {
    Command::new("docker").args(command).arg(container).output().expect("docker")
}

fn docker(command: &[&str], container: &str) -> String {
    let output = run(command, container);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Since when it runs, and its limits.
fn inspect(container: &str) -> String {
    const FORMAT: &str = "{{.State.StartedAt}} {{with .HostConfig}}{{.Memory}} {{.MemorySwap}} {{.NanoCpus}} {{.PidsLimit}}{{end}}";
    docker(&["inspect", "--format", FORMAT], container)
}

fn exists(container: &str) -> bool {
    run(&["inspect"], container).status.success()
}
