//! PostgreSQL for Fresco Platform: what must survive a restart ([`PostgresStore`]), and tenants'
//! own data, each behind a role of its own ([`PostgresTenants`]).
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use fresco_core::{Store, TenantDatabase};
//! use fresco_postgres::{
//!     PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig,
//! };
//!
//! # async fn open(url: String) -> fresco_core::Result<()> {
//! // The tables are made, or brought up to date, on the way.
//! let store = Arc::new(PostgresStore::connect(PostgresStoreConfig::new(url.clone())).await?);
//!
//! // The platform's id marks all that it makes, so that it never touches another one's things.
//! let platform = store.platform().await?;
//! let tenants = PostgresTenantsConfig::new(url, platform, "172.18.0.1", 5432);
//! let database = Arc::new(PostgresTenants::connect(tenants).await?);
//! println!("{}", database.health().await?.detail);
//! # Ok(())
//! # }
//! ```
//!
//! The platform's role is no superuser; it has `CREATEROLE` and `CREATEDB`, and owns the platform's
//! database. Once for each server, a superuser closes the databases that every role may use:
//!
//! ```sql
//! CREATE ROLE fresco_platform_app LOGIN CREATEROLE CREATEDB PASSWORD '…';
//! CREATE DATABASE fresco_platform OWNER fresco_platform_app;
//! REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC;
//! REVOKE CONNECT, TEMPORARY ON DATABASE template1 FROM PUBLIC;
//! ```
//!
//! Connections are made without TLS: reach the server over loopback, a Unix socket or a private
//! network.

#![forbid(unsafe_code)]

mod close;
mod errors;
mod migrations;
mod report;
mod server;
mod store;
mod tenants;

pub use report::PostgresReport;
pub use store::{EnvironmentKeys, PostgresStore, PostgresStoreConfig, Resealed};
pub use tenants::{PostgresTenants, PostgresTenantsConfig};
