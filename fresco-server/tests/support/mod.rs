//! What tests of the service share.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part of it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

pub mod postgres;
pub mod site;
pub mod smtp;

use std::time::Duration;

use secrecy::SecretString;

/// A secret as production needs it.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A password as people choose it.
pub const PASSWORD: &str = "correct horse battery";

pub fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

/// What ends in a minute, or fails the test.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let limit = tokio::time::timeout(Duration::from_secs(60), work);
    limit.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
