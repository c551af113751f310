//! What is written on a tenant's things, and the URLs that lead to them.

use std::fmt;

use fresco_core::{CredentialId, Generation, PlatformId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use rand::RngExt;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};

/// A name inside SQL.
pub(super) fn ident(name: &str) -> String {
    escape_identifier(name)
}

/// A text inside SQL.
pub(super) fn literal(text: impl fmt::Display) -> String {
    escape_literal(&text.to_string()).trim_start().to_owned()
}

/// The comment on a tenant's role. Roles and their comments are seen by every tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoleMark {
    pub(super) platform: PlatformId,
    pub(super) generation: Generation,
    pub(super) credential: Option<CredentialId>,
}

impl RoleMark {
    /// What a comment says, if it is one of a platform.
    pub(super) fn parse(comment: &str) -> Option<Self> {
        let mut words = comment.strip_prefix("fresco ")?.split(' ');
        let mut word = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        let platform = word("platform")?.parse().ok()?;
        let generation = word("generation")?.parse().ok()?;
        let credential = match word("credential")? {
            "none" => None,
            id => Some(id.parse().ok()?),
        };
        words.next().is_none().then_some(Self { platform, generation, credential })
    }
}

impl fmt::Display for RoleMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fresco platform={} generation={} ", self.platform, self.generation)?;
        match self.credential {
            Some(id) => write!(f, "credential={id}"),
            None => f.write_str("credential=none"),
        }
    }
}

/// The comment on a tenant's schema or database.
pub(super) fn storage_mark(platform: PlatformId) -> String {
    format!("fresco platform={platform}")
}

/// A new password: 32 letters and digits are 190 bits, and mean the same in a URL as elsewhere.
pub(super) fn password() -> SecretString {
    let text: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
    text.into()
}

/// What the server keeps of a password. The password itself is never sent.
pub(super) fn verifier(password: &SecretString) -> String {
    postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes())
}

/// The URL of a database. What is in the query is not the same for all drivers, so there is none:
/// where a session's tables are follows from settings of the role.
pub(super) fn url(
    role: &str,
    password: &SecretString,
    address: &(String, u16),
    database: &str,
) -> String {
    let (host, port) = address;
    let host = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.clone(),
    };
    let encoded = |text| utf8_percent_encode(text, URL);
    format!(
        "postgresql://{}:{}@{host}:{port}/{}",
        encoded(role),
        encoded(password.expose_secret()),
        encoded(database)
    )
}

/// All but letters, digits and what names in URLs may hold as it is.
const URL: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(credential: Option<CredentialId>) -> RoleMark {
        RoleMark { platform: PlatformId::new(), generation: Generation::new(42), credential }
    }

    #[test]
    fn a_mark_can_be_read_back() {
        for mark in [mark(None), mark(Some(CredentialId::new()))] {
            assert_eq!(RoleMark::parse(&mark.to_string()), Some(mark));
        }
    }

    #[test]
    fn what_is_no_mark_is_nobodys() {
        let good = mark(None).to_string();
        assert_eq!(RoleMark::parse(&format!("{good} more")), None);
        assert_eq!(RoleMark::parse(&good.replace("generation", "generatio")), None);
        for text in ["", "fresco", "fresco ", "a comment", "fresco platform=x generation=1"] {
            assert_eq!(RoleMark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn quotes_do_not_end_names_and_texts() {
        assert_eq!(ident(r#"a"; DROP ROLE x; --"#), r#""a""; DROP ROLE x; --""#);
        assert_eq!(literal("a'; DROP ROLE x; --"), "'a''; DROP ROLE x; --'");
        assert_eq!(literal(r"\'"), r"E'\\'''");
    }

    #[test]
    fn urls_lead_where_they_should() {
        let password = SecretString::from("pw");
        let url = |host: &str, database| url("role_1", &password, &(host.into(), 5432), database);
        assert_eq!(url("db.example", "t_1"), "postgresql://role_1:pw@db.example:5432/t_1");
        assert_eq!(url("::1", "a/b?c"), "postgresql://role_1:pw@[::1]:5432/a%2Fb%3Fc");
        let config: tokio_postgres::Config = url("h", "ä b").parse().unwrap();
        assert_eq!(config.get_dbname(), Some("ä b"));
    }

    #[test]
    fn a_password_is_long_and_plain_and_new() {
        let (one, other) = (password(), password());
        assert_eq!(one.expose_secret().len(), 32);
        assert!(one.expose_secret().bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    /// The library does the arithmetic, with a salt of its own; this is the form that PostgreSQL
    /// takes for a verifier. What does not have it would be taken for a password in clear.
    #[test]
    fn a_verifier_is_none_of_the_password() {
        let password = password();
        let verifier = verifier(&password);
        let (head, tail) = verifier.rsplit_once('$').unwrap();
        let salt = head.strip_prefix("SCRAM-SHA-256$4096:").unwrap();
        assert_eq!(salt.len(), 24);
        let (stored, server) = tail.split_once(':').unwrap();
        assert_eq!((stored.len(), server.len()), (44, 44));
        assert!(!verifier.contains(password.expose_secret()));
    }
}
