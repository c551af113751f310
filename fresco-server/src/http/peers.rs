//! How many connections one peer may have open, and how many requests, at the same time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::network;

/// Who has how many connections or requests open. There are as many entries as there are of those at most.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
    many: Arc<[IpNet]>,
}

/// One that is open; its end makes room for another.
#[derive(Debug)]
pub(crate) struct Peer {
    peers: Peers,
    network: IpAddr,
}

/// Who speaks for many people: proxies, and a proxy on this machine that nobody named.
pub(crate) fn many(proxies: &[IpNet]) -> Vec<IpNet> {
    let loopback = [IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()].map(IpNet::from);
    [proxies, &loopback].concat()
}

impl Peers {
    /// So many for each network, but for these, which speak for many people: proxies.
    pub(crate) fn new(most: usize, many: Vec<IpNet>) -> Self {
        Self { open: Arc::default(), most, many: many.into() }
    }

    /// A further one of this peer; `None` when it has as many as it may.
    pub(crate) fn open(&self, address: IpAddr) -> Option<Peer> {
        let (address, network) = (address.to_canonical(), network::of(address));
        let bounded = !self.many.iter().any(|net| net.contains(&address));
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(network).or_default();
        if bounded && *open >= self.most {
            return None;
        }
        *open += 1;
        Some(Peer { peers: self.clone(), network })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut all = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&self.network) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_so_many_and_a_proxy_any_number() {
        let peers = Peers::new(2, vec!["10.0.0.0/24".parse().unwrap()]);
        let open = |text: &str| peers.open(text.parse().unwrap());
        let (first, _second) = (open("2001:db8::1").unwrap(), open("2001:db8::2").unwrap());
        assert!(open("2001:db8::3").is_none(), "the same network of version 6");
        let _other = open("2001:db8:0:1::3").unwrap();
        let proxied: Vec<_> = (0..9).map(|_| open("::ffff:10.0.0.7").unwrap()).collect();
        drop(first);
        let _again = open("2001:db8::3").unwrap();
        drop((proxied, _second, _other, _again));
        assert!(peers.open.lock().unwrap().is_empty(), "nobody is kept who has gone");
    }
}
