//! Addresses of people.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress, Options};
use fresco_core::{Error, ErrorKind};

/// The longest address that mail can carry, in bytes (RFC 5321).
const LONGEST: usize = 254;

/// A mail address. Two that differ in capital letters alone are one.
///
/// ```
/// use fresco_server::accounts::Email;
///
/// let email: Email = " Ada@Example.org ".parse()?;
/// assert_eq!(email.as_str(), "Ada@Example.org");
/// assert_eq!(email, "ada@example.org".parse()?);
/// # Ok::<(), fresco_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Email {
    address: String,
    key: String,
}

impl Email {
    /// The address as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// What is the same for all spellings of it.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Email {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let plain = Options::default().without_display_text().without_domain_literal();
        let fits = text.len() <= LONGEST
            && !text.chars().any(char::is_control)
            && EmailAddress::parse_with_options(text, plain).is_ok();
        // Small letters can take more bytes than capital ones.
        let key = text.to_lowercase();
        if fits && is_own_key(text) && key.len() <= 2 * LONGEST {
            return Ok(Self { address: text.to_owned(), key });
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "this is not an e-mail address; it looks like name@example.org",
        )
        .with("field", "email"))
    }
}

/// Whether no letter has the small form of another one, as K (the sign for kelvin) has that of the letter
/// K: a mailbox of such a name is another person's, and would be taken for the same.
fn is_own_key(text: &str) -> bool {
    text.chars().all(|letter| {
        let small = letter.to_lowercase();
        small.clone().eq([letter]) || small.flat_map(char::to_uppercase).eq([letter])
    })
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [
            "a@b.org",
            "a.b+c@d-e.example",
            "Käthe@example.org",
            "ÉMILIE@example.org",
            "ΆΝΝΑ@example.org",
            "ada@localhost",
        ] {
            assert!(text.parse::<Email>().is_ok(), "{text}");
        }
        let long = format!("{}@{}.org", "a".repeat(60), "b".repeat(250));
        for text in [
            "",
            "a",
            "a@",
            "@b.org",
            "a b@c.org",
            "a@b.org\0",
            "a\n@b.org",
            "Ada <a@b.org>",
            "a@[127.0.0.1]",
            "mi\u{212a}e@example.org",
            "mike@boo\u{212a}s.example",
            "\u{212b}sa@example.org",
            "\u{130}@example.org",
            long.as_str(),
        ] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }
}
