//! From Docker's answers to the core's errors: one sentence for each call, a kind to act on.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bollard::errors::Error as Vendor;
use fresco_core::{Error, ErrorKind};

/// A call that failed, before anybody has judged what that means.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What was attempted, to stand after "could not".
    pub(crate) what: &'static str,
    /// Where Docker should be.
    pub(crate) host: String,
    pub(crate) cause: Cause,
}

#[derive(Debug)]
pub(crate) enum Cause {
    Vendor(Box<Vendor>),
    TimedOut(Duration),
}

impl Failed {
    /// The status of Docker's answer, if it answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match &self.cause {
            Cause::Vendor(error) => match **error {
                Vendor::DockerResponseServerError { status_code, .. } => Some(status_code),
                _ => None,
            },
            Cause::TimedOut(_) => None,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.status() == Some(404)
    }

    /// The network that the container should be on is not there.
    pub(crate) fn lacks_network(&self) -> bool {
        self.is_absent() && self.words().contains("network")
    }

    /// Docker's own words, in small letters.
    pub(crate) fn words(&self) -> String {
        match &self.cause {
            Cause::Vendor(error) => match &**error {
                Vendor::DockerResponseServerError { message, .. } => message.to_lowercase(),
                Vendor::DockerStreamError { error } => error.to_lowercase(),
                _ => String::new(),
            },
            Cause::TimedOut(_) => String::new(),
        }
    }

    fn kind(&self) -> ErrorKind {
        let Cause::Vendor(error) = &self.cause else { return ErrorKind::TimedOut };
        if is_full(&self.words()) {
            return ErrorKind::Exhausted;
        }
        match &**error {
            Vendor::DockerResponseServerError { status_code, .. } => match status_code {
                400 => ErrorKind::Invalid,
                401 | 403 => ErrorKind::Denied,
                404 => ErrorKind::NotFound,
                409 => ErrorKind::Conflict,
                502..=504 => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
            Vendor::RequestTimeoutError => ErrorKind::TimedOut,
            Vendor::JsonDataError { .. } | Vendor::JsonSerdeError { .. } => ErrorKind::Internal,
            Vendor::SocketNotFoundError(_) | Vendor::HyperResponseError { .. } => {
                ErrorKind::Unavailable
            }
            Vendor::HyperLegacyError { .. } | Vendor::IOError { .. } => {
                match io_kind(error.as_ref()) {
                    Some(io::ErrorKind::PermissionDenied) => ErrorKind::Denied,
                    _ => ErrorKind::Unavailable,
                }
            }
            _ => ErrorKind::Internal,
        }
    }
}

/// What Docker says when the machine, and not the call, is the problem.
fn is_full(words: &str) -> bool {
    [
        "no space left on device",
        "cannot allocate memory",
        "no available ipv4 addresses",
        "non-overlapping ipv4 address pool",
        "exchange full", // a bridge takes about 1,000 ports
        "too many open files",
        "device or resource busy",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

/// The kind of the deepest input-output error.
fn io_kind(error: &Vendor) -> Option<io::ErrorKind> {
    let mut next = error.source();
    let mut found = match error {
        Vendor::IOError { err } => Some(err.kind()),
        _ => None,
    };
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            found = Some(error.kind());
        }
        next = cause.source();
    }
    found
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        let kind = failed.kind();
        let Failed { what, host, cause } = failed;
        match cause {
            Cause::TimedOut(time) => Error::new(
                kind,
                format!("could not {what}: Docker gave no answer within {} s", time.as_secs()),
            ),
            Cause::Vendor(error) => {
                let answered = matches!(
                    *error,
                    Vendor::DockerResponseServerError { .. } | Vendor::DockerStreamError { .. }
                );
                let message = match kind {
                    ErrorKind::Unavailable if !answered => {
                        format!(
                            "could not {what}: Docker does not answer at {host}: is it running?"
                        )
                    }
                    ErrorKind::Denied if !answered => format!(
                        "could not {what}: no right to use Docker at {host}: add this user to the group docker"
                    ),
                    ErrorKind::Exhausted => {
                        format!("could not {what}: a limit of Docker's machine is reached")
                    }
                    _ => format!("could not {what}"),
                };
                Error::new(kind, message).with_source(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: Vendor) -> Error {
        Failed {
            what: "start the container",
            host: "/x.sock".into(),
            cause: Cause::Vendor(Box::new(error)),
        }
        .into()
    }

    fn answer(status_code: u16, message: &str) -> Error {
        failed(Vendor::DockerResponseServerError { status_code, message: message.into() })
    }

    #[test]
    fn kinds_follow_the_status() {
        for (status, kind) in [
            (400, ErrorKind::Invalid),
            (403, ErrorKind::Denied),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (500, ErrorKind::Internal),
            (503, ErrorKind::Unavailable),
        ] {
            assert_eq!(answer(status, "words").kind(), kind, "{status}");
        }
        let full = answer(500, "write /x: No space left on device");
        assert_eq!(full.kind(), ErrorKind::Exhausted);
        assert!(!full.is_retryable());
    }

    #[test]
    fn the_message_says_what_was_attempted_and_the_chain_holds_dockers_words_once() {
        let error = answer(500, "OCI runtime create failed");
        assert_eq!(error.message(), "could not start the container");
        assert_eq!(error.chain().matches("OCI runtime create failed").count(), 1);
    }

    #[test]
    fn no_docker_and_no_right_to_it_say_what_to_do() {
        let gone = failed(Vendor::IOError { err: io::ErrorKind::ConnectionRefused.into() });
        assert_eq!(gone.kind(), ErrorKind::Unavailable);
        assert!(gone.message().contains("is it running?") && gone.message().contains("/x.sock"));
        let denied = failed(Vendor::IOError { err: io::ErrorKind::PermissionDenied.into() });
        assert_eq!(denied.kind(), ErrorKind::Denied);
        assert!(denied.message().contains("group docker"));
    }

    #[test]
    fn no_answer_in_time_is_timed_out() {
        let error: Error = Failed {
            what: "list containers",
            host: String::new(),
            cause: Cause::TimedOut(Duration::from_secs(7)),
        }
        .into();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.message().contains("within 7 s"));
    }
}
