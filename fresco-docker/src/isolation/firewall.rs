//! What tenants may reach, and the nftables rules that it comes to.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use fresco_core::{Error, ErrorKind, Result};

/// Addresses that lead to private networks, to clouds' metadata or to many at once. Tenants reach
/// none of them but what [`Firewall::reach`] names.
const PRIVATE_4: &str = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 168.63.129.16, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3";
const PRIVATE_6: &str = "::/127, ::ffff:0:0/96, 64:ff9b::a00:0/104, 64:ff9b::6440:0/106, 64:ff9b::7f00:0/104, 64:ff9b::a9fe:0/112, 64:ff9b::ac10:0/108, 64:ff9b::c0a8:0/112, 64:ff9b:1::/48, 2002::/16, fc00::/7, fe80::/10, fec0::/10, ff00::/8";

/// What a tenant's container may reach on this machine and in private networks. All else there is
/// refused; the internet is open.
///
/// Given to [`DockerConfig::firewall`](crate::DockerConfig::firewall), it becomes one table of
/// nftables rules, which [`rules`](Firewall::rules) shows.
///
/// ```
/// use fresco_docker::Firewall;
///
/// let firewall = Firewall::new().gateway_port(5432).entry_ports([80, 443]);
/// println!("{}", firewall.rules("fresco0")?);
/// # Ok::<(), fresco_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    pub(super) gateway_ports: Vec<u16>,
    entry_ports: Vec<u16>,
    reach: Vec<SocketAddr>,
    resolvers: Option<Vec<IpAddr>>,
    pub(super) closed_ports: Vec<u16>,
    pub(super) prober: Vec<String>,
}

impl Firewall {
    /// Nothing but the internet and the machine's name servers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a port at the host's own address on the tenants' network, such as PostgreSQL's.
    #[must_use]
    pub fn gateway_port(mut self, port: u16) -> Self {
        self.gateway_ports.push(port);
        self
    }

    /// Opens ports at all addresses of the host but loopback: the proxy's public entry points, so
    /// that tenants reach each other's public addresses, and their own, as everybody does.
    #[must_use]
    pub fn entry_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.entry_ports.extend(ports);
        self
    }

    /// Opens one more place, by TCP: a database on another machine, a mail relay.
    #[must_use]
    pub fn reach(mut self, place: SocketAddr) -> Self {
        self.reach.push(place);
        self
    }

    /// The name servers that Docker gives its containers. Default: those of this machine, as Docker
    /// itself finds them.
    #[must_use]
    pub fn resolvers(mut self, resolvers: impl IntoIterator<Item = IpAddr>) -> Self {
        self.resolvers = Some(resolvers.into_iter().collect());
        self
    }

    /// Ports of services on this machine that no tenant must reach: a probe tries them at every
    /// address of the machine. They are refused whether they are named or not.
    #[must_use]
    pub fn closed_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.closed_ports.extend(ports);
        self
    }

    /// How a probe's container runs: this very program, called with these arguments, which does
    /// nothing but call [`run_network_probe`](crate::run_network_probe).
    #[must_use]
    pub fn prober<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.prober = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// The rules for a bridge of this name, for `nft -f`. Loaded again they take their own place, in
    /// one step.
    ///
    /// # Errors
    /// `Invalid` for a name that no bridge can have.
    pub fn rules(&self, bridge: &str) -> Result<String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if bridge.is_empty() || bridge.len() > 15 || !bridge.bytes().all(fits) {
            let what = "a bridge has a name of 1 to 15 letters, digits, hyphens, dots and lines";
            return Err(Error::new(ErrorKind::Invalid, what).with("bridge", bridge));
        }
        let (table, open) = (table(bridge), self.open());
        let gateway = ports(&self.gateway_ports, "fib daddr . iif type local tcp dport");
        let entry = ports(&self.entry_ports, "fib daddr type local tcp dport");
        Ok(format!(
            r#"# What the containers on {bridge} may reach. Made by Fresco Platform, which puts it back when it is changed.
table inet {table} {{}}
delete table inet {table}
table inet {table} {{
	# From a tenant to this machine itself. Before any other firewall's rules; what passes here is theirs to judge.
	chain input {{
		type filter hook input priority filter - 10; policy accept;
		iifname "{bridge}" goto to_host
	}}
	# From a tenant to others, and from others to a tenant. What this machine itself sends to a tenant passes neither.
	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
		iifname "{bridge}" goto to_others
		oifname "{bridge}" goto to_tenants
	}}
	chain from_tenants {{
		icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
		# An address that is not of this network.
		fib saddr . iif oif missing counter drop
		ct state established,related accept
		ct state invalid counter drop
{open}	}}
	chain to_host {{
		jump from_tenants
{gateway}		ip daddr 127.0.0.0/8 counter drop
{entry}		counter reject with icmpx type admin-prohibited
	}}
	chain to_others {{
		jump from_tenants
		oifname "{bridge}" counter drop
		# What this machine leads on to somewhere else: published ports.
		ct status dnat counter reject with icmpx type admin-prohibited
		ip daddr {{ {PRIVATE_4} }} counter reject with icmpx type admin-prohibited
		ip6 daddr {{ {PRIVATE_6} }} counter reject with icmpx type admin-prohibited
		accept
	}}
	chain to_tenants {{
		ct state established,related accept
		counter drop
	}}
}}
"#
        ))
    }

    /// What is open although it may be private.
    fn open(&self) -> String {
        let resolvers = self.resolvers.clone().unwrap_or_else(resolvers_of_this_machine);
        let resolvers = resolvers.iter().map(|ip| {
            format!("\t\t{} {ip} meta l4proto {{ tcp, udp }} th dport 53 accept\n", to(*ip))
        });
        let reach = self.reach.iter().map(|place| {
            format!("\t\t{} {} tcp dport {} accept\n", to(place.ip()), place.ip(), place.port())
        });
        resolvers.chain(reach).collect()
    }
}

/// The name of the table for a bridge.
pub(crate) fn table(bridge: &str) -> String {
    format!("fresco_{bridge}")
}

fn to(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ip daddr" } else { "ip6 daddr" }
}

fn ports(ports: &[u16], matching: &str) -> String {
    if ports.is_empty() {
        return String::new();
    }
    let list: Vec<_> = ports.iter().map(u16::to_string).collect();
    format!("\t\t{matching} {{ {} }} accept\n", list.join(", "))
}

/// The name servers that Docker hands on: those of `/etc/resolv.conf`, or what systemd-resolved asks
/// when that only names its own on loopback.
fn resolvers_of_this_machine() -> Vec<IpAddr> {
    let read = |path| parse_resolvers(&fs::read_to_string(path).unwrap_or_default());
    let found = read("/etc/resolv.conf");
    let found = if found.iter().any(IpAddr::is_loopback) {
        read("/run/systemd/resolve/resolv.conf")
    } else {
        found
    };
    found.into_iter().filter(|ip| !ip.is_loopback()).collect()
}

fn parse_resolvers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    // One that is on this link only (fe80::1%eth0) no container reaches.
    lines.filter_map(|rest| rest.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_open_what_was_named_and_nothing_else() {
        let firewall = Firewall::new()
            .gateway_port(5432)
            .entry_ports([80, 443])
            .reach("10.1.2.3:587".parse().unwrap())
            .resolvers(["10.0.0.53".parse().unwrap(), "fd00::53".parse().unwrap()]);
        let rules = firewall.rules("br-0").unwrap();
        for line in [
            "fib daddr . iif type local tcp dport { 5432 } accept",
            "fib daddr type local tcp dport { 80, 443 } accept",
            "ip daddr 10.1.2.3 tcp dport 587 accept",
            "ip daddr 10.0.0.53 meta l4proto { tcp, udp } th dport 53 accept",
            "ip6 daddr fd00::53 meta l4proto { tcp, udp } th dport 53 accept",
        ] {
            assert_eq!(rules.matches(line).count(), 1, "{line}\n{rules}");
        }
        assert_eq!(rules.matches("table inet fresco_br-0").count(), 3, "{rules}");
        let none = Firewall::new().resolvers([]).rules("br-0").unwrap();
        assert!(!none.contains("dport"), "{none}");
    }

    #[test]
    fn a_name_that_is_no_bridges_never_reaches_the_rules() {
        for name in ["", "x\" accept; #", "a b", "quite-a-long-name", "br/0", "br\n0"] {
            let error = Firewall::new().rules(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        }
    }

    #[test]
    fn name_servers_are_read_as_docker_reads_them() {
        let text = "# x\nnameserver 10.0.0.53\nsearch a\n nameserver\tfd00::1\nnameserver x\n";
        let found: Vec<_> = parse_resolvers(text).iter().map(IpAddr::to_string).collect();
        assert_eq!(found, ["10.0.0.53", "fd00::1"]);
    }
}
