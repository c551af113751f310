//! Many people who sign in at the same moment. Alone in its program: it looks at this one's memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use support::PASSWORD;
use support::site::Site;

/// People at the same moment.
const CROWD: usize = 50;
/// MB that four hashes at a time may take, with all that a request needs beside them. Fifty at a time
/// would take 950.
const MOST_MB: u64 = 160;
/// How long anybody else may wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most memory that this program ever had, in MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Docker"]
async fn a_crowd_that_signs_in_takes_little_memory_and_keeps_nobody_waiting() {
    let site = Site::new().await;
    site.sign_up("ada@example.org").await;
    let before = peak_mb();
    let start = Instant::now();
    let crowd = join_all((0..CROWD).map(|person| {
        // Right ones, wrong ones, and addresses without an account: all cost the same.
        let (email, password) = match person % 3 {
            0 => ("ada@example.org", PASSWORD),
            1 => ("ada@example.org", "a wrong password"),
            _ => ("bob@example.org", PASSWORD),
        };
        site.post("/api/auth.signIn", json!({ "email": email, "password": password }))
    }));
    let (mut slowest, mut others) = (Duration::ZERO, 0);
    tokio::pin!(crowd);
    let answers = loop {
        let asked = Instant::now();
        let other = site.post("/api/wizard.checkSubdomain", json!({ "subdomain": "my-study" }));
        tokio::select! {
            answers = &mut crowd => break answers,
            other = other => {
                other.ok();
                slowest = slowest.max(asked.elapsed());
                others += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let took = start.elapsed();
    let grown = peak_mb() - before;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // Past the test's own output, which is shown for a failure alone.
    writeln!(
        std::io::stderr(),
        "{CROWD} sign-ins in {took:?}: {} in, {} refused, {} told to come back; {grown} MB more at most ({before} MB before); {others} other requests meanwhile, the slowest {slowest:?}",
        count(200),
        count(401),
        count(503),
    )
    .unwrap();
    assert_eq!(count(200) + count(401) + count(503), CROWD);
    assert!(count(200) > 0 && count(401) > 0);
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert_eq!(answer.retry_after.as_deref(), Some("5"));
    }
    assert!(grown <= MOST_MB, "{grown} MB");
    assert!(others > 5 && slowest < PATIENCE, "{others} other requests, {slowest:?}");
}
