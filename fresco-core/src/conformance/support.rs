//! What the cases have in common: deadlines, and words for what went wrong.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt;

use super::Fixture;
use crate::{ErrorKind, Result};

/// The most that one case may take; a backend that hangs fails instead of hanging the suite.
const CASE: Duration = Duration::from_secs(180);
/// The most that something may take to come true.
const SOON: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Runs one case on a fixture and cleans up, whatever came of it.
pub async fn run<F: Fixture>(fixture: F, case: impl AsyncFnOnce(&F)) {
    let outcome = AssertUnwindSafe(tokio::time::timeout(CASE, case(&fixture))).catch_unwind().await;
    fixture.clean_up().await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(_)) => panic!("the case did not end within {CASE:?}"),
        Err(panic) => resume_unwind(panic),
    }
}

/// Waits until the condition holds; `why` says what was hoped for.
pub(super) async fn eventually<T, E: Debug>(
    why: &str,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(state) if begun.elapsed() > SOON => {
                panic!("{why}: not within {SOON:?}; last seen: {state:?}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The value of something that must come within a short time.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

/// Asserts that a call fails in this way.
#[track_caller]
pub(super) fn refused<T: Debug>(what: &str, result: Result<T>, kind: ErrorKind) -> crate::Error {
    match result {
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("{what}: expected an error of kind {kind}, got {error:?}"),
        Ok(value) => panic!("{what}: expected an error of kind {kind}, got success: {value:?}"),
    }
}

/// Asserts that a call succeeds.
#[track_caller]
pub(super) fn done<T>(what: &str, result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// A subdomain that no other case uses.
pub(super) fn subdomain() -> crate::Subdomain {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("case-{}", &random[..12]).parse().expect("a valid subdomain")
}

/// Asserts that a health tells what it is of, with a version.
pub(super) fn names_a_version(health: &crate::Health) {
    let detail = &health.detail;
    let named = detail.chars().any(char::is_alphabetic) && detail.chars().any(char::is_numeric);
    assert!(named, "health should name the part and its version, but says {detail:?}");
}
