//! A Docker Engine of a test's own, in namespaces, with nothing of the real machine's. All of it ends
//! with the test. The end-to-end tests use this file too.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Tells that the program runs inside of a namespace already, and in which folder it may write.
pub const INSIDE: &str = "FRESCO_TEST_INSIDE";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Runs a test, which has this name, in namespaces of its own: network, mounts and processes. It is
/// given a folder.
pub fn inside(name: &str, test: impl AsyncFnOnce(PathBuf)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(test(folder.into()));
    }
    // A socket's path has 107 characters at most.
    let short: String = name.chars().filter(|c| *c != ':').take(20).collect();
    let folder = std::env::temp_dir().join(format!("fresco-{short}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        // The first process takes in those whose parents are killed, as on every machine.
        .args(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(INSIDE, &folder)
        .status()
        .expect("unshare (util-linux) is needed");
    let _ = fs::remove_dir_all(&folder);
    assert!(status.success(), "the test failed in its namespace (it needs root): {status}");
}

/// Runs a program to its end.
pub fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let program = words.next().unwrap();
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A child that ends with this value.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How an engine ends.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// It is told to, and stops all containers.
    InOrder,
    /// By `kill -9`; the containers run on until the next one starts.
    Killed,
}

/// The engine: its data in a folder, its socket wherever the test wants it.
pub struct Engine {
    folder: PathBuf,
    socket: PathBuf,
    daemon: Option<Ends>,
}

impl Engine {
    /// It does not run yet.
    pub fn new(folder: &Path, socket: PathBuf) -> Self {
        Self { folder: folder.into(), socket, daemon: None }
    }

    pub fn socket(&self) -> String {
        self.socket.display().to_string()
    }

    /// Starts it, or starts it again, and waits until it answers.
    pub async fn start(&mut self) {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let log = fs::File::options().create(true).append(true).open(at("log")).unwrap();
        let daemon = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", self.socket())])
            .args([
                "--cgroup-parent",
                &format!("/fresco-{}", self.folder.file_name().unwrap().display()),
            ])
            .env("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE", "1")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd is needed");
        self.daemon = Some(Ends(daemon));
        let begun = Instant::now();
        while !self.answers() {
            let log = || fs::read_to_string(at("log")).unwrap();
            assert!(begun.elapsed() < PATIENCE, "dockerd does not answer: {}", log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends it.
    pub async fn end(&mut self, way: Way) {
        let signal = match way {
            Way::InOrder => "TERM",
            Way::Killed => "KILL",
        };
        let mut daemon = self.daemon.take().unwrap();
        run(&format!("kill -{signal} {}", daemon.0.id()));
        let begun = Instant::now();
        while daemon.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "dockerd does not end");
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        ask().is_ok_and(|answer| answer.contains(" 200 "))
    }

    /// An image of the real machine's engine, as a file of the folder.
    pub fn save_image(&self, name: &str) -> PathBuf {
        let archive = self.folder.join(format!("{}.tar", name.replace(['/', ':'], "-")));
        run(&format!("docker -H unix:///var/run/docker.sock save -o {} {name}", archive.display()));
        archive
    }

    /// Brings a saved image in.
    pub fn load_image(&self, archive: &Path) {
        run(&format!("docker -H unix://{} load -i {}", self.socket(), archive.display()));
        fs::remove_file(archive).unwrap();
    }
}
