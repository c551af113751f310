//! One named test per promise of a port, for any backend: ours, or yours.
//!
//! Every bullet of a `# Behavior` list is one case: an `async fn` that takes a fixture and panics,
//! in words, when the backend breaks that promise. A macro turns all cases of a port into tests:
//!
//! ```text
//! // tests/conformance.rs of a backend; it needs tokio (features `macros`, `rt-multi-thread`)
//! fresco_core::runtime_conformance!(MyFixture::new().await);
//! // with attributes for every test, for a backend that needs something real:
//! fresco_core::runtime_conformance!(MyFixture::new().await, #[ignore = "needs Docker"]);
//! ```
//!
//! The expression is evaluated anew for every case, inside an async function: no two cases share a
//! fixture, and cases run at the same time. After a case, passed or failed,
//! [`Fixture::clean_up`] runs. To run a suite twice (a backend in two modes, or behind a wrapper),
//! put each macro into a module of its own.
//!
//! | macro | fixture |
//! |---|---|
//! | [`runtime_conformance!`](crate::runtime_conformance) | [`RuntimeFixture`] |
//! | [`runtime_fetch_conformance!`](crate::runtime_fetch_conformance) | [`RuntimeFetchFixture`] |
//! | [`runtime_metrics_conformance!`](crate::runtime_metrics_conformance) | [`RuntimeMetricsFixture`] |
//! | [`runtime_events_conformance!`](crate::runtime_events_conformance) | [`RuntimeEventsFixture`] |
//! | [`runtime_resize_conformance!`](crate::runtime_resize_conformance) | [`RuntimeResizeFixture`] |
//! | [`runtime_isolation_conformance!`](crate::runtime_isolation_conformance) | [`RuntimeIsolationFixture`] |
//! | [`database_conformance!`](crate::database_conformance) | [`DatabaseFixture`] |
//! | [`database_metrics_conformance!`](crate::database_metrics_conformance) | [`DatabaseMetricsFixture`] |
//! | [`database_snapshots_conformance!`](crate::database_snapshots_conformance) | [`DatabaseSnapshotsFixture`] |
//! | [`database_watch_conformance!`](crate::database_watch_conformance) | [`DatabaseWatchFixture`] |
//! | [`router_conformance!`](crate::router_conformance) | [`RouterFixture`] |
//! | [`store_conformance!`](crate::store_conformance) | [`StoreFixture`] |

// These functions are tests: their whole purpose is to panic when a promise is broken.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

pub mod database;
mod fixture;
mod macros;
pub mod router;
pub mod runtime;
pub mod store;
mod support;
#[cfg(test)]
mod tests;

pub use fixture::{
    DatabaseClient, DatabaseFixture, DatabaseMetricsFixture, DatabaseSnapshotsFixture,
    DatabaseWatchFixture, Example, ExampleApp, Fixture, RouterFixture, RuntimeEventsFixture,
    RuntimeFetchFixture, RuntimeFixture, RuntimeIsolationFixture, RuntimeMetricsFixture,
    RuntimeResizeFixture, StoreFixture,
};
#[doc(hidden)]
pub use support::run;
