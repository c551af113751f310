//! What a check says.

use std::error::Error as _;

use fresco_core::Error;

use super::mend::Mend;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    /// The platform works; somebody should know.
    Warning,
    /// Something does not work, or is not safe.
    Wrong,
}

/// What one check saw, and what mends it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at, in a word or two.
    pub(super) what: &'static str,
    pub(super) seen: String,
    pub(super) mends: Vec<Mend>,
}

impl Finding {
    pub(super) fn new(level: Level, what: &'static str, seen: impl Into<String>) -> Self {
        Self { level, what, seen: seen.into(), mends: Vec::new() }
    }

    pub(super) fn ok(what: &'static str, seen: impl Into<String>) -> Self {
        Self::new(Level::Ok, what, seen)
    }

    pub(super) fn warning(what: &'static str, seen: impl Into<String>) -> Self {
        Self::new(Level::Warning, what, seen)
    }

    pub(super) fn wrong(what: &'static str, seen: impl Into<String>) -> Self {
        Self::new(Level::Wrong, what, seen)
    }

    /// A command, or a setting, that mends it.
    pub(super) fn mend(mut self, mend: impl Into<Mend>) -> Self {
        self.mends.push(mend.into());
        self
    }
}

/// The findings of one area.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) findings: Vec<Finding>,
}

/// The innermost words of an error, for where a finding already says what was attempted.
pub(super) fn cause(error: &Error) -> String {
    let Some(mut deepest) = error.source() else { return error.message().to_owned() };
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}
