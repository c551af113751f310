//! Finding the cases: each action is run once, and each call it made is a place where a fault can
//! strike.

use std::collections::BTreeMap;

use super::run::run;
use super::{Case, Scene, fails_for_good};
use crate::error::ErrorKind;
use crate::fault::{Call, Fault};
use crate::stage::Direction;
use crate::step::{Action, Step};

/// The faults that can strike a call: a store loses its worker, or its worker loses it; any other
/// backend may in addition fail for good.
fn faults(call: &Call) -> Vec<Fault> {
    use ErrorKind::{Denied, Unavailable};
    let mut faults = vec![
        Fault::FailBefore(Unavailable),
        Fault::FailAfter(Unavailable),
        Fault::Hang,
        Fault::Repeat,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];
    if CHANGES.contains(&call.method) {
        faults.push(Fault::CrashLate);
    }
    if !call.method.starts_with("store.") {
        faults.extend([Fault::FailBefore(Denied), Fault::FailAfter(Denied)]);
    }
    faults
}

/// The calls that change something, and so may come late.
const CHANGES: [&str; 11] = [
    "runtime.ensure",
    "runtime.start",
    "runtime.stop",
    "runtime.remove",
    "database.ensure",
    "database.issue",
    "database.remove",
    "router.publish",
    "router.withdraw",
    "store.record",
    "store.release",
];

/// All cases of all actions, found by running each once without a fault, and once more for each
/// way back.
///
/// # Panics
/// When an action fails without a fault, or does not walk all its steps.
pub async fn cases(scene: &dyn Scene) -> Vec<Case> {
    let mut all = Vec::new();
    for action in Action::ALL {
        let trace = run(scene, &Case { action, faults: vec![], then: None }).await;
        let trace = trace.unwrap_or_else(|why| broken(&format!("{action} without a fault: {why}")));
        for step in action.steps() {
            let walked = trace.iter().any(|t| t.step == Some((Direction::Forward, *step)));
            if !walked {
                broken(&format!("{action} never came to its step {step}"));
            }
        }
        all.extend(expand(action, &[], &trace));
        all.extend(crash_and_fail(action, &trace));
        // The way back begins with a failure for good as late as possible, so that there is most
        // to take back; then each call of the way back is struck, too.
        let Some(last) = last_call(action, &trace) else { continue };
        let first = (last, Fault::FailBefore(ErrorKind::Denied));
        let case = Case { action, faults: vec![first], then: None };
        let trace = run(scene, &case).await;
        let trace = trace.unwrap_or_else(|why| broken(&format!("{action} taken back: {why}")));
        let back: Vec<_> =
            trace.into_iter().filter(|t| matches!(t.step, Some((Direction::Undo, _)))).collect();
        for step in action.undo_steps() {
            if !back.iter().any(|t| t.step == Some((Direction::Undo, *step))) {
                broken(&format!("{action} never took back its step {step}"));
            }
        }
        all.extend(
            expand(action, &[first], &back).filter(|case| !fails_for_good(case.faults[1].1)),
        );
    }
    all
}

#[allow(clippy::panic, reason = "a harness for tests: the panic is the finding")]
fn broken(what: &str) -> ! {
    panic!("the fault matrix can't be made: {what}")
}

fn expand<'a>(
    action: Action,
    before: &'a [(Call, Fault)],
    trace: &'a [Call],
) -> impl Iterator<Item = Case> + 'a {
    let places = trace.iter().filter(|call| is_work(call) && !is_alike(call));
    places.flat_map(move |call| {
        faults(call).into_iter().map(move |fault| Case {
            action,
            faults: before.iter().copied().chain([(*call, fault)]).collect(),
            then: None,
        })
    })
}

/// Whether the case of an earlier call says the same. What is polled is polled now and then more
/// often, so only its first call in a step is sure to be made again.
fn is_alike(call: &Call) -> bool {
    let waits = matches!(call.step, Some((_, Step::Ready | Step::Route)));
    let polled = (waits && !call.method.starts_with("store.")) || call.method == "router.probe";
    call.nth >= if polled { 1 } else { 2 }
}

/// A crash at any call, and then a failure for good as late as possible: what was made before the
/// crash must be known to have been made by this operation.
fn crash_and_fail(action: Action, trace: &[Call]) -> Vec<Case> {
    let Some(last) = last_call(action, trace) else { return Vec::new() };
    let then = (last, Fault::FailBefore(ErrorKind::Denied));
    expand(action, &[], trace)
        .filter(|case| matches!(case.faults[0].1, Fault::CrashBefore | Fault::CrashAfter))
        .map(|case| Case { then: Some(then), ..case })
        .collect()
}

/// Whether this is a call of the operation's own work: not the request itself, not a look for more
/// work after it, and not the renewal, whose moment is the clock's.
fn is_work(call: &Call) -> bool {
    match call.method {
        "store.lease" => call.step.is_none() && call.nth == 0,
        "store.record" | "store.release" | "store.announce" => true,
        method => !method.starts_with("store.") && call.step.is_some(),
    }
}

fn last_call(action: Action, trace: &[Call]) -> Option<Call> {
    if action.only_forward() {
        return None;
    }
    let forward = |t: &&Call| matches!(t.step, Some((Direction::Forward, _)));
    let last = trace.iter().filter(forward).rfind(|t| !t.method.starts_with("store."));
    last.map(|call| Call { nth: 0, ..*call })
}

/// How many cases there are of each action and step.
#[must_use]
pub fn summary(cases: &[Case]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for case in cases {
        let step = match case.place() {
            Some((Direction::Undo, step)) => format!("undo {step}"),
            Some((Direction::Forward, step)) => step.to_string(),
            None => "(before the first step)".into(),
        };
        *counts.entry(format!("{} / {step}", case.action)).or_default() += 1;
    }
    counts
}
