//! How an app behaves.

use std::time::Duration;

use crate::runtime::LogStream;

/// How an app behaves in a container.
///
/// Unless said otherwise it listens on its profile's port at once, answers the health path with the
/// health status, logs in to the database with each URL of a [`MemoryDatabase`](super::MemoryDatabase)
/// in its environment, and ends when it is asked to. As with many real apps, its pages stay green
/// when the database refuses it.
#[derive(Clone, Debug)]
pub struct MemoryApp {
    pub(super) end: Option<End>,
    pub(super) listens: bool,
    pub(super) hangs: bool,
    pub(super) boot_time: Duration,
    pub(super) needs_public: bool,
    pub(super) ignores_stop: bool,
    pub(super) lines: Vec<(LogStream, String)>,
}

/// How an app ends by itself, at its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) code: i64,
    pub(super) out_of_memory: bool,
}

impl MemoryApp {
    /// An app without faults.
    #[must_use]
    pub const fn healthy() -> Self {
        Self {
            end: None,
            listens: true,
            hangs: false,
            boot_time: Duration::ZERO,
            needs_public: false,
            ignores_stop: false,
            lines: Vec::new(),
        }
    }

    /// An app that writes these lines to its standard error and ends with this code.
    #[must_use]
    pub fn exits<T: Into<String>>(code: i64, lines: impl IntoIterator<Item = T>) -> Self {
        let lines = lines.into_iter().map(|line| (LogStream::Stderr, line.into())).collect();
        Self { end: Some(End { code, out_of_memory: false }), lines, ..Self::healthy() }
    }

    /// An app that runs and never listens.
    #[must_use]
    pub fn never_ready() -> Self {
        Self { listens: false, ..Self::healthy() }
    }

    /// An app that takes connections and never answers.
    #[must_use]
    pub fn hangs() -> Self {
        Self { hangs: true, ..Self::healthy() }
    }

    /// An app that listens, and logs in to its database, this long after its start.
    #[must_use]
    pub fn slow(boot_time: Duration) -> Self {
        Self { boot_time, ..Self::healthy() }
    }

    /// An app that names `public` in its SQL: it fails at its first query, and ends, in a schema of
    /// its own, and works in a database of its own.
    #[must_use]
    pub fn needs_public() -> Self {
        Self { needs_public: true, ..Self::healthy() }
    }

    /// An app that is ended at its start for using more memory than its limit.
    #[must_use]
    pub fn out_of_memory() -> Self {
        Self { end: Some(End { code: 137, out_of_memory: true }), ..Self::healthy() }
    }

    /// The same app, but it does not end when it is asked to.
    #[must_use]
    pub const fn ignoring_stop(mut self) -> Self {
        self.ignores_stop = true;
        self
    }

    /// The same app, writing one more line at its start.
    #[must_use]
    pub fn printing(mut self, stream: LogStream, line: impl Into<String>) -> Self {
        self.lines.push((stream, line.into()));
        self
    }
}
