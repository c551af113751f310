//! How many rows strangers, and refusals, may bring about: else whoever tries passwords all day fills the
//! disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::network;

/// The time that is counted by.
const MINUTE: Duration = Duration::from_secs(60);
/// Rows of a minute, of all strangers together and of one network. At a third of a kilobyte each these are
/// 30 MB a day.
pub(crate) const STRANGERS: (u32, u32) = (60, 20);
/// Beside these, for what pages of other sites make their visitors' browsers send: whoever has such a page
/// could else keep everything else out of the log.
pub(crate) const FOREIGN: (u32, u32) = (10, 5);
/// Beside these, for what people with an account are refused, and of one account: strangers could else keep
/// it out of the log.
pub(crate) const KNOWN: (u32, u32) = (60, 10);

/// Who brings rows about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Network(IpAddr),
    Account(Uuid),
}

impl Whose {
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(network::of(address))
    }
}

/// Counts rows of who is not known, and of what was refused. What somebody known did is always
/// written: how often they may do it is limited elsewhere.
#[derive(Debug)]
pub(crate) struct Budget {
    most: (u32, u32),
    since: Instant,
    all: u32,
    /// As many as rows of this minute at most.
    each: HashMap<Whose, u32>,
    /// Rows that were not written and not told of.
    pub(crate) left_out: u64,
}

impl Budget {
    /// So many of all together, and of one of them.
    pub(crate) fn new(now: Instant, most: (u32, u32)) -> Self {
        Self { most, since: now, all: 0, each: HashMap::new(), left_out: 0 }
    }

    /// Whether one more is written.
    pub(crate) fn admits(&mut self, now: Instant, whose: Whose) -> bool {
        if now.duration_since(self.since) >= MINUTE {
            (self.since, self.all) = (now, 0);
            self.each.clear();
        }
        let of_this = self.each.get(&whose).copied().unwrap_or_default();
        if self.all >= self.most.0 || of_this >= self.most.1 {
            self.left_out = self.left_out.saturating_add(1);
            return false;
        }
        self.all += 1;
        self.each.insert(whose, of_this + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_bring_about_so_many_rows_a_minute() {
        let start = Instant::now();
        let (all, each) = STRANGERS;
        let mut budget = Budget::new(start, STRANGERS);
        let address = |number: u32| Whose::network(number.to_be_bytes().into());
        let written = |budget: &mut Budget, now, from, times: u32| {
            (0..times).filter(|_| budget.admits(now, address(from))).count() as u32
        };
        assert_eq!(written(&mut budget, start, 1, each + 5), each, "of one network");
        assert_eq!(budget.left_out, 5);
        let others = (2..1000).map(|from| written(&mut budget, start, from, 1)).sum::<u32>();
        assert_eq!(others, all - each, "of all");
        assert_eq!(budget.left_out, 5 + 998 - u64::from(all - each));
        assert!(budget.each.len() <= all as usize, "what is kept is bounded");
        assert_eq!(written(&mut budget, start + MINUTE, 1, 1), 1, "the next minute");
    }
}
