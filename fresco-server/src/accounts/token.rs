//! Secrets that somebody carries, and the keys under which they are stored.

use std::fmt::Write;

use fresco_core::{Error, ErrorKind, Result};
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Hexadecimal digits of a token: 256 bits.
const LENGTH: usize = 64;

/// A key for one purpose. What is stored under it tells nothing to whoever reads the database.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

/// The keys, each derived from the one secret of the platform.
pub(super) struct Keys {
    pub(super) sessions: Key,
    pub(super) api_keys: Key,
    pub(super) wizard: Key,
    pub(super) bodies: Key,
    pub(super) invites: Key,
    /// Tokens and codes in letters, and what they are bound to.
    pub(super) letters: Key,
    pub(super) claims: Key,
}

impl Keys {
    pub(super) fn derive(secret: &SecretString) -> Result<Self> {
        let key = |purpose: &str| Key::of(secret, purpose);
        Ok(Self {
            sessions: key("fresco-server sessions v1")?,
            api_keys: key("fresco-server api keys v1")?,
            wizard: key("fresco-server wizard v1")?,
            bodies: key("fresco-server request bodies v1")?,
            invites: key("fresco-server invites v1")?,
            letters: key("fresco-server letters v1")?,
            claims: key("fresco-server claims v1")?,
        })
    }
}

impl Key {
    /// The key that this secret has for this purpose.
    pub(super) fn of(secret: &SecretString, purpose: &str) -> Result<Self> {
        let root = Self::new(secret.expose_secret().as_bytes())?;
        Self::new(&root.mac(purpose.as_bytes()))
    }

    fn new(bytes: &[u8]) -> Result<Self> {
        Hmac::new_from_slice(bytes).map(Self).map_err(|error| {
            Error::new(ErrorKind::Internal, "a key can't be derived").with_source(error)
        })
    }

    fn mac(&self, data: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(data).finalize().into_bytes().into()
    }

    /// What stands in the database for this text.
    pub(super) fn hash(&self, data: &[u8]) -> Vec<u8> {
        self.mac(data).to_vec()
    }

    /// What stands in the database for this token; `None` for a text that is none.
    pub(super) fn hash_token(&self, token: &SecretString) -> Option<Vec<u8>> {
        let text = token.expose_secret();
        is_token(text).then(|| self.hash(text.as_bytes()))
    }

    /// A new token, and what stands in the database for it.
    pub(super) fn issue(&self) -> Result<(SecretString, Vec<u8>)> {
        let bytes: [u8; LENGTH / 2] = random()?;
        let text = bytes.iter().fold(String::with_capacity(LENGTH), |mut text, byte| {
            // Writing to a string can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let hash = self.hash(text.as_bytes());
        Ok((text.into(), hash))
    }
}

/// Whether this text has the form of a token.
pub(super) fn is_token(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == LENGTH && text.bytes().all(digit)
}

/// A code that a person types, of eight digits.
pub(super) fn code() -> Result<SecretString> {
    // The remainder favours low numbers by less than one in 10¹⁰.
    let number = u64::from_le_bytes(random()?) % 100_000_000;
    Ok(format!("{number:08}").into())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| {
        let words = "the operating system gives no random numbers";
        Error::new(ErrorKind::Internal, words).with_source(error)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> Keys {
        Keys::derive(&secret.into()).unwrap()
    }

    #[test]
    fn a_token_is_long_and_new_each_time() {
        let key = keys("secret").sessions;
        let ((first, hash), (second, _)) = (key.issue().unwrap(), key.issue().unwrap());
        assert_eq!(first.expose_secret().len(), 64);
        assert_ne!(first.expose_secret(), second.expose_secret());
        assert_eq!(key.hash_token(&first), Some(hash));
    }

    #[test]
    fn each_purpose_and_each_secret_has_a_key_of_its_own() {
        let (token, hash) = keys("secret").sessions.issue().unwrap();
        assert_ne!(keys("secret").wizard.hash_token(&token), Some(hash.clone()));
        assert_ne!(keys("another").sessions.hash_token(&token), Some(hash.clone()));
        assert_eq!(keys("secret").sessions.hash_token(&token), Some(hash));
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        let key = keys("secret").sessions;
        for text in ["", "abc", &"A".repeat(64), &"a".repeat(65), &"g".repeat(64)] {
            assert_eq!(key.hash_token(&text.into()), None, "{text}");
        }
    }
}
