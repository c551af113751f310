//! The conformance suite on the runtime of processes. It needs nothing but a shell.
#![allow(clippy::unwrap_used, reason = "a fixture that can't do what it is asked for panics")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fresco_core::conformance::{Example, ExampleApp, Fixture, RuntimeFixture, run};
use fresco_core::{
    AppProfile, ContainerRuntime, CredentialId, Generation, Guarantee, ImageId, ImageRef,
    InstanceId, InstanceSpec, InstanceState, Limits, LogQuery, PlatformId, Reach, TenantId,
};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};

use super::{serve, write_script};
use crate::{POLL, ProcessRuntime, UNENFORCED, signal};

fresco_core::runtime_conformance!(Processes::new());

/// The app of the cases is this very program: their images run this test alone, and set `SERVES`.
#[test]
fn serves_when_it_is_an_app() {
    if std::env::var_os("SERVES").is_some() {
        serve().unwrap();
    }
}

/// What the suite can't ask of every runtime: the program that started a container may be gone.
#[tokio::test(flavor = "multi_thread")]
async fn another_program_finds_what_runs() {
    run(Processes::new(), async |fixture: &Processes| {
        let spec = fixture.spec("Prints", TenantId::new());
        let made = fixture.ours.ensure(&spec).await.unwrap();
        let started = fixture.ours.start(&made.id).await.unwrap();
        let second = fixture.ours.clone();
        assert_eq!(second.list(None).await.unwrap(), std::slice::from_ref(&started));
        assert_eq!(second.start(&made.id).await.unwrap(), started);
        until(async || {
            second.probe(&made.id, PORT, "/signin").await.unwrap() == Reach::Status(200)
        })
        .await;
        second.stop(&made.id, GRACE).await.unwrap();
        assert!(!fixture.ours.find(&made.id).unwrap().instance.is_running());
    })
    .await;
}

/// The number of a process group that is somebody else's by now is not sent a signal.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_process_number_is_left_alone() {
    run(Processes::new(), async |fixture: &Processes| {
        let made = fixture.ours.ensure(&fixture.spec("Serves", TenantId::new())).await.unwrap();
        let container = fixture.ours.find(&made.id).unwrap();
        let mut sleep = Command::new("sleep");
        let mut stranger = sleep.arg("60").process_group(0).spawn().unwrap();
        fs::write(container.folder.join("pid"), stranger.id().to_string()).unwrap();
        let sent = signal(&container, Signal::KILL);
        let runs = stranger.try_wait().unwrap().is_none();
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(runs && !sent);
    })
    .await;
}

/// An app whose shell was killed beside it still runs, and can be stopped.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_lost_its_shell_is_stopped() {
    run(Processes::new(), async |fixture: &Processes| {
        let made = fixture.ours.ensure(&fixture.spec("Serves", TenantId::new())).await.unwrap();
        fixture.ours.start(&made.id).await.unwrap();
        let ours = &fixture.ours;
        until(async || ours.probe(&made.id, PORT, "/signin").await.unwrap() == Reach::Status(200))
            .await;
        let shell = fs::read_to_string(ours.find(&made.id).unwrap().folder.join("pid")).unwrap();
        let shell = Pid::from_raw(shell.trim().parse().unwrap()).unwrap();
        kill_process(shell, Signal::KILL).unwrap();
        until(async || !fs::exists(format!("/proc/{shell}")).unwrap()).await;
        assert!(ours.find(&made.id).unwrap().instance.is_running(), "its app runs on");
        tokio::time::timeout(SOON, ours.stop(&made.id, GRACE)).await.unwrap().unwrap();
        let state = ours.find(&made.id).unwrap().instance.state;
        assert_eq!(state, InstanceState::Exited { code: 137, out_of_memory: false });
    })
    .await;
}

/// Of several calls at the same time each succeeds, and the container runs once.
#[tokio::test(flavor = "multi_thread")]
async fn calls_at_the_same_time_agree() {
    run(Processes::new(), async |fixture: &Processes| {
        let made = fixture.ours.ensure(&fixture.spec("Serves", TenantId::new())).await.unwrap();
        for _ in 0..8 {
            let starts = (0..8).map(|_| {
                let (runtime, id) = (fixture.ours.clone(), made.id.clone());
                tokio::spawn(async move { runtime.start(&id).await })
            });
            for started in join_all(starts.collect::<Vec<_>>()).await {
                assert!(started.unwrap().unwrap().is_running());
            }
            let begun = Instant::now();
            fixture.ours.stop(&made.id, GRACE).await.unwrap();
            // However early it comes, the request reaches the app.
            assert!(begun.elapsed() < GRACE, "it took {:?}", begun.elapsed());
        }
        // A second app beside the first would have found their address taken.
        let lines = fixture.ours.logs(&made.id, &LogQuery::last(1000)).await.unwrap();
        let lines: Vec<_> = lines.try_collect().await.unwrap();
        assert!(!lines.iter().any(|line| line.text.contains("in use")), "{lines:?}");
        let removals = (0..8).map(|_| {
            let (runtime, id) = (fixture.ours.clone(), made.id.clone());
            tokio::spawn(async move { runtime.remove(&id).await })
        });
        for removed in join_all(removals.collect::<Vec<_>>()).await {
            removed.unwrap().unwrap();
        }
        assert_eq!(fixture.ours.list(None).await.unwrap(), []);
    })
    .await;
}

const GRACE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(30);
/// One that hardly anybody listens on at all addresses of the machine.
const PORT: u16 = 23_917;

async fn until(condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(SOON, met).await.unwrap();
}

fn app() -> AppProfile {
    let mut app = AppProfile::generic();
    app.port = PORT;
    app
}

struct Processes {
    folder: PathBuf,
    ours: ProcessRuntime,
    other: ProcessRuntime,
}

impl Processes {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("fresco-test-{}", PlatformId::new()));
        let (images, containers) = (folder.join("images"), folder.join("containers"));
        fs::create_dir_all(&images).unwrap();
        fs::create_dir_all(&containers).unwrap();
        let ours = ProcessRuntime { platform: PlatformId::new(), images, containers };
        let other = ProcessRuntime { platform: PlatformId::new(), ..ours.clone() };
        let program = std::env::current_exe().unwrap();
        let serve = format!(
            "SERVES=1 exec '{}' --exact demo::fixture::serves_when_it_is_an_app --nocapture",
            program.display()
        );
        for (name, script) in [
            ("Serves", serve.clone()),
            ("second", format!("# another one\n{serve}")),
            // What is ignored stays ignored in the program that takes the shell's place.
            ("IgnoresStop", format!("trap '' TERM\n{serve}")),
            ("Hangs", format!("HANGS=1 {serve}")),
            ("ExitsAtBoot", "exit 3".to_owned()),
            ("Prints", format!("echo to stdout; echo to stderr >&2\n{serve}")),
        ] {
            write_script(&ours.images.join(name), &script).unwrap();
        }
        Self { folder, ours, other }
    }

    fn spec(&self, image: &str, tenant: TenantId) -> InstanceSpec {
        let app = app();
        let image = ImageId::new(self.ours.images.join(image).to_str().unwrap());
        let (generation, credential) = (Generation::new(1), CredentialId::new());
        let (subdomain, limits) = ("case".parse().unwrap(), Limits::for_app(&app));
        InstanceSpec::new(tenant, subdomain, generation, credential, image, app, limits)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.ours.containers.join(name)
    }
}

#[async_trait]
impl Fixture for Processes {
    async fn clean_up(&self) {
        for runtime in [&self.ours, &self.other] {
            for instance in runtime.list(None).await.unwrap() {
                runtime.remove(&instance.id).await.unwrap();
            }
        }
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[async_trait]
impl RuntimeFixture for Processes {
    fn runtime(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.ours.clone())
    }

    fn other_platform(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.other.clone())
    }

    fn app(&self) -> AppProfile {
        app()
    }

    fn example(&self, app: ExampleApp) -> Example {
        let environment = BTreeMap::from([("GREETING".parse().unwrap(), "it's \"me\"".into())]);
        Example { image: format!("{app:?}").parse().unwrap(), environment }
    }

    fn second_image(&self) -> ImageRef {
        "second".parse().unwrap()
    }

    fn missing_image(&self) -> ImageRef {
        "missing:1".parse().unwrap()
    }

    fn missing_image_id(&self) -> ImageId {
        ImageId::new(self.folder.join("missing").to_str().unwrap())
    }

    fn unenforced(&self) -> Vec<Guarantee> {
        UNENFORCED.into()
    }

    fn shortest_grace(&self) -> Duration {
        Duration::from_millis(200)
    }

    async fn make_unmarked(&self, tenant: TenantId) {
        fs::create_dir(self.path(&tenant.container_name())).unwrap();
    }

    async fn unmarked_is_there(&self, tenant: TenantId) -> bool {
        fs::read_dir(self.path(&tenant.container_name())).is_ok_and(|files| files.count() == 0)
    }

    async fn make_surplus(&self, tenant: TenantId) {
        self.ours.make(self.path("surplus"), &self.spec("second", tenant)).unwrap();
    }

    async fn environment_of(&self, instance: &InstanceId) -> BTreeMap<String, String> {
        self.ours.find(instance).unwrap().environment.into_iter().collect()
    }
}
