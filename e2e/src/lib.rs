//! The real stack that the end-to-end tests run on: Docker, PostgreSQL and Traefik, with a network,
//! ports, databases and a platform id of their own, beside whatever else runs on the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness for tests: a part that is missing must fail the test, with a clear word"
)]

pub mod browser;
mod events;
mod pauses;
pub mod proxy;
mod scene;
pub mod service;
pub mod sights;
pub mod site;
#[path = "../../fresco-server/tests/support/smtp.rs"]
pub mod smtp;
mod stack;
mod wiring;
mod world;

pub use scene::RealScene;
pub use stack::Stack;
pub use wiring::Wiring;
pub use world::World;
