//! Subdomains and host names: parsed once at the edge, never a bare string below it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// The most characters of a subdomain, as of every label of a host name.
const LONGEST: usize = 63;

/// Names that a platform or its users' mail and tools need for themselves.
const RESERVED: &[&str] = &[
    "about",
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "api",
    "app",
    "apps",
    "assets",
    "auth",
    "autoconfig",
    "autodiscover",
    "billing",
    "blog",
    "cdn",
    "cloud",
    "console",
    "contact",
    "dashboard",
    "db",
    "demo-admin",
    "dev",
    "dns",
    "docs",
    "email",
    "files",
    "fresco",
    "ftp",
    "git",
    "grafana",
    "health",
    "help",
    "home",
    "host",
    "hostmaster",
    "imap",
    "info",
    "internal",
    "local",
    "localhost",
    "login",
    "logout",
    "mail",
    "metrics",
    "monitor",
    "mx",
    "mysql",
    "news",
    "noreply",
    "ns1",
    "ns2",
    "ns3",
    "ns4",
    "oauth",
    "platform",
    "pop",
    "pop3",
    "portal",
    "postgres",
    "postmaster",
    "private",
    "prometheus",
    "proxy",
    "public",
    "register",
    "registry",
    "root",
    "sandbox",
    "security",
    "server",
    "sftp",
    "shop",
    "signin",
    "signup",
    "smtp",
    "sql",
    "ssh",
    "ssl",
    "staging",
    "static",
    "stats",
    "status",
    "support",
    "sysadmin",
    "system",
    "test",
    "tests",
    "traefik",
    "vpn",
    "webmail",
    "webmaster",
    "wpad",
    "www",
];

/// A tenant's subdomain: 3 to 63 of `a–z`, `0–9` and single inner hyphens, not all digits, and not
/// one of the reserved names.
///
/// ```
/// use fresco_core::Subdomain;
///
/// let name: Subdomain = "my-study".parse()?;
/// assert_eq!(name.as_str(), "my-study");
/// assert!("x`) || Host(`y".parse::<Subdomain>().is_err());
/// # Ok::<(), fresco_core::SubdomainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "String")]
pub struct Subdomain(String);

/// A subdomain as it was stored: it was allowed then, and a name that was reserved since must not
/// make its tenant unreadable.
#[derive(Deserialize)]
struct Stored(String);

impl TryFrom<Stored> for Subdomain {
    type Error = SubdomainError;

    fn try_from(Stored(text): Stored) -> Result<Self, SubdomainError> {
        match text.parse() {
            Err(SubdomainError::Reserved) => Ok(Self(text)),
            parsed => parsed,
        }
    }
}

/// Why a text is not a [`Subdomain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubdomainError {
    /// Shorter than 3 or longer than 63 characters.
    #[error("a subdomain has 3 to 63 characters")]
    Length,
    /// Something else than small letters, digits and hyphens.
    #[error("a subdomain has only small letters a-z, digits and hyphens")]
    Character,
    /// A hyphen at an end, or two in a row.
    #[error("a hyphen stands alone between letters or digits")]
    Hyphen,
    /// Digits only.
    #[error("a subdomain needs at least one letter")]
    Digits,
    /// A reserved name.
    #[error("this name is reserved")]
    Reserved,
}

impl Subdomain {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there can be a subdomain with this text in it.
    pub(crate) fn may_contain(text: &str) -> bool {
        text.len() <= LONGEST && has_only_label_characters(text)
    }
}

impl FromStr for Subdomain {
    type Err = SubdomainError;

    fn from_str(text: &str) -> Result<Self, SubdomainError> {
        if !(3..=LONGEST).contains(&text.len()) {
            return Err(SubdomainError::Length);
        }
        check_label(text)?;
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SubdomainError::Digits);
        }
        if text.contains("--") {
            return Err(SubdomainError::Hyphen);
        }
        if RESERVED.binary_search(&text).is_ok() {
            return Err(SubdomainError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

fn has_only_label_characters(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// One label of a host name, as far as its characters go.
fn check_label(text: &str) -> Result<(), SubdomainError> {
    if !has_only_label_characters(text) {
        return Err(SubdomainError::Character);
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(SubdomainError::Hyphen);
    }
    Ok(())
}

impl TryFrom<String> for Subdomain {
    type Error = SubdomainError;

    fn try_from(text: String) -> Result<Self, SubdomainError> {
        text.parse()
    }
}

impl From<Subdomain> for String {
    fn from(value: Subdomain) -> Self {
        value.0
    }
}

impl fmt::Display for Subdomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole host name in small letters, safe to stand in a proxy's rule.
///
/// ```
/// use fresco_core::Hostname;
///
/// let base: Hostname = "fresco.example.org".parse()?;
/// assert_eq!(base.join(&"my-study".parse()?).as_str(), "my-study.fresco.example.org");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);

impl Hostname {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of a subdomain below this one.
    #[must_use]
    pub fn join(&self, subdomain: &Subdomain) -> Hostname {
        Hostname(format!("{subdomain}.{}", self.0))
    }
}

impl FromStr for Hostname {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let labels_fit =
            text.split('.').all(|l| (1..=LONGEST).contains(&l.len()) && check_label(l).is_ok());
        // A subdomain of 63 letters and a dot must still fit before a base domain; the whole name
        // has 253 at most.
        if text.is_empty() || text.len() > 253 || !labels_fit {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a host name is made of labels of a-z, 0-9 and inner hyphens, joined by dots",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Hostname {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Hostname> for String {
    fn from(value: Hostname) -> Self {
        value.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_sorted_for_the_binary_search() {
        assert!(RESERVED.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn refuses_what_is_no_subdomain() {
        let long = "a".repeat(64);
        for (text, why) in [
            ("a", SubdomainError::Length),
            ("", SubdomainError::Length),
            (long.as_str(), SubdomainError::Length),
            ("-ab", SubdomainError::Hyphen),
            ("ab-", SubdomainError::Hyphen),
            ("a--b", SubdomainError::Hyphen),
            ("x_y", SubdomainError::Character),
            ("WWW", SubdomainError::Character),
            ("häuser", SubdomainError::Character),
            ("x`) || Host(`y", SubdomainError::Character),
            ("a.b", SubdomainError::Character),
            ("1234", SubdomainError::Digits),
            ("www", SubdomainError::Reserved),
            ("api", SubdomainError::Reserved),
        ] {
            assert_eq!(text.parse::<Subdomain>(), Err(why), "{text}");
        }
    }

    #[test]
    fn accepts_subdomains() {
        let longest = "a".repeat(63);
        for text in ["abc", "a1-b2-c3", "2024-study", longest.as_str()] {
            assert_eq!(text.parse::<Subdomain>().map(String::from), Ok(text.to_owned()));
        }
    }

    #[test]
    fn host_names() {
        for text in ["localhost", "fresco.example.org", "a.b"] {
            assert!(text.parse::<Hostname>().is_ok(), "{text}");
        }
        for text in ["", ".", "a..b", "a.", "A.b", "a b", "a`b", "-a.b"] {
            assert!(text.parse::<Hostname>().is_err(), "{text}");
        }
    }
}
