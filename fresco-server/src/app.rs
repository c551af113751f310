//! The whole service as one endpoint.

use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt};

use crate::api;
use crate::audit::noting::Noting;
use crate::http::edge;
use crate::http::gate;
use crate::http::guard::Guard;
use crate::http::headers::SecurityHeaders;
use crate::platform::Platform;
use crate::web;

/// The service's endpoint: serve it with poem, or nest it in an application of your own.
///
/// It works on nothing by itself: start the orchestrator's workers beside it, and
/// [`Platform::chores`].
#[must_use]
pub fn app(platform: Platform) -> impl Endpoint {
    let headers = SecurityHeaders::new(&platform.config);
    let guard = Guard::new(&platform.config, api::addresses(), platform.throttle.clone());
    // What the guard turns away is written down, too.
    let api = api::routes(&platform).with(guard.clone()).with(Noting::new(api::calls()));
    web::before(api, &guard, &platform)
        .around(gate::beside)
        .data(platform)
        .with(CatchPanic::new().with_handler(edge::panicked))
        .around(edge::finish)
        .with(headers)
}
