//! The conformance suite on the runtime of processes. It needs nothing but a shell.
#![allow(clippy::unwrap_used, reason = "a fixture that can't do what it is asked for panics")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::conformance::{Example, ExampleApp, Fixture, RuntimeFixture};
use fresco_core::{
    AppProfile, ContainerRuntime, CredentialId, Generation, Guarantee, ImageId, ImageRef,
    InstanceId, InstanceSpec, Limits, LogQuery, PlatformId, Reach, TenantId,
};
use futures_util::TryStreamExt;

use crate::ProcessRuntime;
use crate::container::{Container, Signal};
use crate::demo::{serve, write_script};

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
    let fixture = Processes::new();
    let spec = fixture.spec("Prints", TenantId::new());
    let made = fixture.ours.ensure(&spec).await.unwrap();
    let started = fixture.ours.start(&made.id).await.unwrap();
    let second = ProcessRuntime::new(fixture.ours.platform, fixture.folder.clone()).unwrap();
    assert_eq!(second.list(None).await.unwrap(), std::slice::from_ref(&started));
    assert_eq!(second.start(&made.id).await.unwrap(), started);
    let answers = async {
        while second.probe(&made.id, 3000, "/signin").await.unwrap() != Reach::Status(200) {
            tokio::time::sleep(crate::POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answers).await.unwrap();
    let query = LogQuery::last(1000).follow();
    let log = second.logs(&made.id, &query).await.unwrap();
    second.stop(&made.id, Duration::from_secs(10)).await.unwrap();
    assert!(!fixture.ours.find(&made.id).unwrap().runs());
    // Followed, the log ends with the container.
    let read = tokio::time::timeout(Duration::from_secs(10), log.try_collect::<Vec<_>>());
    let lines = read.await.unwrap().unwrap();
    assert!(lines.iter().any(|line| line.text == "to stdout"), "{lines:?}");
    fixture.clean_up().await;
}

/// The number of a process group that is somebody else's by now is not sent a signal.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_process_number_is_left_alone() {
    let fixture = Processes::new();
    let made = fixture.ours.ensure(&fixture.spec("Serves", TenantId::new())).await.unwrap();
    let container = fixture.ours.find(&made.id).unwrap();
    let mut sleep = Command::new("sleep");
    let mut stranger = sleep.arg("60").process_group(0).spawn().unwrap();
    fs::write(container.folder.join("pid"), stranger.id().to_string()).unwrap();
    let sent = container.signal(Signal::KILL);
    let runs = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    fixture.clean_up().await;
    assert!(runs && !sent);
}

struct Processes {
    folder: PathBuf,
    ours: ProcessRuntime,
    other: ProcessRuntime,
}

impl Processes {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("fresco-test-{}", PlatformId::new()));
        let runtime = || ProcessRuntime::new(PlatformId::new(), folder.clone()).unwrap();
        let (ours, other) = (runtime(), runtime());
        let program = std::env::current_exe().unwrap();
        let serve = format!(
            "SERVES=1 exec '{}' --exact fixture::serves_when_it_is_an_app --nocapture",
            program.display()
        );
        for (name, script) in [
            ("Serves", serve.clone()),
            ("second", format!("# another one\n{serve}")),
            // What is ignored stays ignored in the program that takes the shell's place.
            ("IgnoresStop", format!("trap '' TERM\n{serve}")),
            ("ExitsAtBoot", "exit 3".to_owned()),
            ("Prints", format!("echo to stdout; echo to stderr >&2\n{serve}")),
        ] {
            write_script(&folder.join("images").join(name), &script).unwrap();
        }
        Self { folder, ours, other }
    }

    fn spec(&self, image: &str, tenant: TenantId) -> InstanceSpec {
        let app = AppProfile::generic();
        let image = ImageId::new(self.folder.join("images").join(image).to_str().unwrap());
        let (generation, credential) = (Generation::new(1), CredentialId::new());
        let (subdomain, limits) = ("case".parse().unwrap(), Limits::for_app(&app));
        InstanceSpec::new(tenant, subdomain, generation, credential, image, app, limits)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join("containers").join(name)
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
        AppProfile::generic()
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
        crate::UNENFORCED.into()
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
        let spec = self.spec("second", tenant);
        Container::make(self.path("surplus"), self.ours.platform, &spec).unwrap();
    }

    async fn environment_of(&self, instance: &InstanceId) -> BTreeMap<String, String> {
        let environment = self.ours.find(instance).unwrap().environment;
        environment.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}
