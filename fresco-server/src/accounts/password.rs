//! Passwords: what one must be, and the slow hash that is all that is kept of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use fresco_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::Email;

/// Characters of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 10..=128;
/// Hashes at the same time: each takes 19 MB and a core.
const AT_ONCE: usize = 4;
/// How long one waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// The most used passwords that are long enough, one a line, in small letters; their licence lies
/// beside them.
const COMMON: &str = include_str!("password/common.txt");

/// A new password: 10 to 128 characters without a NUL, and none of the most used ones.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// Checks a password that somebody chose, as far as it can be judged alone.
    ///
    /// # Errors
    /// `Invalid`, without quoting it.
    pub fn new(text: SecretString) -> Result<Self> {
        if !LENGTH.contains(&text.expose_secret().chars().count()) {
            let (least, most) = (LENGTH.start(), LENGTH.end());
            return Err(invalid(format!("a password has {least} to {most} characters")));
        }
        if text.expose_secret().contains('\0') {
            return Err(invalid("a password has no NUL in it".into()));
        }
        let small = text.expose_secret().to_lowercase();
        if COMMON.lines().any(|common| common == small) {
            let words = "this is one of the passwords that are used most, and tried first; choose another, such as a few words that don't belong together";
            return Err(invalid(words.into()));
        }
        Ok(Self(text))
    }

    /// Refuses what everybody knows who knows the person: the address, and what stands before its @.
    ///
    /// # Errors
    /// `Invalid`.
    pub(super) fn check_for(&self, email: &Email) -> Result<()> {
        let small = self.0.expose_secret().trim().to_lowercase();
        let name = email.key().rsplit_once('@').map_or("", |(name, _)| name);
        if small == email.key() || small == name {
            let words = "this password is the e-mail address or a part of it; choose another";
            return Err(invalid(words.into()));
        }
        Ok(())
    }

    pub(super) fn text(&self) -> &SecretString {
        &self.0
    }
}

fn invalid(words: String) -> Error {
    Error::new(ErrorKind::Invalid, words).with("field", "password")
}

/// Hashes and verifies, a few at a time.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    /// The memory of a hash, for the next one: given back each time, it would be kept by the system's
    /// allocator, once for every thread that ever hashed.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    /// Verified against when there is no account, so that the time taken does not tell.
    nobody: String,
}

impl Passwords {
    pub(super) async fn new() -> Result<Self> {
        let (turns, memory) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::default());
        let mut new = Self { turns, memory, nobody: String::new() };
        new.nobody = new.hash(&Password("nobody's password".into())).await?;
        Ok(new)
    }

    pub(super) async fn hash(&self, password: &Password) -> Result<String> {
        let password = password.0.clone();
        self.slowly(move |memory| {
            // OWASP's parameters for argon2id.
            let params = Params::new(19 * 1024, 2, 1, Some(Params::DEFAULT_OUTPUT_LEN))?;
            let mut hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: (&params).try_into()?,
                salt: Some(Salt::generate()),
                hash: None,
            };
            hash.hash = Some(output(&hash, params, &password, memory)?);
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether this is the password of this hash. Without a hash it is not, after the same time.
    pub(super) async fn verify(&self, password: &SecretString, hash: Option<&str>) -> Result<bool> {
        let (password, known) = (password.clone(), hash.is_some());
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let same = self
            .slowly(move |memory| {
                let hash: PasswordHash = hash.parse()?;
                let params = Params::try_from(&hash)?;
                let found = output(&hash, params, &password, memory)?;
                // In constant time.
                Ok(hash.hash == Some(found))
            })
            .await?;
        Ok(same && known)
    }

    async fn slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T> {
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let words = "too many people sign in at this moment; try again";
            return Err(Error::new(ErrorKind::Unavailable, words).with("crowd", "sign-in"));
        };
        let store = Arc::clone(&self.memory);
        let task = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, even if nobody waits for its result any more.
            let _turn = turn;
            let kept = store.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = kept.unwrap_or_default();
            let done = work(&mut memory);
            store.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            done.map_err(broken)
        });
        task.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "hashing a password did not end").with_source(error)
        })?
    }
}

/// What this password gives with this hash's salt.
fn output(
    hash: &PasswordHash,
    params: Params,
    password: &SecretString,
    memory: &mut Vec<Block>,
) -> Result<Output, HashError> {
    let salt = hash.salt.as_ref().ok_or(HashError::SaltInvalid)?;
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    memory.resize(params.block_count(), Block::default());
    let mut out = [0; Output::MAX_LENGTH];
    let out = out.get_mut(..length).ok_or(HashError::OutputSize)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let password = password.expose_secret().as_bytes();
    argon.hash_password_into_with_memory(password, salt, out, memory)?;
    Ok(Output::new(out)?)
}

fn broken(error: HashError) -> Error {
    Error::new(ErrorKind::Internal, "a password can't be hashed or its hash can't be read")
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password> {
        Password::new(text.into())
    }

    #[test]
    fn length_counts_characters() {
        assert!(password("ninechars").is_err());
        assert!(password("tenletters").is_ok());
        assert!(password(&"ü".repeat(10)).is_ok());
        assert!(password(&"ü".repeat(128)).is_ok());
        assert!(password(&"x".repeat(129)).is_err());
        let error = password("hunter2hunter2\0").unwrap_err();
        assert!(!error.chain().contains("hunter2"));
        assert!(!format!("{:?}", password("hunter2hunter2")).contains("hunter2"));
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        assert!(COMMON.lines().count() > 1000 && COMMON.lines().all(|line| line.len() >= 10));
        for common in ["password123", "PassWord123", "1234567890", "QwertyUIOP"] {
            let error = password(common).unwrap_err();
            assert_eq!(error.context("field"), Some("password"), "{common}");
            assert!(!error.chain().contains(common));
        }
        let email: Email = "Ada.Lovelace@Example.org".parse().unwrap();
        for own in ["ada.lovelace", "ADA.Lovelace@example.org", " ada.lovelace "] {
            assert!(password(own).unwrap().check_for(&email).is_err(), "{own}");
        }
        password("ada.lovelace and more").unwrap().check_for(&email).unwrap();
    }

    #[tokio::test]
    async fn a_hash_is_of_its_password_alone() {
        let passwords = Passwords::new().await.unwrap();
        let hash = passwords.hash(&password("correct horse").unwrap()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let (right, wrong) = ("correct horse".into(), "correct house".into());
        assert!(passwords.verify(&right, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&wrong, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&"nobody's password".into(), None).await.unwrap());
    }

    /// One that an earlier version made, or another program.
    #[tokio::test]
    async fn a_hash_of_old_is_still_known() {
        use argon2::password_hash::PasswordHasher;
        let passwords = Passwords::new().await.unwrap();
        let old = Argon2::default().hash_password(b"correct horse").unwrap().to_string();
        assert!(passwords.verify(&"correct horse".into(), Some(&old)).await.unwrap());
        assert!(!passwords.verify(&"correct house".into(), Some(&old)).await.unwrap());
        assert!(passwords.verify(&"x".into(), Some("nothing")).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_is_used_again() {
        let passwords = Arc::new(Passwords::new().await.unwrap());
        let tries = (0..12).map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify(&"x".into(), None).await })
        });
        for done in futures_util::future::join_all(tries.collect::<Vec<_>>()).await {
            assert!(!done.unwrap().unwrap());
        }
        let kept = passwords.memory.lock().unwrap();
        assert!((1..=AT_ONCE).contains(&kept.len()));
        assert!(kept.iter().all(|blocks| blocks.len() == 19 * 1024));
    }

    #[tokio::test]
    async fn a_crowd_is_told_to_come_back() {
        let passwords = Passwords::new().await.unwrap();
        let _all = passwords.turns.acquire_many(4).await.unwrap();
        tokio::time::pause();
        let error = passwords.verify(&"x".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.context("crowd"), Some("sign-in"));
    }
}
