//! Clocks of all parts, compared with this program's.

use chrono::TimeDelta;

use super::Facts;
use super::finding::{Finding, Level};

/// From here on times in logs and events confuse.
const NOTABLE: TimeDelta = TimeDelta::seconds(2);
/// From here on certificates and sessions fail.
const TOO_FAR: TimeDelta = TimeDelta::seconds(30);

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let platform = facts.platform.as_ref().ok();
    let tenants = facts.tenants.as_ref().and_then(|report| report.as_ref().ok());
    // Two URLs that lead to one server have one clock.
    let other = tenants.filter(|t| platform.is_none_or(|p| p.cluster != t.cluster));
    let docker = facts.docker.as_ref().ok().and_then(|report| report.clock_ahead);
    let clocks = [
        ("PostgreSQL", platform.map(|report| report.clock_ahead)),
        ("tenants' data", other.map(|report| report.clock_ahead)),
        ("Docker", docker),
    ];
    clocks.into_iter().filter_map(|(what, ahead)| Some(judged(what, ahead?))).collect()
}

fn judged(what: &'static str, ahead: TimeDelta) -> Finding {
    let off = ahead.abs();
    let level = match off {
        off if off < NOTABLE => return Finding::ok(what, "the same time as here"),
        off if off < TOO_FAR => Level::Warning,
        _ => Level::Wrong,
    };
    let way = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    Finding::new(level, what, format!("its clock is {} s {way} this program's", off.num_seconds()))
        .mend("sudo timedatectl set-ntp true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much() {
        assert_eq!(judged("x", TimeDelta::milliseconds(-1900)).level, Level::Ok);
        let behind = judged("x", TimeDelta::seconds(-5));
        assert_eq!(behind.level, Level::Warning);
        assert_eq!(behind.seen, "its clock is 5 s behind this program's");
        let ahead = judged("x", TimeDelta::seconds(3600));
        assert_eq!(ahead.level, Level::Wrong);
        assert!(ahead.seen.contains("3600 s ahead of"), "{}", ahead.seen);
    }
}
