//! Runs Fresco Platform's tenants on the Docker API, and routes to them by Traefik labels.
//!
//! [`DockerRuntime`] is a [`ContainerRuntime`](fresco_core::ContainerRuntime) on one Docker Engine
//! (20.10 or newer), with all three abilities: measuring, telling what happens, changing limits.
//! [`TraefikLabels`] is a [`Router`](fresco_core::Router) on a Traefik that reads labels.
//!
//! ```no_run
//! use fresco_core::{ContainerRuntime, PlatformId, Router};
//! use fresco_docker::{DockerConfig, DockerRuntime, TraefikConfig, TraefikLabels};
//!
//! # async fn example() -> fresco_core::Result<()> {
//! let platform = PlatformId::new(); // made once and kept: it marks all that is made
//! let runtime = DockerRuntime::connect(DockerConfig::new(platform)).await?;
//! let router = TraefikLabels::new(TraefikConfig::new(platform));
//! for instance in runtime.list(None).await? {
//!     println!("{} {:?}", instance.tenant, instance.state);
//! }
//! println!("{}", router.health().await?.detail);
//! # Ok(())
//! # }
//! ```
//!
//! # What a tenant's container may do
//! It has the memory, CPU and processes of its limits and no swap; no capability, no way to gain
//! rights, an init process; where the profile says so a read-only file system with sized scratch
//! folders in memory; rotated logs; and no published port. It is on a bridge on which it reaches
//! the host ([`DockerRuntime::gateway`]) and no other container. What an engine can't enforce of
//! this stands in [`Instance::unenforced`](fresco_core::Instance::unenforced).
//!
//! With [`DockerConfig::firewall`] it is also kept from the host's services and from private
//! networks, and a probe from a container proves it.
//!
//! # Logging
//! The `bollard` library writes requests and answers, and with them tenants' environments, to the
//! `log` crate at the levels debug and trace. A program that collects those must leave out the
//! target `bollard` below info.

#![forbid(unsafe_code)]

mod address;
mod config;
mod disk;
mod engine;
mod ensure;
mod errors;
mod events;
mod http;
mod images;
mod instance;
mod isolation;
mod logs;
mod metrics;
mod network;
mod others;
mod report;
mod runtime;
mod spec;
mod traefik;

pub use config::DockerConfig;
pub use isolation::{Firewall, PackedProgram, run_network_probe};
pub use report::{DockerReport, FirewallReport, ImageReport, NetworkReport};
pub use runtime::DockerRuntime;
pub use traefik::{TraefikConfig, TraefikLabels, TraefikReport};
