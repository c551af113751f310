//! Which requests may come in at all.
//!
//! Tenants are untrusted sites on sibling subdomains: a browser sends the platform's cookie with
//! what their pages ask it to. So nothing that changes anything is believed because of a cookie
//! alone: its type must be one that a form can't send, and its origin the platform's own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, IntoResponse, Middleware, Request, Response, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::http::addresses::Addresses;
use crate::http::caller::is_known;
use crate::http::client::ClientAddress;
use crate::http::credentials::has_key;
use crate::http::peers::{Peers, many};
use crate::http::problem::Problem;
use crate::http::throttle::Throttle;
use crate::origin::Origin;

/// The largest body of who may send many variables.
const MOST_VARIABLES: usize = 1024 * 1024;
/// How many of these are read and answered at once: an account is made in no time, and its connections may be many.
const LARGE_AT_ONCE: usize = 32;
/// Where variables are sent to.
const TAKE_VARIABLES: [&str; 2] = ["/api/tenants.create", "/api/tenants.update"];
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(20);
/// Headers of a request from another origin that may be sent.
const CORS_HEADERS: &str = "authorization, content-type, idempotency-key, last-event-id";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets in what comes from where it should.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    own: Origin,
    other: Option<Origin>,
    production: bool,
    addresses: Addresses,
    throttle: Throttle,
    asking: Peers,
    /// The largest body that is read of whoever sends it: all of them together must fit into memory.
    most_body: usize,
    large: Arc<Semaphore>,
    proxies: Vec<IpNet>,
    deadline: Duration,
    sent: Sent,
}

/// What a request that changes something is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// As JSON, which no form can be.
    Json,
    /// As a form of one of our own pages, which the browser must say.
    Form,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// No browser, or a page of the platform's own.
    Here,
    /// A page of the one other origin that may call.
    Other,
}

impl Guard {
    pub(crate) fn new(config: &Config, addresses: Addresses, throttle: Throttle) -> Self {
        Self {
            own: config.public_url.clone(),
            other: config.cors_origin.clone(),
            production: config.is_production(),
            addresses,
            throttle,
            asking: Peers::new(config.connections_each, many(&config.trusted_proxies)),
            most_body: config.body_limit,
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            proxies: config.trusted_proxies.clone(),
            deadline: config.request_deadline,
            sent: Sent::Json,
        }
    }

    /// The same for pages, at these addresses: they take forms, of our own origin alone.
    pub(crate) fn of_pages(&self, addresses: Addresses) -> Self {
        Self { addresses, other: None, sent: Sent::Form, ..self.clone() }
    }

    fn check(&self, request: &Request) -> Result<From, Problem> {
        let here = self.check_host(request)?;
        self.check_origin(request, &here)
    }

    /// The origin that the request was sent to, which must be the platform's own.
    fn check_host(&self, request: &Request) -> Result<Origin, Problem> {
        let wrong = || {
            let words = format!("This is not the platform's address, which is {}.", self.own);
            Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", words)
        };
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let named = match (request.uri().authority(), hosts.next(), hosts.next()) {
            (Some(authority), _, None) => Some(authority.as_str()),
            (None, Some(host), None) => host.to_str().ok(),
            _ => None,
        };
        let here = named.and_then(|host| self.own.of_host(host)).ok_or_else(wrong)?;
        // Whoever looks at the platform's health from near by knows no name of it, and learns
        // nothing that a cookie guards.
        let health = request.uri().path() == "/health";
        let loopback = here.is_loopback() && (!self.production || health);
        (loopback || here.has_host_of(&self.own)).then_some(here).ok_or_else(wrong)
    }

    fn check_origin(&self, request: &Request, here: &Origin) -> Result<From, Problem> {
        let foreign = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "Pages of another origin may not call the platform.",
            )
        };
        let (origin, site) = (once(request, header::ORIGIN)?, once(request, SEC_FETCH_SITE)?);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        // A key, unlike a cookie, is sent by nobody who was not given it.
        let unforged = reads || (self.sent == Sent::Json && has_key(request));
        let Some(origin) = origin else {
            // All browsers send it with a form.
            if !reads && self.sent == Sent::Form {
                return Err(foreign());
            }
            // A link on any page may lead here; only what changes something must be our own.
            let ours = site.is_none_or(|site| site == "same-origin");
            return if unforged || ours { Ok(From::Here) } else { Err(foreign()) };
        };
        let origin: Option<Origin> = origin.parse().ok();
        if origin.is_some() && origin == self.other {
            return Ok(From::Other);
        }
        let own = origin.is_some_and(|origin| {
            origin == self.own || (!self.production && here.is_loopback() && origin == *here)
        });
        let same_site = site.is_none_or(|site| site == "same-origin");
        // Without the headers of CORS a browser keeps what is read from a foreign page.
        if unforged || (own && same_site) { Ok(From::Here) } else { Err(foreign()) }
    }

    fn allow(&self, response: &mut Response) {
        let Some(origin) = self.other.as_ref().map(ToString::to_string) else { return };
        let Ok(origin) = HeaderValue::from_str(&origin) else { return };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        // Else a page could not read when to come again.
        headers
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }

    fn preflight(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A header's text, empty when it is no ASCII. One that comes twice says two things, and neither is
/// believed.
fn once(request: &Request, name: HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = request.headers().get_all(&name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.to_str().unwrap_or(""))),
        _ => {
            let words = format!("The header {name} came more than once.");
            Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", words))
        }
    }
}

/// Reads the whole body, up to a bound, so that none is larger or slower than it may be. A large one has a place,
/// which is to be kept until it is answered.
async fn read_body(
    request: &mut Request,
    most_body: usize,
    places: &Arc<Semaphore>,
) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Ok(None);
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let small = length.is_some_and(|length| length <= most_body);
    // Strangers must not be able to fill the memory.
    let large =
        !small && TAKE_VARIABLES.contains(&request.uri().path()) && is_known(request).await?;
    let most = if large { MOST_VARIABLES } else { most_body };
    let too_large = || {
        let words = format!(
            "The body may have at most {} KiB; with variables, of who is signed in or has a key, {} KiB.",
            most_body / 1024,
            MOST_VARIABLES / 1024
        );
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words)
    };
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let full = |_| Problem::rate_limited(Duration::from_secs(1));
    let place = large.then(|| Arc::clone(places).try_acquire_owned()).transpose().map_err(full)?;
    let body = request.take_body().into_bytes_limit(most);
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(bytes)) => {
            request.set_body(Body::from_bytes(bytes));
            Ok(place)
        }
        Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => Err(too_large()),
        Ok(Err(error)) => {
            let words = if is_early_end(&error) {
                "The body ended before it was complete."
            } else {
                "The body can't be read: its chunks or trailers are not as HTTP has them."
            };
            Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", words))
        }
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "The body took too long to arrive.",
        )),
    }
}

/// Whether the connection ended first; else what came was wrong.
fn is_early_end(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        let kind = cause.downcast_ref().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset))
    })
}

/// What changes something must be said to be JSON: no form and no page of another site can say so
/// unasked.
///
/// Pages take forms, of which the origin was looked at.
fn check_type(request: &Request, sent: Sent) -> Result<(), Problem> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let (kind, words) = match sent {
        Sent::Json => {
            ("application/json", "Send JSON, with the header Content-Type: application/json.")
        }
        Sent::Form => ("application/x-www-form-urlencoded", "Send this page's form."),
    };
    if !changes || is_of_type(request, kind) {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Problem::new(status, "unsupported_media_type", words))
}

fn is_of_type(request: &Request, kind: &str) -> bool {
    let mut types = request.headers().get_all(header::CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else { return false };
    let essence = first.to_str().unwrap_or("").split(';').next().unwrap_or("");
    essence.trim().eq_ignore_ascii_case(kind)
}

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = Guarded<E>;

    fn transform(&self, inner: E) -> Guarded<E> {
        Guarded { guard: self.clone(), inner }
    }
}

/// An endpoint behind the guard.
#[derive(Debug)]
pub(crate) struct Guarded<E> {
    guard: Guard,
    inner: E,
}

impl<E: Endpoint> Guarded<E> {
    async fn let_in(&self, mut request: Request) -> Result<Response> {
        let Guard { addresses, throttle, asking, most_body, large, proxies, deadline, .. } =
            &self.guard;
        // Before anything of the body is waited for.
        let client = ClientAddress::of(&request, proxies).0;
        throttle.address(&request, client)?;
        // Behind a proxy all connections are the proxy's: whoever opens many there, and sends bodies that
        // never end, is bounded here.
        let full = || Problem::rate_limited(Duration::from_secs(1));
        // A page that calls for its visitor has a place already.
        let in_a_page = request.extensions().get::<ClientAddress>().is_some();
        let _asking = match in_a_page {
            true => None,
            false => Some(asking.open(client).ok_or_else(full)?),
        };
        addresses.check(&request)?;
        check_type(&request, self.guard.sent)?;
        let _large = read_body(&mut request, *most_body, large).await?;
        // A stream is answered at once; how long it may go on, it knows itself.
        match tokio::time::timeout(*deadline, self.inner.call(request)).await {
            Ok(answer) => Ok(answer?.into_response()),
            Err(_) => Err(Problem::late(*deadline).into()),
        }
    }
}

impl<E: Endpoint> Endpoint for Guarded<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if self.guard.check(&request)? == From::Here {
            return self.let_in(request).await;
        }
        // Errors, too, must be readable by the page that may call.
        let mut response = if request.method() == Method::OPTIONS {
            self.guard.preflight()
        } else {
            self.let_in(request).await.unwrap_or_else(crate::http::edge::response)
        };
        self.guard.allow(&mut response);
        Ok(response)
    }
}

#[cfg(test)]
#[path = "guard/tests.rs"]
mod tests;
