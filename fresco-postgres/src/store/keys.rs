//! The keys under which the values of owners' variables are kept.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fresco_core::{Error, ErrorKind, Result};
use hkdf::Hkdf;
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Bytes of a secret at least.
const SHORTEST: usize = 32;
/// Bytes of a nonce: so many that any number of random ones are all different.
const NONCE: usize = 24;

/// The keys under which the store keeps the values of owners' variables: one that everything is
/// written under, and older ones that may still be read.
///
/// Each is derived from a secret of at least 32 bytes (HKDF with SHA-256); the cipher is
/// XChaCha20-Poly1305. A value is bound to its tenant and its name: copied to another row, or under
/// another name, it can't be opened.
///
/// ```
/// use fresco_postgres::{EnvironmentKeys, PostgresStoreConfig};
///
/// let keys = EnvironmentKeys::new(&"the secret of today, 32 bytes long".into())?
///     .with_old(&"the secret of yesterday, 32 bytes long".into())?;
/// let config = PostgresStoreConfig::new("postgresql://…").keys(keys);
/// # Ok::<(), fresco_core::Error>(())
/// ```
#[derive(Clone)]
pub struct EnvironmentKeys {
    current: Key,
    old: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

impl EnvironmentKeys {
    /// Everything is written under the key of this secret.
    ///
    /// # Errors
    /// `Invalid` when it has fewer than 32 bytes.
    pub fn new(secret: &SecretString) -> Result<Self> {
        Ok(Self { current: Key::derive(secret)?, old: Vec::new() })
    }

    /// The same, and what was written under the key of this secret can be read.
    ///
    /// # Errors
    /// `Invalid` when it has fewer than 32 bytes.
    pub fn with_old(mut self, secret: &SecretString) -> Result<Self> {
        self.old.push(Key::derive(secret)?);
        Ok(self)
    }

    /// What the key that everything is written under is called. It tells nothing of the secret.
    pub(super) fn current(&self) -> &str {
        &self.current.id
    }

    /// What all keys are called.
    pub(super) fn ids(&self) -> Vec<&str> {
        self.all().map(|key| key.id.as_str()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.old)
    }

    /// Seals a text, bound to what is said beside it.
    pub(super) fn seal(&self, text: &str, beside: &[u8]) -> Result<String> {
        let mut nonce = [0; NONCE];
        SysRng.try_fill_bytes(&mut nonce).map_err(|error| {
            let words = "the operating system gives no random numbers";
            Error::new(ErrorKind::Internal, words).with_source(error)
        })?;
        let payload = Payload { msg: text.as_bytes(), aad: beside };
        let sealed = self.current.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| {
            Error::new(ErrorKind::Internal, "a value can't be sealed: it is too long")
        })?;
        Ok(BASE64.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed under the key of this name; `None` when that key is not here.
    ///
    /// # Errors
    /// `Internal` when it was changed, or sealed beside something else.
    pub(super) fn open(&self, key: &str, sealed: &str, beside: &[u8]) -> Result<Option<String>> {
        let Some(key) = self.all().find(|known| known.id == key) else { return Ok(None) };
        let changed = || {
            let words = "a value was changed since it was sealed, or is not of this place";
            Error::new(ErrorKind::Internal, words)
        };
        let bytes = BASE64.decode(sealed).map_err(|_| changed())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(changed)?;
        let payload = Payload { msg: sealed, aad: beside };
        let opened = key.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| changed())?;
        String::from_utf8(opened).map(Some).map_err(|_| changed())
    }
}

impl Key {
    fn derive(secret: &SecretString) -> Result<Self> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < SHORTEST {
            let words = "the secret of the store's keys needs at least 32 bytes; make one with: openssl rand -base64 32";
            return Err(Error::new(ErrorKind::Invalid, words));
        }
        let root = Hkdf::<Sha256>::new(Some(b"fresco-postgres"), secret);
        let failed = |_| Error::new(ErrorKind::Internal, "a key can't be derived");
        let (mut key, mut id) = (Zeroizing::new([0; 32]), [0; 6]);
        root.expand(b"environment v1 key", key.as_mut_slice()).map_err(failed)?;
        root.expand(b"environment v1 name", &mut id).map_err(failed)?;
        let cipher = XChaCha20Poly1305::new_from_slice(key.as_slice())
            .map_err(|_| Error::new(ErrorKind::Internal, "a key can't be derived"))?;
        Ok(Self { id: BASE64.encode(id), cipher })
    }
}

impl fmt::Debug for EnvironmentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EnvironmentKeys").field(&self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(letter: char) -> SecretString {
        letter.to_string().repeat(SHORTEST).into()
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_own_key_alone() {
        let (a, b) = (
            EnvironmentKeys::new(&secret('a')).unwrap(),
            EnvironmentKeys::new(&secret('b')).unwrap(),
        );
        let sealed = a.seal("hunter2", b"here").unwrap();
        assert!(!sealed.contains("hunter2"));
        assert_ne!(sealed, a.seal("hunter2", b"here").unwrap(), "sealed alike twice");
        assert_eq!(a.open(a.current(), &sealed, b"here").unwrap().as_deref(), Some("hunter2"));
        assert_eq!(b.open(a.current(), &sealed, b"here").unwrap(), None);
        assert!(b.open(b.current(), &sealed, b"here").is_err());
        let both = b.with_old(&secret('a')).unwrap();
        assert_eq!(both.open(a.current(), &sealed, b"here").unwrap().as_deref(), Some("hunter2"));
        assert_ne!(both.current(), a.current());
    }

    #[test]
    fn what_was_moved_or_changed_is_not_opened() {
        let keys = EnvironmentKeys::new(&secret('a')).unwrap();
        let sealed = keys.seal("hunter2", b"here").unwrap();
        let changed = format!("{}A", &sealed[..sealed.len() - 1]);
        let swapped =
            if changed == sealed { format!("{}B", &sealed[..sealed.len() - 1]) } else { changed };
        for (text, beside) in [(sealed.as_str(), b"else"), (&swapped, b"here"), ("", b"here")] {
            let error = keys.open(keys.current(), text, beside).unwrap_err();
            assert!(!error.chain().contains("hunter2"));
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_printed() {
        assert_eq!(EnvironmentKeys::new(&"short".into()).unwrap_err().kind(), ErrorKind::Invalid);
        let printed = format!("{:?}", EnvironmentKeys::new(&secret('s')).unwrap());
        assert!(!printed.contains("ssss"), "{printed}");
    }
}
