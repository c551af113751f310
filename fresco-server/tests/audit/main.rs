//! The audit log: what is in it, and what shows when somebody changes it.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod calls;
mod command;
mod events;
mod sealing;
mod strangers;
mod tampering;

use fresco_server::accounts::{Accounts, AuditEvent, AuditQuery, AuditRow};

/// All rows, the oldest first.
pub async fn rows(accounts: &Accounts) -> Vec<AuditRow> {
    let query = AuditQuery { limit: 100_000, ..AuditQuery::default() };
    let mut rows = accounts.audit(&query).await.unwrap().rows;
    rows.reverse();
    rows
}

/// Writes so many rows.
pub async fn note(accounts: &Accounts, number: usize) {
    for _ in 0..number {
        accounts.note(&AuditEvent::of_system("rows_left_out")).await.unwrap();
    }
}

/// Seals all that can be sealed now. How many rows.
pub async fn seal(accounts: &Accounts) -> usize {
    let mut all = 0;
    loop {
        match accounts.seal_audit(None).await.unwrap().now {
            0 => return all,
            some => all += some,
        }
    }
}
