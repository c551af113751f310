//! The HTTP API: the whole service in front of the in-memory backends, with accounts in a real
//! PostgreSQL.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod create;
mod health;
mod life;
mod lists;
mod logs;
mod streams;
mod watch;
mod world;
