//! A machine of the test's own: namespaces with a Docker Engine, a network around it, and nothing of
//! the real one's. All of it ends with the test.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Tells that the program runs inside of a namespace already.
const INSIDE: &str = "FRESCO_TEST_INSIDE";

/// Runs a test, which has this name, in namespaces of its own: network, mounts and processes.
pub fn inside(name: &str, test: impl AsyncFnOnce(&mut Machine)) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut machine = Machine::new();
        return runtime.block_on(test(&mut machine));
    }
    // A socket's path has 107 characters at most.
    let short: String = name.chars().take(20).collect();
    let folder = std::env::temp_dir().join(format!("fresco-{short}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
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

/// The machine. Around it is a world of its own, in which every address is that is tried.
pub struct Machine {
    folder: PathBuf,
    /// Holds the network namespace of the world.
    world: Ends,
    daemon: Option<Ends>,
    around: Vec<Ends>,
    own: Vec<TcpListener>,
}

impl Machine {
    fn new() -> Self {
        let folder = PathBuf::from(std::env::var_os(INSIDE).unwrap());
        let world = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().unwrap();
        let world = Ends(world);
        let this = Self { folder, world, daemon: None, around: Vec::new(), own: Vec::new() };
        this.connect();
        this
    }

    /// This machine is 192.168.77.2 and fd77::2 in a LAN; all else is behind its router.
    fn connect(&self) {
        let pid = self.world.0.id();
        run("ip link set lo up");
        run("ip link add eth0 type veth peer name world");
        // The namespace is another one only once `unshare` has run.
        let here = fs::read_link("/proc/self/ns/net").unwrap();
        let begun = Instant::now();
        while fs::read_link(format!("/proc/{pid}/ns/net")).unwrap() == here {
            assert!(begun.elapsed() < Duration::from_secs(10), "no namespace of the world");
            std::thread::yield_now();
        }
        run(&format!("ip link set world netns {pid}"));
        for command in ["addr add 192.168.77.2/24 dev eth0", "addr add fd77::2/64 dev eth0 nodad"] {
            run(&format!("ip {command}"));
        }
        run("ip link set eth0 up");
        run("ip route add default via 192.168.77.1");
        run("ip -6 route add default via fd77::1");
        self.in_the_world("ip link set lo up");
        self.in_the_world("ip link set world up");
        for address in [
            "192.168.77.1/24",
            "192.168.77.10/24",
            "10.99.0.5/32",
            "100.100.100.200/32",
            "169.254.169.254/32",
            "168.63.129.16/32",
            "203.0.113.7/32",
        ] {
            self.in_the_world(&format!("ip addr add {address} dev world"));
        }
        for address in [
            "fd77::1/64",
            "fd77::10/64",
            "fd00:ec2::254/128",
            "64:ff9b::a9fe:a9fe/128",
            "2001:db8:7::7/128",
        ] {
            self.in_the_world(&format!("ip addr add {address} dev world nodad"));
        }
        // The way back to the tenants, as a LAN that knows them would have it.
        self.in_the_world("ip route add 10.77.0.0/24 via 192.168.77.2");
        self.in_the_world("ip -6 route add 2001:db8:1::/64 via fd77::2 src fd77::1");
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        // A bridge has its address only once something is on it; services listen before.
        fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").unwrap();
    }

    pub fn in_the_world(&self, line: &str) -> String {
        run(&format!("nsenter -t {} -n {line}", self.world.0.id()))
    }

    pub fn world(&self) -> u32 {
        self.world.0.id()
    }

    pub fn socket(&self) -> String {
        self.folder.join("docker.sock").display().to_string()
    }

    /// Starts an engine of this machine's own, or starts it again.
    pub async fn start_docker(&mut self) {
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
        while !self.answers().await {
            let log = || fs::read_to_string(at("log")).unwrap();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "dockerd does not answer: {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the engine in order, with all containers.
    pub async fn stop_docker(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        run(&format!("kill -TERM {}", daemon.0.id()));
        let begun = Instant::now();
        while daemon.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "dockerd does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answers(&self) -> bool {
        fs::exists(self.socket()).unwrap() && self.docker().ping().await.is_ok()
    }

    pub fn docker(&self) -> bollard::Docker {
        bollard::Docker::connect_with_unix(&self.socket(), 120, bollard::API_DEFAULT_VERSION)
            .unwrap()
    }

    /// Brings an image over from the real machine's engine.
    pub fn copy_image(&self, name: &str) {
        let archive = self.folder.join("image.tar").display().to_string();
        run(&format!("docker -H unix:///var/run/docker.sock save -o {archive} {name}"));
        run(&format!("docker -H unix://{} load -i {archive}", self.socket()));
    }

    /// A service of this machine that listens by TCP.
    pub fn listen(&mut self, place: &str) {
        self.own.push(TcpListener::bind(place).unwrap());
    }

    /// One that answers by UDP, until the machine ends.
    pub fn echo(&self, place: &str) {
        let socket = UdpSocket::bind(place).unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 16];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&bytes[..length], from);
            }
        });
    }

    /// Services at all addresses of the world.
    pub fn listen_in_the_world(&mut self, ports: &[u16]) {
        let task = json!({ "Listen": ports });
        let mut child = probe(&format!("nsenter -t {} -n", self.world()), &task);
        let lines = BufReader::new(child.0.stdout.as_mut().unwrap()).lines();
        let ready = lines.map(|line| line.unwrap()).any(|line| line == "fresco-probe listening");
        assert!(ready, "the world does not listen");
        self.around.push(child);
    }
}

/// This program, in another namespace, with a task of the prober.
fn probe(enter: &str, task: &Value) -> Ends {
    let mut words = enter.split(' ');
    let child = Command::new(words.next().unwrap())
        .args(words)
        .arg(std::env::current_exe().unwrap())
        .args(crate::PROBER)
        .env("FRESCO_NETWORK_PROBE", task.to_string())
        .env_remove(INSIDE)
        .stdout(Stdio::piped())
        .spawn();
    Ends(child.unwrap())
}

/// What came of trying these places from the network namespace of a process: reached, and what was
/// seen. Names are asked of Docker's own name server.
pub fn attempt(pid: u32, targets: &[String]) -> HashMap<String, (bool, String)> {
    let names = PathBuf::from(std::env::var_os(INSIDE).unwrap()).join("resolv.conf");
    fs::write(&names, "nameserver 127.0.0.11\noptions timeout:1 attempts:1\n").unwrap();
    let script =
        format!("mount --bind {} /etc/resolv.conf && exec nsenter -t $0 -n $@", names.display());
    let task = json!({ "Reach": targets });
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, &pid.to_string()])
        .arg(std::env::current_exe().unwrap())
        .args(crate::PROBER)
        .env("FRESCO_NETWORK_PROBE", task.to_string())
        .env_remove(INSIDE)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("fresco-probe ")?).ok());
    let told: Vec<_> = told.collect();
    assert!(child.wait().unwrap().success(), "the prober failed");
    let outcome = |target: &String| {
        let outcome = told.iter().find(|outcome| outcome["target"] == json!(target));
        let outcome = outcome.unwrap_or_else(|| panic!("nothing told of {target}: {told:?}"));
        let seen = outcome["seen"].as_str().unwrap().to_owned();
        (target.clone(), (outcome["reached"].as_bool().unwrap(), seen))
    };
    targets.iter().map(outcome).collect()
}
