//! Who may do what: keys, roles, suspended accounts, and every call for everybody.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod admins;
mod deletion;
mod keys;
mod matrix;
mod suspension;
mod table;
