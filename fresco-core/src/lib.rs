//! The heart of Fresco Platform: tenants, the ports to what they are made of, and the engine that
//! creates, changes and destroys them, whatever dies on the way.

#![forbid(unsafe_code)]

mod app;
mod database;
mod error;
mod health;
mod ids;
mod operation;
mod router;
mod runtime;
mod stage;
mod step;
mod store;
mod subdomain;
mod tenant;

pub use app::{AppProfile, Isolation, Scratch};
pub use database::{
    Credentials, DatabaseActivity, DatabaseEntry, DatabaseMetrics, DatabaseSample, DatabaseSpec,
    Fence, TenantDatabase,
};
pub use error::{Error, ErrorKind, Result};
pub use health::Health;
pub use ids::{
    CredentialId, Generation, OperationId, OwnerId, PlatformId, TenantId, WorkerId, labels,
};
pub use operation::{
    Actor, Change, Event, Failure, NewOperation, Operation, OperationStatus, StepRecord,
    StepStatus, Target,
};
pub use router::{Route, RouteEntry, RoutePlan, RouteState, Router};
pub use runtime::{
    ContainerRuntime, Endpoint, Guarantee, ImageId, ImageRef, ImageSource, Instance, InstanceId,
    InstanceSpec, InstanceState, LogLine, LogQuery, LogStream, ProgressSink, PullProgress, Reach,
    Revision, RuntimeEvent, RuntimeEventKind, RuntimeEvents, RuntimeMetrics, RuntimeResize,
    RuntimeSample,
};
pub use stage::{Direction, Intent, Stage};
pub use step::{Action, Step};
pub use store::{Entry, Lease, LeaseTerms, Store, TenantPage, TenantQuery};
pub use subdomain::{Hostname, Subdomain, SubdomainError};
pub use tenant::{
    ContainerRef, DesiredState, EnvName, EnvValue, Limits, Tenant, TenantSpec, TenantState,
    TenantStatus,
};
