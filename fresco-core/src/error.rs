//! One error for all ports.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The thing does not exist.
    NotFound,
    /// The thing is there but in the way: a name is taken, an operation is under way, or it
    /// belongs to somebody else.
    Conflict,
    /// The request itself is wrong; repeating it can't help.
    Invalid,
    /// The backend refuses: a right is missing.
    Denied,
    /// The backend can't do this at all.
    Unsupported,
    /// A limit is reached: memory, connections, disk, quota.
    Exhausted,
    /// The backend can't be reached or is not ready. Trying again can help.
    Unavailable,
    /// No answer in time. Whether the effect took place is *unknown*.
    TimedOut,
    /// Somebody else works on this tenant now. Stop at once, and write nothing.
    LeaseLost,
    /// A fault of this program or of a backend.
    Internal,
}

impl ErrorKind {
    /// The kind's stable name, as in logs and stored operations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::LeaseLost => "lease_lost",
            Self::Internal => "internal",
        }
    }

    const fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::TimedOut)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of a port: a kind to match on, a sentence for people, where it happened, and the cause.
///
/// [`Display`](fmt::Display) speaks for this layer alone; whoever ends the journey of an error
/// prints the whole chain once, with [`Error::chain`]. No part of it may hold a secret.
///
/// ```
/// use fresco_core::{Error, ErrorKind};
///
/// let cause = std::io::Error::other("connection refused");
/// let error = Error::new(ErrorKind::Unavailable, "Docker does not answer; is it running?")
///     .during("runtime.ensure")
///     .with("container", "fresco_tenant_42")
///     .with_source(cause);
/// assert!(error.is_retryable());
/// assert_eq!(
///     error.chain(),
///     "Docker does not answer; is it running? (runtime.ensure, container: fresco_tenant_42): connection refused"
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    retry: Option<bool>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message tells a person what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            operation: None,
            context: Vec::new(),
            retry: None,
            source: None,
        }))
    }

    /// Names the call that failed, unless a deeper layer has named it already.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Adds one fact about where it happened.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says that trying again can't help, whatever the kind.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.retry = Some(false);
        self
    }

    /// Says that trying again can help, whatever the kind.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retry = Some(true);
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for people, without context and cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The call that failed, if it was named.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// What is known of this key: the value that [`Error::with`] was given first.
    #[must_use]
    pub fn context(&self, key: &str) -> Option<&str> {
        self.0.context.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }

    /// Whether trying again can help. It follows from the kind unless it was set.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retry.unwrap_or(self.0.kind.is_transient())
    }

    /// This error and all its causes in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            // Some libraries repeat their cause in their own words; say it once.
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.operation.is_none() && self.0.context.is_empty() {
            return Ok(());
        }
        f.write_str(" (")?;
        let mut separator = "";
        if let Some(operation) = self.0.operation {
            f.write_str(operation)?;
            separator = ", ";
        }
        for (key, value) in &self.0.context {
            write!(f, "{separator}{key}: {value}")?;
            separator = ", ";
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.0.kind, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_follows_the_kind_unless_set() {
        assert!(Error::new(ErrorKind::TimedOut, "x").is_retryable());
        assert!(!Error::new(ErrorKind::TimedOut, "x").permanent().is_retryable());
        assert!(!Error::new(ErrorKind::Denied, "x").is_retryable());
        assert!(Error::new(ErrorKind::Conflict, "x").retryable().is_retryable());
    }

    #[test]
    fn the_deepest_layer_names_the_operation() {
        let error = Error::new(ErrorKind::Internal, "x").during("inner").during("outer");
        assert_eq!(error.operation(), Some("inner"));
    }
}
