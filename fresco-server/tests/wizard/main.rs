//! The wizard and sessions by the API: accounts on a real PostgreSQL, tenants in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod crowd;
mod deploy;
mod refusals;
mod sessions;
