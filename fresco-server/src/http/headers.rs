//! What every answer tells the browser, whatever it is: a page, a document, a stream or an error.

use std::sync::Arc;

use poem::http::{HeaderName, HeaderValue, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use crate::config::Config;
use crate::http::edge;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What is no page loads nothing, runs nothing, and is shown in no frame.
const NOTHING: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// No page of the platform's uses any of these.
const NO_DEVICES: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), \
     gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=(), \
     browsing-topics=()";
/// Two years; without the subdomains, which may be others'.
const STRICT_TRANSPORT: &str = "max-age=63072000";

/// Adds the headers to all that leaves.
#[derive(Clone, Debug)]
pub(crate) struct SecurityHeaders {
    https: bool,
}

impl SecurityHeaders {
    pub(crate) fn new(config: &Config) -> Self {
        Self { https: config.public_url.is_https() }
    }
}

impl<E: Endpoint> Middleware<E> for SecurityHeaders {
    type Output = WithHeaders<E>;

    fn transform(&self, inner: E) -> WithHeaders<E> {
        WithHeaders { inner: Arc::new(inner), https: self.https }
    }
}

/// An endpoint whose answers carry the headers.
#[derive(Debug)]
pub(crate) struct WithHeaders<E> {
    inner: Arc<E>,
    https: bool,
}

impl<E: Endpoint> Endpoint for WithHeaders<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let answer = self.inner.call(request).await;
        let mut answer = answer.map_or_else(edge::response, IntoResponse::into_response);
        let headers = answer.headers_mut();
        // A page names what it needs; everything else needs nothing.
        let policy = headers.entry(header::CONTENT_SECURITY_POLICY);
        policy.or_insert(HeaderValue::from_static(NOTHING));
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // A tenant's page, which comes from the same site, must not lay a page of the
            // platform's under its own buttons.
            (header::X_FRAME_OPTIONS, "DENY"),
            // With less, a browser would hide from us that our own pages ask.
            (header::REFERRER_POLICY, "same-origin"),
            (PERMISSIONS_POLICY, NO_DEVICES),
            (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            // What the one other origin reads, it reads by CORS, which this does not touch.
            (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.https {
            let always = HeaderValue::from_static(STRICT_TRANSPORT);
            headers.insert(header::STRICT_TRANSPORT_SECURITY, always);
        }
        Ok(answer)
    }
}
