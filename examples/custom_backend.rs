//! A backend of your own: a [`ContainerRuntime`] that runs processes instead of containers.
//!
//! `cargo run --example custom_backend` shows it work; `cargo test --example custom_backend` runs
//! the conformance suite on it (`custom_backend/fixture.rs`). Three thoughts carry any backend:
//! - **The truth is outside the program.** Here a folder is a container. It is made aside and moved
//!   into place, so that it is there as a whole or not at all; whoever is started next finds it.
//! - **Every call may come twice, late, or at the same time as another.** Each looks first at what
//!   is there, names a container by its own id, and leaves alone what carries another's mark.
//! - **It says what it can't do**: see [`UNENFORCED`]. Tenants could even read each other's files.
//!   Logs are neither followed nor timed: a line bears the time when it is read.

#[path = "custom_backend/demo.rs"]
mod demo; // And the tests.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::time::{Duration, Instant};
use std::{fmt::Display, io, net::*, os::unix::fs::DirBuilderExt, path::PathBuf};

use async_trait::async_trait;
use fresco_core::{ErrorKind::*, Guarantee::*, ImageSource::*, *};
use futures_util::stream::{self, BoxStream, StreamExt};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::{net::TcpStream, process::Command, time};

/// What no process is kept from. The core refuses this runtime unless its policy allows that.
const UNENFORCED: [Guarantee; 5] = [Memory, Cpus, Pids, Network, Confinement];
const POLL: Duration = Duration::from_millis(20);
const PROBE: Duration = Duration::from_secs(5);
/// Stays beside the app, `$0`, and notes how it ends: 137, unless it lives to know better. The
/// group's number is told where nothing traps SIGTERM any more: nobody asks too early.
const SHELL: &str = r#"trap : TERM; exec >>stdout 2>>stderr; echo 137 >exit
    (echo $$ >pid; cd work && exec "$0"); echo $? >exit"#;

/// What is kept of a container: its marks (labels, in Docker), its address, its environment.
type Record = (PlatformId, Made, Endpoint, Vec<(String, String)>);
type Made = (InstanceId, TenantId, Generation, CredentialId, Revision, ImageId);
type Lines = BoxStream<'static, Result<LogLine>>;

/// A folder, as it was found. Its processes share a lock on `alive`, which the kernel lets go when
/// the last one ends, however it does. A process number proves nothing: it is given out again.
struct Container {
    folder: PathBuf,
    ours: bool,
    instance: Instance,
    environment: Vec<(String, String)>,
}

/// Runs apps that listen on `PORT` at the address `HOSTNAME`: each container has an address of its
/// own. An image is a program, or a link to one. File calls block: they are short. Linux only.
#[derive(Clone, Debug)]
struct ProcessRuntime {
    platform: PlatformId,
    images: PathBuf,
    containers: PathBuf,
}

impl ProcessRuntime {
    fn open(&self, folder: PathBuf) -> io::Result<Container> {
        let record = fs::read(folder.join("record.json"))?;
        let (platform, made, endpoint, environment): Record = serde_json::from_slice(&record)?;
        let lock = File::open(folder.join("alive"))?.try_lock_shared();
        let runs = matches!(lock, Err(TryLockError::WouldBlock));
        let state = match fs::read_to_string(folder.join("exit")).map(|code| code.trim().parse()) {
            _ if runs => InstanceState::Running,
            Ok(Ok(code)) => InstanceState::Exited { code, out_of_memory: false },
            _ => InstanceState::Created,
        };
        let (id, tenant, generation, credential, revision, image) = made;
        let instance = Instance::new(id, tenant, generation, credential, revision, image)
            .with_state(state, runs.then_some(endpoint))
            .with_unenforced(UNENFORCED.into());
        Ok(Container { folder, ours: platform == self.platform, instance, environment })
    }

    /// The containers that are wanted, of whichever platform.
    fn all(&self, wanted: impl Fn(&Container) -> bool) -> Result<Vec<Container>> {
        let all = fs::read_dir(&self.containers).map_err(failed)?.map(|f| self.open(f?.path()));
        // What can't be read is no less there: only what has no whole record is left out.
        let none = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof];
        let found = all.filter(|c| c.as_ref().map_or_else(|e| !none.contains(&e.kind()), &wanted));
        found.collect::<io::Result<_>>().map_err(failed)
    }

    fn find(&self, id: &InstanceId) -> Result<Container> {
        let found = self.all(|c| c.instance.id == *id && c.ours)?.pop();
        found.ok_or_else(|| Error::new(NotFound, "there is no such container").with("id", id))
    }

    /// A container that does not run, and its lock: of several who start or remove it, one gets it.
    async fn claim(&self, id: &InstanceId) -> Result<Option<(Container, File)>> {
        let rests = |c: &Container| c.instance.id == *id && c.ours && !c.instance.is_running();
        while let Some(container) = self.all(rests)?.pop() {
            let alive = File::open(container.folder.join("alive")).ok();
            // Whoever had it before may have removed the container.
            let mine = |alive: &File| alive.try_lock().is_ok() && self.find(id).is_ok();
            if let Some(alive) = alive.filter(mine) {
                return Ok(Some((container, alive)));
            }
            time::sleep(POLL).await;
        }
        Ok(None)
    }

    fn make(&self, folder: PathBuf, spec: &InstanceSpec) -> io::Result<Container> {
        let id = uuid::Uuid::new_v4();
        let [a, b, c, ..] = *id.as_bytes();
        let (host, port) = (Ipv4Addr::new(127, 1 + a % 254, b, c), spec.app.port);
        let own = [("HOSTNAME", host.to_string()), ("PORT", port.to_string())];
        let given = spec.environment.iter().map(|(k, v)| (k.as_str(), v.expose_secret().into()));
        let environment = given.chain(own).map(|(k, v)| (k.to_owned(), v)).collect();
        let (id, revision, image) = (InstanceId::new(id), spec.revision(), spec.image.clone());
        let aside = self.containers.join(id.as_str());
        let made = (id, spec.tenant, spec.generation, spec.credential, revision, image);
        let record: Record = (self.platform, made, Endpoint((host, port).into()), environment);
        // The environment holds secrets: nobody else may look.
        DirBuilder::new().recursive(true).mode(0o700).create(aside.join("work"))?;
        ["alive", "stdout", "stderr"].iter().try_for_each(|f| fs::write(aside.join(f), ""))?;
        fs::write(aside.join("record.json"), serde_json::to_vec(&record)?)?;
        fs::rename(aside, &folder)?; // Of several who make it at the same time, one can.
        self.open(folder)
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    async fn prepare(&self, image: &ImageSource, _: &ProgressSink) -> Result<ImageId> {
        let name = match image {
            Pinned(id, _) if fs::metadata(id.as_str()).is_ok() => return Ok(id.clone()),
            Pinned(_, name) | Named(name) => name,
        };
        // What the name leads to now is the exact image; it may lead elsewhere tomorrow.
        let program = fs::canonicalize(self.images.join(name.as_str().replace('/', "_")));
        check(program.is_ok(), NotFound, "put a link to the image's program there", name)?;
        program.map(|program| ImageId::new(program.to_string_lossy())).map_err(failed)
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        let mut old = self.all(|c| c.instance.tenant == spec.tenant && c.ours)?;
        let late = old.iter().any(|c| c.instance.generation > spec.generation);
        check(!late, LeaseLost, "a later generation's container is there", spec.tenant)?;
        check(fs::metadata(spec.image.as_str()).is_ok(), NotFound, "no such image", &spec.image)?;
        let kept = old.iter().position(|c| c.instance.revision == spec.revision());
        let kept = kept.map(|place| old.swap_remove(place));
        for surplus in old {
            self.stop(&surplus.instance.id, spec.app.stop_grace()).await?;
            self.remove(&surplus.instance.id).await?;
        }
        let folder = self.containers.join(spec.tenant.container_name());
        check(kept.is_some() || !folder.exists(), Conflict, "its name is taken", spec.tenant)?;
        kept.map_or_else(|| self.make(folder, spec), Ok).map(|c| c.instance).map_err(failed)
    }

    async fn start(&self, id: &InstanceId) -> Result<Instance> {
        if let Some((container, alive)) = self.claim(id).await? {
            let mut sh = Command::new("/bin/sh");
            sh.args(["-c", SHELL, container.instance.image.as_str(), id.as_str()]);
            sh.current_dir(container.folder).env_clear().envs(container.environment);
            sh.stdin(alive).process_group(0).spawn().map_err(failed)?;
        }
        self.find(id).map(|c| c.instance)
    }

    async fn stop(&self, id: &InstanceId, grace: Duration) -> Result<()> {
        let (begun, mut asked) = (Instant::now(), false);
        let runs = |c: &Container| c.instance.id == *id && c.ours && c.instance.is_running();
        while let Some(container) = self.all(runs)?.pop() {
            let late = begun.elapsed() >= grace;
            if late || !asked {
                asked = signal(&container, if late { Signal::KILL } else { Signal::TERM });
            }
            time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn remove(&self, id: &InstanceId) -> Result<()> {
        while let Some(container) = self.all(|c| c.instance.id == *id)?.pop() {
            check(container.ours, Conflict, "this container is another platform's", id)?;
            self.stop(id, Duration::ZERO).await?;
            if let Some((container, _alive)) = self.claim(id).await? {
                let aside = self.containers.join(id.as_str());
                fs::rename(container.folder, &aside).map_err(failed)?;
                fs::remove_dir_all(aside).map_err(failed)?;
            }
        }
        Ok(())
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        let found = self.all(|c| c.ours && tenant.is_none_or(|t| c.instance.tenant == t))?;
        Ok(found.into_iter().map(|c| c.instance).collect())
    }

    async fn logs(&self, id: &InstanceId, query: &LogQuery) -> Result<Lines> {
        let (container, mut lines) = (self.find(id)?, Vec::new());
        check(!query.follow && query.since.is_none(), Unsupported, "logs are read whole", id)?;
        for (file, stream) in [("stdout", LogStream::Stdout), ("stderr", LogStream::Stderr)] {
            let text = fs::read(container.folder.join(file)).map_err(failed)?;
            let line = |text: &str| LogLine { at: chrono::Utc::now(), stream, text: text.into() };
            lines.extend(String::from_utf8_lossy(&text).lines().map(line));
        }
        lines.drain(..lines.len().saturating_sub(query.lines as usize));
        Ok(stream::iter(lines.into_iter().map(Ok)).boxed())
    }

    async fn probe(&self, id: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        let to = self.find(id)?.instance.endpoint.map(|Endpoint(to)| (to.ip(), port).into());
        let stream = TcpStream::connect(to.as_slice() as &[SocketAddr]).await;
        let why = if stream.is_ok() { Reach::Silent } else { Reach::Unreachable };
        let exchange = async {
            let mut stream = stream?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut answer = *b"HTTP/1.1 200";
            stream.read_exact(&mut answer).await?;
            String::from_utf8_lossy(&answer[9..]).parse().map_err(io::Error::other)
        };
        let status = time::timeout(PROBE, exchange).await.unwrap_or_else(|late| Err(late.into()));
        Ok(status.map_or_else(|e| why(e.to_string()), Reach::Status))
    }

    async fn health(&self) -> Result<Health> {
        self.all(|_| false)?;
        Ok(Health::new(concat!("processes of this machine, ", env!("CARGO_PKG_VERSION"))))
    }
}

/// Sends a signal to all processes of a container. False when they can't be reached (yet).
fn signal(container: &Container, signal: Signal) -> bool {
    let group = fs::read_to_string(container.folder.join("pid")).unwrap_or_default();
    let Some(group) = group.trim().parse().ok().and_then(Pid::from_raw) else { return false };
    // The number may be somebody else's by now: its own shell's command names the container.
    let command = fs::read_to_string(format!("/proc/{group}/cmdline"));
    let ours = |command: String| command.contains(container.instance.id.as_str());
    command.map_or(true, ours) && kill_process_group(group, signal).is_ok()
}

fn check(holds: bool, kind: ErrorKind, otherwise: &str, what: impl Display) -> Result<()> {
    holds.then_some(()).ok_or_else(|| Error::new(kind, otherwise).with("of", what))
}

fn failed(e: io::Error) -> Error {
    Error::new(Internal, "a container's folder or process can't be used").with_source(e)
}

fn main() -> demo::Outcome {
    demo::main()
}
