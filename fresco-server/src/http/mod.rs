//! HTTP itself: who may call, what an error looks like.

pub(crate) mod addresses;
pub(crate) mod caller;
pub(crate) mod client;
pub(crate) mod connections;
pub(crate) mod cookies;
pub(crate) mod credentials;
pub(crate) mod edge;
pub(crate) mod gate;
pub(crate) mod guard;
pub(crate) mod headers;
pub(crate) mod peers;
pub(crate) mod problem;
pub(crate) mod streams;
pub(crate) mod throttle;
