//! Keeping containers apart, and proving it.

use super::done;
use crate::conformance::RuntimeIsolationFixture;

/// What is in place is left as it is.
pub async fn isolation_in_place_is_left<F: RuntimeIsolationFixture + ?Sized>(fixture: &F) {
    let isolation = fixture.isolation();
    done("ensure", isolation.ensure_isolation().await);
    let changed = done("ensure, again", isolation.ensure_isolation().await);
    assert!(!changed, "nothing was to be changed the second time");
}

/// What somebody took away is put back.
pub async fn isolation_taken_away_is_put_back<F: RuntimeIsolationFixture + ?Sized>(fixture: &F) {
    let isolation = fixture.isolation();
    done("ensure", isolation.ensure_isolation().await);
    fixture.take_isolation_away().await;
    let changed = done("ensure, after it was taken away", isolation.ensure_isolation().await);
    assert!(changed, "it should say that something was changed");
    let report = done("probe", isolation.probe_isolation().await);
    assert!(report.holds(), "after it was put back:\n{report}");
}

/// While all is in place, every attempt ends as it must.
pub async fn isolation_in_place_is_proved<F: RuntimeIsolationFixture + ?Sized>(fixture: &F) {
    let isolation = fixture.isolation();
    done("ensure", isolation.ensure_isolation().await);
    let report = done("probe", isolation.probe_isolation().await);
    assert!(report.holds(), "{report}");
    for wanted in [true, false] {
        let tried = report.attempts.iter().any(|attempt| attempt.wanted == wanted);
        assert!(tried, "what must and what must not be reachable should be tried:\n{report}");
    }
}

/// Without it, some attempt does not.
pub async fn isolation_missing_is_found<F: RuntimeIsolationFixture + ?Sized>(fixture: &F) {
    let isolation = fixture.isolation();
    done("ensure", isolation.ensure_isolation().await);
    fixture.take_isolation_away().await;
    let report = done("probe", isolation.probe_isolation().await);
    assert!(!report.holds(), "nothing keeps containers apart, and yet:\n{report}");
    assert!(!report.faults().is_empty(), "it should be told what is open:\n{report}");
}
