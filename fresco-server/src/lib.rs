//! Fresco Platform as a service: researchers sign up, pick a subdomain, and get an instance of
//! their own of a containerised web app.
//!
//! [`serve::serve`] is the whole program. [`app`] is the service as one endpoint, to be nested in an
//! application of your own; [`compose::platform`] connects it to PostgreSQL, Docker and Traefik.
#![forbid(unsafe_code)]

pub mod accounts;
mod api;
mod app;
mod audit;
pub mod cli;
pub mod compose;
mod config;
pub mod doctor;
mod expiry;
mod http;
pub mod logging;
pub mod mail;
mod network;
mod origin;
mod platform;
mod policy;
mod program;
mod rates;
mod room;
pub mod serve;
pub mod settings;
mod suspension;
mod web;

pub use api::openapi_document;
pub use app::app;
pub use audit::CALLS as AUDITED_CALLS;
pub use config::{
    Config, ConfigError, Contact, ContactError, LegalTexts, PageSettings, SmtpConfig, SmtpTls,
    Traefik,
};
pub use http::gate::Gates;
pub use origin::{Origin, OriginError};
pub use platform::Platform;
pub use policy::{ImagePattern, LimitRange, TenantPolicy};
pub use program::run;
pub use rates::{Rate, Rates};
pub use room::Room;
pub use serve::ServeError;
pub use web::pages;
