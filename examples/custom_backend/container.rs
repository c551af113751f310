//! What a container is made of: a folder, a lock, and a shell that stays beside the app.
//!
//! | file | |
//! |---|---|
//! | `record.json` | the marks (labels, in Docker) and what it takes to start again |
//! | `alive` | locked by all processes of the container |
//! | `port`, `pid` | the app's port and the number of the processes' group, since the last start |
//! | `exit` | how the app ended |
//! | `log` | lines, each with its time and its stream |
//! | `work/` | the folder that the app begins in |
//!
//! A running container proves itself by the lock, which the kernel lets go when its last process
//! ends, however that ends. A process number proves nothing: it is given out again.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::net::{self, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use fresco_core::{
    CredentialId, Endpoint, EnvName, Generation, ImageId, Instance, InstanceId, InstanceSpec,
    InstanceState, LogLine, LogQuery, LogStream, PlatformId, Reach, Revision, TenantId,
};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process_group};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

const PROBE: Duration = Duration::from_secs(5);

/// Notes the app's log and end, also while no program of the platform runs. `$0` is the app.
/// Standard input is the locked file. SIGTERM goes to the whole group, but only the app heeds it.
const SUPERVISOR: &str = r#"
log() {
    while IFS= read -r line || [ -n "$line" ]; do
        printf '%s\n' "$(date +%s%N) $1 $line"
    done
}
[ -p stdout ] || mkfifo stdout stderr
trap '' TERM
log 1 <stdout >>log &
log 2 <stderr >>log &
trap : TERM
{ echo $$ >pid; (cd work && exec "$0"); code=$?; } >stdout 2>stderr
until wait; do :; done
echo $code >exit
"#;

#[derive(Serialize, Deserialize)]
pub(crate) struct Container {
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    pub(crate) id: InstanceId,
    pub(crate) platform: PlatformId,
    pub(crate) tenant: TenantId,
    pub(crate) generation: Generation,
    pub(crate) revision: Revision,
    pub(crate) port: u16,
    credential: CredentialId,
    image: ImageId,
    pub(crate) environment: BTreeMap<EnvName, String>,
}

impl Container {
    /// The container in a folder; none where there is no whole record.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Option<Self>> {
        let record = fs::read(folder.join("record.json"));
        match record.and_then(|record| Ok(serde_json::from_slice(&record)?)) {
            Ok(container) => Ok(Some(Self { folder, ..container })),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
                Ok(None)
            }
            // To leave out what can't be read would be to say that it is gone.
            Err(e) => Err(e),
        }
    }

    pub(crate) fn make(
        folder: PathBuf,
        platform: PlatformId,
        spec: &InstanceSpec,
    ) -> io::Result<Self> {
        let mut environment = BTreeMap::new();
        for (name, value) in &spec.environment {
            environment.insert(name.clone(), value.expose_secret().to_owned());
        }
        let container = Self {
            folder,
            id: InstanceId::new(uuid::Uuid::new_v4()),
            platform,
            tenant: spec.tenant,
            generation: spec.generation,
            revision: spec.revision(),
            port: spec.app.port,
            credential: spec.credential,
            image: spec.image.clone(),
            environment,
        };
        let aside = container.aside();
        DirBuilder::new().mode(0o700).create(&aside)?;
        fs::create_dir(aside.join("work"))?;
        fs::write(aside.join("log"), "")?;
        fs::write(aside.join("alive"), "")?;
        fs::write(aside.join("record.json"), serde_json::to_vec(&container)?)?;
        // Of several who make it at the same time, one can move it here.
        fs::rename(aside, &container.folder)?;
        Ok(container)
    }

    /// Half made or half removed, it stands under its id, and its name is free.
    fn aside(&self) -> PathBuf {
        self.folder.with_file_name(self.id.as_str())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::rename(&self.folder, self.aside())?;
        fs::remove_dir_all(self.aside())
    }

    /// Whether any of its processes runs.
    pub(crate) fn runs(&self) -> bool {
        let alive = File::open(self.folder.join("alive"));
        alive.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The lock, unless a process of the container or somebody else has it.
    pub(crate) fn claim(&self) -> io::Result<Option<File>> {
        let alive = File::open(self.folder.join("alive"))?;
        Ok(alive.try_lock().is_ok().then_some(alive))
    }

    /// Starts it, by whoever claimed it.
    pub(crate) fn start(&self, alive: File) -> io::Result<()> {
        let _alone = alone();
        let port = free_port()?.to_string();
        for (file, text) in [("port", port.as_str()), ("pid", ""), ("exit", "")] {
            fs::write(self.folder.join(file), text)?;
        }
        let mut sh = Command::new("sh");
        sh.args(["-c", SUPERVISOR, self.image.as_str(), self.id.as_str()])
            .current_dir(&self.folder);
        sh.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        sh.envs(self.environment.iter().map(|(name, value)| (name.as_str(), value)));
        sh.env("PORT", port).process_group(0);
        sh.stdin(alive).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
    }

    /// Sends a signal to all its processes. False when they can't be reached (yet).
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(group) = self.read("pid").and_then(Pid::from_raw) else { return false };
        // The number may be an old one, and somebody else's by now: its command names the container.
        let command = fs::read_to_string(format!("/proc/{group}/cmdline")).unwrap_or_default();
        command.contains(self.id.as_str()) && kill_process_group(group, signal).is_ok()
    }

    fn read<T: FromStr>(&self, file: &str) -> Option<T> {
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    pub(crate) fn instance(&self) -> Instance {
        let (id, revision) = (self.id.clone(), self.revision.clone());
        let made = Instance::new(
            id,
            self.tenant,
            self.generation,
            self.credential,
            revision,
            self.image.clone(),
        );
        let at = |port| Endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let (state, endpoint) = match (self.runs(), self.read("port").map(at)) {
            (true, endpoint) => (InstanceState::Running, endpoint),
            (false, None) => (InstanceState::Created, None),
            (false, Some(_)) => {
                // A shell that was killed beside its app wrote no code.
                let code = self.read("exit").unwrap_or(128 + 9);
                (InstanceState::Exited { code, out_of_memory: false }, None)
            }
        };
        made.with_state(state, endpoint).with_unenforced(crate::UNENFORCED.into())
    }

    pub(crate) async fn probe(&self, port: u16, path: &str) -> Reach {
        match self.instance().endpoint {
            Some(endpoint) if port == self.port => get(endpoint, path).await,
            Some(_) => Reach::Unreachable(format!("its app listens on port {}", self.port)),
            None => Reach::Unreachable("it does not run".into()),
        }
    }

    /// Its log, as asked for. Following looks again and again.
    pub(crate) fn log(
        self,
        query: &LogQuery,
    ) -> io::Result<impl Stream<Item = io::Result<LogLine>> + use<>> {
        let (mut file, mut rest) = (File::open(self.folder.join("log"))?, Vec::new());
        let mut first = next_lines(&mut file, &mut rest)?;
        first.retain(|line| query.since.is_none_or(|since| line.at >= since));
        first.drain(..first.len().saturating_sub(query.lines as usize));
        let unfinished = query.follow.then_some((self, file, rest));
        let more = stream::try_unfold(unfinished, async |unfinished| {
            let Some((container, mut file, mut rest)) = unfinished else { return Ok(None) };
            sleep(crate::POLL).await;
            // Asked before it is read: no last line is missed.
            let runs = container.runs();
            let lines = next_lines(&mut file, &mut rest)?;
            Ok(Some((lines, runs.then_some((container, file, rest)))))
        });
        let batches = stream::iter([io::Result::Ok(first)]).chain(more);
        Ok(batches.map_ok(|lines| stream::iter(lines.into_iter().map(Ok))).try_flatten())
    }
}

/// The whole lines that were written since the last call. What is left is kept for the next.
fn next_lines(file: &mut File, rest: &mut Vec<u8>) -> io::Result<Vec<LogLine>> {
    file.read_to_end(rest)?;
    let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let whole: Vec<u8> = rest.drain(..end).collect();
    let mut lines: Vec<_> = String::from_utf8_lossy(&whole).lines().filter_map(line).collect();
    // The two streams are written side by side.
    lines.sort_by_key(|line| line.at);
    Ok(lines)
}

fn line(text: &str) -> Option<LogLine> {
    let mut parts = text.splitn(3, ' ');
    let at = DateTime::from_timestamp_nanos(parts.next()?.parse().ok()?);
    let stream = if parts.next()? == "1" { LogStream::Stdout } else { LogStream::Stderr };
    Some(LogLine { at, stream, text: parts.next()?.to_owned() })
}

/// One request, whose answer is read no further than its status.
pub(crate) async fn get(Endpoint(address): Endpoint, path: &str) -> Reach {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        stream.take(1024).read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::other("it answered, but not in HTTP"))
    };
    match timeout(PROBE, exchange).await {
        Ok(Ok(status)) => Reach::Status(status),
        Ok(Err(error)) => Reach::Unreachable(error.to_string()),
        Err(_) => Reach::Unreachable(format!("no answer within {PROBE:?}")),
    }
}

/// Nobody starts a process meanwhile: a new one has all that is open in this program until it turns
/// into another. A port that is open there can't be listened to, and a program can't be run.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody is given by chance during the next minute: a connection that was closed at
/// this end leaves it waiting, and servers may take it nevertheless.
fn free_port() -> io::Result<u16> {
    let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let client = net::TcpStream::connect(address)?;
    drop(listener.accept()?);
    drop(client);
    Ok(address.port())
}
