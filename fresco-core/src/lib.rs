#![cfg_attr(feature = "memory", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "memory"),
    doc = "Tenants, the ports to what they are made of, and the engine that works on them."
)]
#![forbid(unsafe_code)]

mod app;
mod backends;
mod capacity;
#[cfg(feature = "conformance")]
pub mod conformance;
mod database;
mod database_watch;
mod environment;
mod error;
#[cfg(feature = "fault")]
pub mod fault;
mod fit;
mod forward;
mod gate;
mod health;
mod ids;
mod image;
mod instance;
mod isolation;
#[cfg(feature = "memory")]
pub mod memory;
mod occupancy;
mod operation;
mod orchestrator;
mod prove;
mod quota;
mod reconcile;
mod repairs;
mod request;
mod router;
mod routes;
mod run;
mod runtime;
mod settings;
mod stage;
mod step;
mod steps;
mod store;
mod subdomain;
mod tenant;
mod unreached;
mod watch;
mod worker;

pub use app::{AppProfile, Isolation, Scratch};
pub use backends::Backends;
pub use capacity::{Capacity, DiskSpace, Taken};
pub use database::{
    Credentials, DatabaseActivity, DatabaseCopy, DatabaseEntry, DatabaseMetrics, DatabaseSample,
    DatabaseSnapshots, DatabaseSpec, Fence, TenantDatabase,
};
pub use database_watch::{DatabaseExcess, DatabaseOffence, DatabaseWatch};
pub use environment::{EnvName, EnvValue};
pub use error::{Error, ErrorKind, Result};
pub use gate::{ClaimGates, Gate};
pub use health::Health;
pub use ids::{
    CredentialId, Generation, ImageId, InstanceId, OperationId, OwnerId, PlatformId, TenantId,
    WorkerId, labels,
};
pub use image::{ImageRef, ImageSource, ProgressSink, PullProgress};
pub use instance::{Endpoint, Guarantee, Instance, InstanceSpec, InstanceState, Revision};
pub use isolation::{IsolationAttempt, IsolationReport, RuntimeIsolation};
pub use occupancy::{Disk, Occupancy};
pub use operation::{
    Actor, Change, Event, Failure, NewOperation, Operation, OperationStatus, StepRecord,
    StepStatus, Target,
};
pub use orchestrator::{Orchestrator, OrchestratorBuilder};
pub use prove::IsolationState;
pub use quota::Quota;
pub use reconcile::Reconciliation;
pub use request::{Accepted, Inventory, Update};
pub use router::{Route, RouteEntry, RoutePlan, RouteState, Router};
pub use runtime::{
    ContainerRuntime, LogLine, LogQuery, LogStream, Reach, RuntimeEvent, RuntimeEventKind,
    RuntimeEvents, RuntimeMetrics, RuntimeResize, RuntimeSample,
};
pub use settings::Settings;
pub use stage::{Direction, Intent, Stage};
pub use step::{Action, Step};
pub use store::{
    Entry, Lease, LeaseTerms, OperationPage, OperationQuery, Store, TenantPage, TenantQuery,
};
pub use subdomain::{Hostname, Subdomain, SubdomainError};
pub use tenant::{
    ContainerRef, DesiredState, Limits, Tenant, TenantSpec, TenantState, TenantStatus,
};
pub use worker::Workers;
