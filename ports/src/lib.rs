//! Ports of loopback that are promised to one part of a test each.
#![allow(clippy::panic, reason = "what fails here fails the test")]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Below those that Linux gives to connections that go out, which could take one in between.
const FIRST: u16 = 16_000;
const COUNT: u16 = 16_000;

/// A port where nobody listens, promised to the caller alone until this process ends.
///
/// What the kernel gives for port 0 is free again before the server that it is meant for listens there:
/// two tests, or two runs beside each other, could be given the same. A name in the kernel that goes with
/// the process says that a port is taken.
///
/// # Panics
/// When no port is left.
#[must_use]
pub fn free_port() -> u16 {
    // Each state of a hash is another one, in each process.
    let start = RandomState::new().hash_one(0) % u64::from(COUNT);
    for step in 0..COUNT {
        let Ok(place) = u16::try_from((start + u64::from(step)) % u64::from(COUNT)) else {
            continue;
        };
        let port = FIRST + place;
        let name = SocketAddr::from_abstract_name(format!("fresco-test-port-{port}"));
        let Ok(promise) = name.and_then(|name| UnixListener::bind_addr(&name)) else { continue };
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            std::mem::forget(promise);
            return port;
        }
    }
    panic!("no port of {FIRST} to {} is free", FIRST + COUNT - 1);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::free_port;

    #[test]
    fn no_port_is_given_twice() {
        let ports: BTreeSet<_> = (0..200).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 200);
    }
}
