//! A web origin: scheme, host and port.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// A web origin, as browsers write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Url);

/// This text is no http or https origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is http:// or https://, a host, perhaps a port, and nothing else")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError)?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        bare.then_some(Self(url)).ok_or(OriginError)
    }
}

impl Origin {
    /// Whether it is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether its host is this machine's loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The origin of this `Host` header, when its scheme is this one's.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Option<Self> {
        // A header with a path, a query or a login in it is none.
        format!("{}://{host}", self.0.scheme()).parse().ok()
    }

    /// Whether both have the same host, whatever their ports.
    #[must_use]
    pub fn has_host_of(&self, other: &Self) -> bool {
        self.0.host() == other.0.host()
    }

    /// The address of a path below it, such as `/docs`.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}
