//! Who listens on this machine's TCP ports, as Linux tells it in /proc.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A listening socket, and the program behind it where this user may see that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) user: u32,
    inode: u64,
    pub(super) program: Option<Program>,
}

/// A running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) pid: u32,
    /// Its name, of at most 15 characters; it chose it itself.
    pub(super) name: String,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Some(program) => write!(f, "{} (pid {})", program.name, program.pid),
            None => write!(f, "a program of the user with id {}", self.user),
        }
    }
}

impl Listener {
    pub(super) fn name(&self) -> Option<&str> {
        self.program.as_ref().map(|program| program.name.as_str())
    }
}

/// All listeners that there are.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<Listener>);

impl Listeners {
    /// Reads them. This blocks, for as long as it takes to look at every process.
    pub(super) fn read() -> io::Result<Self> {
        let mut found = parse(&fs::read_to_string("/proc/net/tcp")?);
        // A kernel without version 6 has no such file.
        found.extend(parse(&fs::read_to_string("/proc/net/tcp6").unwrap_or_default()));
        let programs = programs();
        for listener in &mut found {
            listener.program = programs.get(&listener.inode).cloned();
        }
        Ok(Self(found))
    }

    /// Who keeps others from listening on this address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<&Listener> {
        let clash =
            |ip: IpAddr| ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
        let all = || self.0.iter().filter(|listener| listener.address.port() == address.port());
        // Of several (one per worker) one whose name is known.
        let mut clashing = all().filter(|listener| clash(listener.address.ip().to_canonical()));
        clashing.clone().find(|listener| listener.program.is_some()).or_else(|| clashing.next())
    }

    /// A port above this one that nobody listens on.
    pub(super) fn free_port_near(&self, port: u16) -> u16 {
        let first = if port < 1024 { port + 8000 } else { port.saturating_add(1) };
        let taken = |port: &u16| self.0.iter().any(|listener| listener.address.port() == *port);
        (first..=u16::MAX).find(|port| !taken(port)).unwrap_or(first)
    }
}

/// The lines of sockets that listen. Lines of another form are left out.
fn parse(table: &str) -> Vec<Listener> {
    const LISTEN: &str = "0A";
    let line = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, user, _, inode, ..] = fields.as_slice() else {
            return None;
        };
        Some(Listener {
            address: address(local)?,
            user: user.parse().ok()?,
            inode: inode.parse().ok()?,
            program: None,
        })
    };
    table.lines().filter_map(line).collect()
}

/// An address as the kernel writes it: words of 32 bits in the machine's own order of bytes.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The program of each open socket; of several that share one, the first: the others are its children.
/// Other users' programs can only be seen as root; one that ends meanwhile is left out.
fn programs() -> HashMap<u64, Program> {
    let mut found = HashMap::new();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered =
        all.filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process)));
    let mut processes: Vec<(u32, _)> = numbered.collect();
    processes.sort_by_key(|(pid, _)| *pid);
    for (pid, process) in processes {
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        let program = Program { pid, name: name.trim().to_owned() };
        for file in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|text| text.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|text| text.parse().ok()) {
                found.entry(inode).or_insert_with(|| program.clone());
            }
        }
    }
    found
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 2725490 1 00000000a3ea150f 100 0 0 10 0
   1: 0100007F:0BB8 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2725491 1 00000000a3ea150f 100 0 0 10 0
   2: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0 100 0 0 10 0
   3: 00000000000000000000000000000000:2328 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8 1 0 100 0 0 10 0
nonsense";

    #[test]
    fn the_kernels_table_is_understood() {
        let found = Listeners(parse(TABLE));
        let addresses: Vec<_> = found.0.iter().map(|l| l.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:80", "[::1]:8080", "[::]:9000"]);
        let at = |text: &str| found.at(text.parse().unwrap());
        assert_eq!(at("127.0.0.1:80").unwrap().to_string(), "a program of the user with id 33");
        assert!(at("0.0.0.0:80").is_some());
        assert!(at("10.0.0.1:80").is_none());
        assert!(at("127.0.0.1:3000").is_none(), "a connection is no listener");
        assert!(at("127.0.0.1:9000").is_some(), "who listens everywhere listens there too");
        assert_eq!((found.free_port_near(8999), found.free_port_near(80)), (9001, 8081));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_listener_is_found_by_name() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::TcpListener::bind(place).unwrap();
            let listeners = Listeners::read().unwrap();
            let found = listeners.at(listener.local_addr().unwrap()).unwrap().clone();
            assert_eq!(found.program.unwrap().pid, std::process::id());
        }
    }
}
