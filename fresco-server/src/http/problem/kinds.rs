//! Errors of the library, as HTTP.

use fresco_core::{Error, ErrorKind};
use poem::http::StatusCode;

use crate::http::problem::{FULL_RETRY, Problem};

/// The one place where errors of the library become HTTP.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let words = sentence(error.message());
        match error.kind() {
            ErrorKind::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", words),
            ErrorKind::Conflict if error.context("kept_until").is_some() => Self::subdomain_kept(),
            ErrorKind::Conflict if error.context("subdomain").is_some() => Self::subdomain_taken(),
            ErrorKind::Conflict => {
                let operation = error.context("operation").map(str::to_owned);
                let code = if operation.is_some() { "operation_in_progress" } else { "conflict" };
                let mut problem = Self::new(StatusCode::CONFLICT, code, words);
                problem.body.operation_id = operation;
                problem
            }
            ErrorKind::Invalid | ErrorKind::Unsupported => {
                let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", words);
                problem.body.field = error.context("field").map(str::to_owned);
                problem
            }
            ErrorKind::Exhausted if error.context("quota").is_some() => Self::quota(&error),
            ErrorKind::Denied if error.context("signup").is_some() => Self::signup(&error, words),
            ErrorKind::Exhausted if error.context("capacity").is_some() => {
                tracing::warn!(error = %error.chain(), "a tenant was refused: the platform is full");
                let words = "The platform has no room for one more running tenant at the moment. Nothing was changed; try again later, or stop a tenant that is not needed.";
                let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "at_capacity", words);
                problem.retry_after = Some(FULL_RETRY);
                problem
            }
            // Nothing is broken, and the words are meant for whoever calls.
            ErrorKind::Unavailable if error.context("crowd").is_some() => Self::unavailable(words),
            ErrorKind::Unavailable if error.context("isolation").is_some() => {
                tracing::warn!(error = %error.chain(), "a tenant was refused: nothing proves that tenants are kept apart");
                Self::unproved()
            }
            ErrorKind::Exhausted | ErrorKind::Unavailable | ErrorKind::TimedOut => {
                tracing::warn!(error = %error.chain(), "a part that a request needs does not answer");
                Self::unavailable(
                    "A part of the platform does not answer at the moment. Nothing is lost; try again soon.",
                )
            }
            // Denied, LeaseLost, Internal and what may come: none of the caller's doing.
            _ => {
                tracing::error!(error = %error.chain(), "a request failed");
                Self::internal()
            }
        }
    }
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_no_failure_of_a_part() {
        let away = || Error::new(ErrorKind::Unavailable, "too many sign in; try again");
        let problem = Problem::from(away().with("crowd", "sign-in"));
        assert_eq!((problem.code(), problem.retry_after), ("unavailable", Some(5)));
        assert_eq!(problem.body.detail, "Too many sign in; try again.");
        // What a part says of itself is not for everybody.
        let problem = Problem::from(away());
        assert_eq!((problem.code(), problem.retry_after), ("unavailable", Some(5)));
        assert!(problem.body.detail.starts_with("A part of the platform"), "{problem:?}");
    }
}
