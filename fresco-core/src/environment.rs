//! Environment variables of a tenant's app, as an owner may choose them.

use std::fmt;
use std::str::FromStr;

use secrecy::zeroize::Zeroize;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The name of an environment variable: `A–Z`, `a–z`, `0–9` and `_`, not starting with a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

impl EnvName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that is known to be valid.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

impl FromStr for EnvName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let valid = (1..=128).contains(&text.len())
            && !text.as_bytes()[0].is_ascii_digit()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the name of a variable has 1 to 128 of A-Z, a-z, 0-9 and _, and starts with no digit",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EnvName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<EnvName> for String {
    fn from(name: EnvName) -> Self {
        name.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of an owner's variable. It may be a secret: it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvValue(String);

impl EnvValue {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvValue {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for EnvValue {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        if text.len() > 32 * 1024 || text.contains('\0') {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the value of a variable has at most 32 KiB and no NUL",
            ));
        }
        Ok(Self(text))
    }
}

impl From<EnvValue> for String {
    fn from(value: EnvValue) -> Self {
        value.0.clone()
    }
}

impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvValue([hidden])")
    }
}

impl Drop for EnvValue {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables() {
        for name in ["", "1A", "A-B", "A=B", "Ä"] {
            assert!(name.parse::<EnvName>().is_err(), "{name}");
        }
        assert!("_a1".parse::<EnvName>().is_ok());
        assert!("a\0b".parse::<EnvValue>().is_err());
    }
}
