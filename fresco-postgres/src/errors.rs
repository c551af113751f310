//! What an error of PostgreSQL means to a caller.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use fresco_core::{Error, ErrorKind, Result};
use tokio_postgres::error::SqlState;

/// What the server said, without the parts that may hold data: its details quote values of rows.
#[derive(Debug)]
struct ServerError {
    code: String,
    message: String,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)
    }
}

impl std::error::Error for ServerError {}

/// The error of a port for one of the driver.
pub(crate) fn from_driver(error: tokio_postgres::Error) -> Error {
    let (kind, message) = classify(&error);
    let mapped = Error::new(kind, message);
    let Some(db) = error.as_db_error() else { return mapped.with_source(error) };
    let source = ServerError { code: db.code().code().into(), message: db.message().into() };
    // Mostly the table of locks: whoever filled it is found and ended within seconds.
    let mapped = match *db.code() == SqlState::OUT_OF_MEMORY {
        true => mapped.retryable(),
        false => mapped,
    };
    let mapped = match (db.code(), db.detail()) {
        // It names objects of the catalog, which whoever has to clear them away must know.
        (&SqlState::DEPENDENT_OBJECTS_STILL_EXIST, Some(detail)) => mapped.with("in use", detail),
        _ => mapped,
    };
    mapped.with_source(source)
}

/// What an error of the driver means, in a kind and in words.
pub(crate) fn classify(error: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
    if let Some(db) = error.as_db_error() {
        return meaning(db.code(), db.message());
    }
    let text = error.to_string();
    // The driver keeps its kinds to itself; these are its words for a login that failed, and for a
    // request that it could not make or an answer that it could not read.
    let ours = ["serializing", "deserializing", "invalid", "expected", "unexpected number"];
    if text.starts_with("authentication error") {
        let message = "PostgreSQL and this program can't agree on how to log in; check the password in the URL";
        return (ErrorKind::Denied, message);
    }
    if ours.iter().any(|word| text.contains(word)) {
        return (ErrorKind::Internal, "a request to PostgreSQL or its answer is malformed");
    }
    let message = "the connection to PostgreSQL failed; is it running, and is its address right?";
    (ErrorKind::Unavailable, message)
}

/// The error of a port for one of the pool.
pub(crate) fn from_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => from_driver(error),
        PoolError::Timeout(TimeoutType::Wait) => Error::new(
            ErrorKind::Unavailable,
            "all connections to PostgreSQL are in use; allow more of them, or try again",
        ),
        other => Error::new(
            ErrorKind::Unavailable,
            "PostgreSQL does not answer; is it running, and is its address right?",
        )
        .with_source(other),
    }
}

/// Whether two sessions changed the rights on one object at the same time, and this one is the later.
fn met(code: &SqlState, message: &str) -> bool {
    code.code() == "XX000" && message.contains("concurrently")
}

fn meaning(code: &SqlState, message: &str) -> (ErrorKind, &'static str) {
    use ErrorKind as Kind;
    match code.code() {
        "57014" => (Kind::TimedOut, "PostgreSQL did not finish in time"),
        "55P03" => (Kind::TimedOut, "somebody else held a lock for too long"),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => {
            (Kind::Unavailable, "PostgreSQL ended the session or is starting; try again")
        }
        "25006" => (Kind::Unavailable, "this PostgreSQL is a read-only copy or in recovery"),
        "53300" => (Kind::Unavailable, "PostgreSQL takes no more connections now"),
        "40001" | "40P01" => (Kind::Unavailable, "two writes met; try again"),
        _ if met(code, message) => (Kind::Unavailable, "two changes of one object met; try again"),
        // On the way into a database that is a template, or about to be dropped.
        "55000" if message.contains("not currently accepting connections") => {
            (Kind::Unavailable, "the database takes no connections now; try again")
        }
        "55006" => (Kind::Unavailable, "the database is in use by a session that can't be ended"),
        "23505" | "42P04" | "42P06" | "42710" => (Kind::Conflict, "it is there already"),
        "2BP01" => (Kind::Conflict, "other objects depend on it"),
        "42501" => (Kind::Denied, "the platform's role lacks a right in PostgreSQL"),
        "28000" | "28P01" => {
            (Kind::Denied, "PostgreSQL refuses the login; check role and password in the URL")
        }
        "3D000" => (Kind::NotFound, "PostgreSQL has no database of this name"),
        "42704" => (Kind::NotFound, "PostgreSQL has no such object"),
        "0A000" => (Kind::Unsupported, "this PostgreSQL can't do that"),
        other if other.starts_with("08") => {
            (Kind::Unavailable, "the connection to PostgreSQL failed")
        }
        other if other.starts_with("53") => {
            (Kind::Exhausted, "PostgreSQL has no more memory, disk or locks")
        }
        _ => (Kind::Internal, "PostgreSQL refuses a statement of this program"),
    }
}

/// Whether this is the driver's error for a violated unique constraint or index of this name.
pub(crate) fn violates(error: &tokio_postgres::Error, constraint: &str) -> bool {
    error.as_db_error().is_some_and(|db| {
        *db.code() == SqlState::UNIQUE_VIOLATION && db.constraint() == Some(constraint)
    })
}

/// Whether what a statement would change was changed by another session in the same moment. It can
/// be looked at anew.
pub(crate) fn was_overtaken(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| met(db.code(), db.message()))
}

/// Names the call in an error, and ends the call after this time.
pub(crate) async fn within<T>(
    time: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    match tokio::time::timeout(time, work).await {
        Ok(result) => result.map_err(|error| error.during(operation)),
        Err(_) => Err(Error::new(
            ErrorKind::TimedOut,
            "PostgreSQL did not answer in time; whether it did what it was asked for is unknown",
        )
        .during(operation)
        .with("seconds", time.as_secs())),
    }
}

/// `?` for the driver's errors.
pub(crate) trait Mapped<T> {
    fn mapped(self) -> Result<T>;
}

impl<T> Mapped<T> for Result<T, tokio_postgres::Error> {
    fn mapped(self) -> Result<T> {
        self.map_err(from_driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_tried_again_is_retryable() {
        for (code, message) in [
            ("57P01", ""),
            ("57P03", ""),
            ("08006", ""),
            ("40P01", ""),
            ("XX000", "tuple concurrently updated"),
            ("55000", "database \"x\" is not currently accepting connections"),
        ] {
            let (kind, _) = meaning(&SqlState::from_code(code), message);
            assert_eq!(kind, ErrorKind::Unavailable, "{code}");
        }
        assert_eq!(meaning(&SqlState::from_code("XX000"), "broken").0, ErrorKind::Internal);
        assert_eq!(meaning(&SqlState::from_code("55000"), "lastval").0, ErrorKind::Internal);
        assert_eq!(meaning(&SqlState::from_code("53200"), "").0, ErrorKind::Exhausted);
        assert_eq!(meaning(&SqlState::from_code("23505"), "").0, ErrorKind::Conflict);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends_as_unknown() {
        let never = std::future::pending::<Result<()>>();
        let error = within(Duration::from_secs(3), "store.renew", never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.operation(), Some("store.renew"));
    }
}
