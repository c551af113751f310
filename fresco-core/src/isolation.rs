//! An ability of some runtimes: keeping tenants' containers away from all that is not theirs, and
//! proving it.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;

/// One attempt from a tenant's place to reach something, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsolationAttempt {
    /// What was tried, for people: `another tenant's port`.
    pub what: String,
    /// Where that is: an address and a port.
    pub target: String,
    /// Whether it must be reachable; otherwise it must not be.
    pub wanted: bool,
    /// Whether it was reached.
    pub reached: bool,
    /// What was seen, for people: `connected`, `no answer`.
    pub seen: String,
}

impl IsolationAttempt {
    /// An attempt at something that must, or must not, be reachable, and what came of it.
    pub fn new(
        what: impl Into<String>,
        target: impl Into<String>,
        wanted: bool,
        reached: bool,
        seen: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), target: target.into(), wanted, reached, seen: seen.into() }
    }

    /// Whether it ended as it must.
    #[must_use]
    pub const fn is_as_expected(&self) -> bool {
        self.wanted == self.reached
    }
}

/// What a [probe](RuntimeIsolation::probe_isolation) tried and saw. Its `Display` is a table for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsolationReport {
    /// All attempts, in the order in which they are told.
    pub attempts: Vec<IsolationAttempt>,
}

impl IsolationReport {
    /// A report of these attempts.
    #[must_use]
    pub const fn new(attempts: Vec<IsolationAttempt>) -> Self {
        Self { attempts }
    }

    /// Whether something was tried, and all ended as it must.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.attempts.is_empty() && self.attempts.iter().all(IsolationAttempt::is_as_expected)
    }

    /// What did not end as it must, in one line; empty when all did.
    #[must_use]
    pub fn faults(&self) -> String {
        let faults = self.attempts.iter().filter(|attempt| !attempt.is_as_expected());
        let words = faults.map(|attempt| {
            let IsolationAttempt { what, target, seen, .. } = attempt;
            let must = if attempt.wanted { "can't be reached" } else { "can be reached" };
            format!("{what} ({target}) {must}: {seen}")
        });
        words.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for IsolationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&IsolationAttempt) -> &str, least: usize| {
            let widths = self.attempts.iter().map(|attempt| of(attempt).chars().count());
            widths.max().unwrap_or_default().max(least)
        };
        let (what, target) = (width(|a| &a.what, 7), width(|a| &a.target, 6));
        writeln!(f, "{:what$}  {:target$}  {:8}  observed", "attempt", "target", "expected")?;
        for attempt in &self.attempts {
            let expected = if attempt.wanted { "reached" } else { "refused" };
            let word = if attempt.is_as_expected() { "" } else { "  << WRONG" };
            let (name, at, seen) = (&attempt.what, &attempt.target, &attempt.seen);
            writeln!(f, "{name:what$}  {at:target$}  {expected:8}  {seen}{word}")?;
        }
        Ok(())
    }
}

/// An ability of some runtimes: keeping tenants' containers away from each other, from the host and
/// from private networks, beyond what every runtime does; and proving it.
///
/// See [`Guarantee::Network`](crate::Guarantee::Network).
#[async_trait]
pub trait RuntimeIsolation: fmt::Debug + Send + Sync + 'static {
    /// Puts in place what keeps tenants apart. Says whether anything had to be changed.
    ///
    /// It is called again and again, so it also removes what proofs have left whose program died.
    ///
    /// # Behavior
    /// - What is in place is left as it is.
    /// - What somebody took away is put back.
    async fn ensure_isolation(&self) -> Result<bool>;

    /// Tries, from where a tenant's container is, what it may reach and what it may not. No attempt
    /// leaves the machine.
    ///
    /// # Behavior
    /// - While all is in place, every attempt ends as it must.
    /// - Without it, some attempt does not.
    async fn probe_isolation(&self) -> Result<IsolationReport>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_only_if_something_was_tried_and_all_is_as_it_must_be() {
        assert!(!IsolationReport::default().holds(), "nothing tried proves nothing");
        let open = IsolationAttempt::new("database", "10.0.0.1:5432", true, true, "connected");
        let leak = IsolationAttempt::new("docker0", "172.17.0.1:22", false, true, "connected");
        assert!(IsolationReport::new(vec![open.clone()]).holds());
        let report = IsolationReport::new(vec![open, leak]);
        assert!(!report.holds());
        assert_eq!(report.faults(), "docker0 (172.17.0.1:22) can be reached: connected");
        let table = report.to_string();
        assert!(table.lines().nth(2).unwrap().ends_with("connected  << WRONG"), "{table}");
        assert!(!table.lines().nth(1).unwrap().contains("WRONG"), "{table}");
    }
}
