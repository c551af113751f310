//! What keeps the service from being misused: who may sign up, how much one may have, how often one
//! may ask, and what a browser is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod owners;
mod signup;
mod trials;
