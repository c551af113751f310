//! The program in a probe's container: it listens, or tries to reach places and tells what it saw.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The variable that tells the program what to do.
pub(super) const VARIABLE: &str = "FRESCO_NETWORK_PROBE";
/// What every line of the answer begins with: a test's harness may write among them.
pub(super) const MARK: &str = "fresco-probe ";
/// The time that a place has to answer.
const TIME: Duration = Duration::from_secs(2);
/// Nobody forgets a listener for longer than this.
const LIFE: Duration = Duration::from_secs(120);

/// What the program is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Listen on these ports, on TCP and UDP, and send back what comes by UDP.
    Listen(Vec<u16>),
    /// Try these places at once: `host:port` by TCP, `udp:host:port` by UDP.
    Reach(Vec<String>),
}

/// What came of one place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) target: String,
    /// Whether something at that place answered, be it that nobody listens there.
    pub(super) reached: bool,
    pub(super) seen: String,
}

/// The whole program of a probe's container; see [`Firewall::prober`](crate::Firewall::prober). It
/// does what the environment of the container says, and tells it on standard output.
///
/// Without that environment it does nothing.
#[must_use]
pub fn run_network_probe() -> ExitCode {
    let task = std::env::var(VARIABLE).ok().and_then(|text| serde_json::from_str(&text).ok());
    match task {
        Some(Task::Listen(ports)) => listen(&ports),
        Some(Task::Reach(targets)) => reach(targets),
        None => ExitCode::FAILURE,
    }
}

fn tell(outcome: &Outcome) -> io::Result<()> {
    let text = serde_json::to_string(outcome)?;
    // A line of its own, whatever a test's harness has written.
    writeln!(io::stdout(), "\n{MARK}{text}")
}

fn listen(ports: &[u16]) -> ExitCode {
    for port in ports {
        // On both versions of the protocol where there are two, else on the one.
        let any = [format!("[::]:{port}"), format!("0.0.0.0:{port}")];
        let places: Vec<SocketAddr> = any.iter().filter_map(|text| text.parse().ok()).collect();
        let Ok(listener) = TcpListener::bind(places.as_slice()) else { return ExitCode::FAILURE };
        let Ok(socket) = UdpSocket::bind(places.as_slice()) else { return ExitCode::FAILURE };
        thread::spawn(move || listener.incoming().for_each(drop));
        thread::spawn(move || {
            let mut bytes = [0; 16];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(bytes.get(..length).unwrap_or_default(), from);
            }
        });
    }
    if writeln!(io::stdout(), "\n{MARK}listening").is_err() {
        return ExitCode::FAILURE;
    }
    thread::sleep(LIFE);
    ExitCode::SUCCESS
}

fn reach(targets: Vec<String>) -> ExitCode {
    let tries: Vec<_> =
        targets.into_iter().map(|target| thread::spawn(|| attempt(target))).collect();
    for attempt in tries {
        let told = attempt.join().ok().is_some_and(|outcome| tell(&outcome).is_ok());
        if !told {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn attempt(target: String) -> Outcome {
    let (udp, place) = match target.strip_prefix("udp:") {
        Some(place) => (true, place),
        None => (false, target.as_str()),
    };
    let found = place.to_socket_addrs().ok().and_then(|mut all| all.next());
    let Some(address) = found else {
        return Outcome { target, reached: false, seen: "no such name".into() };
    };
    let answer =
        if udp { ask(address) } else { TcpStream::connect_timeout(&address, TIME).map(drop) };
    let (reached, seen) = match answer {
        Ok(()) if udp => (true, "answered".to_owned()),
        Ok(()) => (true, "connected".to_owned()),
        Err(error) => match error.kind() {
            // The refusal came from there: the way is open.
            io::ErrorKind::ConnectionRefused => (true, "reached, nobody listens".to_owned()),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => (false, "no answer".to_owned()),
            _ => (false, error.to_string()),
        },
    };
    Outcome { target, reached, seen }
}

fn ask(address: SocketAddr) -> io::Result<()> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(TIME))?;
    socket.connect(address)?;
    socket.send(b"fresco")?;
    socket.recv(&mut [0; 16]).map(drop)
}
