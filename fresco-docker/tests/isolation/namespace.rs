//! A machine of the test's own: namespaces with a Docker Engine, and a network around it.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::{self, Ends, Engine, INSIDE, run};

/// Runs a test, which has this name, on a machine of its own.
pub fn inside(name: &str, test: impl AsyncFnOnce(&mut Machine)) {
    engine::inside(name, async |folder| test(&mut Machine::new(folder)).await);
}

/// The machine. Around it is a world of its own, in which every address is that is tried.
pub struct Machine {
    /// Holds the network namespace of the world.
    world: Ends,
    /// An engine of this machine's own.
    pub engine: Engine,
    around: Vec<Ends>,
    own: Vec<TcpListener>,
}

impl Machine {
    fn new(folder: PathBuf) -> Self {
        let engine = Engine::new(&folder, folder.join("docker.sock"));
        let world = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().unwrap();
        let world = Ends(world);
        let this = Self { world, engine, around: Vec::new(), own: Vec::new() };
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
        self.engine.socket()
    }

    pub fn docker(&self) -> bollard::Docker {
        bollard::Docker::connect_with_unix(&self.socket(), 120, bollard::API_DEFAULT_VERSION)
            .unwrap()
    }

    /// Brings an image over from the real machine's engine.
    pub fn copy_image(&self, name: &str) {
        self.engine.load_image(&self.engine.save_image(name));
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
