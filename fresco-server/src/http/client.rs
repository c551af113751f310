//! From which address a request comes.

use std::net::IpAddr;

use ipnet::IpNet;
use poem::http::{HeaderMap, HeaderName, header};
use poem::{Addr, Request, RequestBody};

use crate::accounts::NewLogin;
use crate::platform::Platform;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of who asks: the other end of the connection, or what a proxy of ours says of it.
///
/// Each proxy adds the address that it was called from at the end. So the list is read backwards, and
/// only as far as the ones who wrote it are ours: the first that is not is the client, and whatever it
/// wrote before that is its own invention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    pub(crate) fn of(request: &Request, proxies: &[IpNet]) -> Self {
        // A page that calls for its visitor has looked already.
        if let Some(known) = request.extensions().get() {
            return *known;
        }
        let peer = match &request.remote_addr().0 {
            Addr::SocketAddr(address) => address.ip(),
            // In tests, and on a Unix socket: somebody on this machine.
            _ => IpAddr::from([127, 0, 0, 1]),
        };
        Self(client(peer, request.headers(), proxies))
    }
}

fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let ours = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    // What the caller wrote may be any bytes; what our proxies added after it is an address all the same.
    let named = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut named = named.map(|part| std::str::from_utf8(part).ok().and_then(address));
    while ours(&client) {
        let Some(before) = named.next().flatten() else { break };
        client = before;
    }
    client
}

/// An address as proxies write it, some with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

/// Who signs in, as the owner of the session will know it again.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    user_agent: Option<String>,
}

impl Client {
    /// The login of this client.
    pub(crate) fn login(self, remember: bool) -> NewLogin {
        NewLogin { remember, address: Some(self.address), user_agent: self.user_agent }
    }
}

impl<'a> poem::FromRequest<'a> for Client {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let ClientAddress(address) = ClientAddress::from_request(request, body).await?;
        let user_agent = request.headers().get(header::USER_AGENT);
        let user_agent = user_agent.and_then(|text| text.to_str().ok()).map(str::to_owned);
        Ok(Self { address, user_agent })
    }
}

impl<'a> poem::FromRequest<'a> for ClientAddress {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let proxies = request.data::<Platform>().map(|platform| &platform.config.trusted_proxies);
        Ok(Self::of(request, proxies.map_or(&[], Vec::as_slice)))
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn seen(peer: &str, lines: &[&str]) -> String {
        let proxies = ["127.0.0.0/8", "10.0.0.0/24", "fd00::/64"].map(|net| net.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_what_our_own_proxies_say_is_believed() {
        // A stranger may write what it likes.
        assert_eq!(seen("203.0.113.9", &["192.0.2.1"]), "203.0.113.9");
        // A proxy of ours says who called it.
        assert_eq!(seen("127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        // What the caller itself had written stands before that.
        assert_eq!(seen("127.0.0.1", &["198.51.100.7, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("127.0.0.1", &["198.51.100.7", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("127.0.0.1", &["é, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("127.0.0.1", &["192.0.2.1, é"]), "127.0.0.1");
        // Two proxies of ours, one behind the other.
        assert_eq!(seen("127.0.0.1", &["198.51.100.7, 192.0.2.1, 10.0.0.3"]), "192.0.2.1");
        // Nothing, and nonsense, lead no further.
        assert_eq!(seen("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", &["192.0.2.1, unknown"]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", &["192.0.2.1, unknown, 10.0.0.3"]), "10.0.0.3");
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        assert_eq!(seen("::ffff:127.0.0.1", &["192.0.2.1:8080"]), "192.0.2.1");
        assert_eq!(seen("fd00::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(seen("fd00::1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(seen("fd00::1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    }
}
