//! The gate before apps that have no owner yet: what the proxy asks before each request to them.
//!
//! An app such as Fresco gives itself to its first visitor. So until its owner has been there, the
//! proxy asks here ([`Gate`]): who comes by the owner's link gets a pass, a cookie for that one host,
//! and everybody else is turned away. Once it is open, it is open for ever.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fresco_core::{ClaimGates, Gate, Hostname, Result, TenantId};
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use secrecy::{ExposeSecret, SecretString};

use crate::accounts::{Accounts, AuditEvent, AuditMeans, Claim};
use crate::http::client::ClientAddress;
use crate::http::cookies::cookies;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Where the proxy asks; the tenant's id follows.
const PATH: &str = "/internal/gate/";
/// The tenant of a gate that nobody made, and so nobody opens.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// The part of a link's query that holds its word.
pub(crate) const WORD: &str = "fresco_claim";
/// What is known of a gate that refuses is believed for this long.
const BELIEVED: Duration = Duration::from_secs(1);
/// Gates that something is known of at most.
const KNOWN: usize = 10_000;

/// Gates of tenants' routes, which the server itself answers for.
#[derive(Clone, Debug)]
pub struct Gates {
    accounts: Accounts,
    address: SocketAddr,
}

impl Gates {
    /// Gates that are asked at a server that listens here. The proxy must reach it: it is on the
    /// same machine, on the host's network.
    #[must_use]
    pub fn new(accounts: Accounts, listen: SocketAddr) -> Self {
        Self { accounts, address: near(listen) }
    }
}

/// A gate that is always closed, at a server that listens here.
pub(crate) fn sample(listen: SocketAddr) -> Gate {
    Gate::new(format!("http://{}{PATH}{NOBODY}", near(listen)))
}

/// A host below this domain that leads to [`sample`] and that no tenant can have.
pub(crate) fn sample_host(base_domain: &Hostname) -> String {
    format!("-gate.{base_domain}")
}

/// Where somebody on this machine reaches who listens here.
pub(crate) fn near(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port())
        }
        ip => SocketAddr::new(ip, listen.port()),
    }
}

#[async_trait]
impl ClaimGates for Gates {
    async fn gate(&self, tenant: TenantId, was_active: bool) -> Result<Option<Gate>> {
        if !was_active {
            self.accounts.close_claim(tenant).await?;
        }
        let claim = self.accounts.claim(tenant).await?;
        Ok(claim.map(|claim| {
            let gate = Gate::new(format!("http://{}{PATH}{tenant}", self.address));
            if claim.open { gate.opened() } else { gate }
        }))
    }
}

/// What this server knows of gates, so that not each request asks the database.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownGates(Arc<Mutex<HashMap<TenantId, Known>>>);

#[derive(Clone, Copy, Debug)]
enum Known {
    /// For ever.
    Open,
    /// For somebody who brings nothing, as seen then.
    Closed(Instant),
}

impl KnownGates {
    fn get(&self, tenant: TenantId) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&tenant).copied().filter(|known| match known {
            Known::Open => true,
            Known::Closed(seen) => seen.elapsed() < BELIEVED,
        })
    }

    fn put(&self, tenant: TenantId, what: Known) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(tenant, what);
    }

    /// Asks the database the next time.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }
}

/// The link by which an owner comes in, at this address of the app.
pub(crate) fn link(accounts: &Accounts, claim: &Claim, url: &str, path: &str) -> String {
    format!("{url}{path}?{WORD}={}", accounts.claim_word(claim).expose_secret())
}

/// Answers the proxy, and leaves all else to the service. Its address is no part of the public
/// service: it is there only for who names the server by the address it listens on.
pub(crate) async fn beside<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let platform = request.data::<Platform>().cloned().ok_or_else(Problem::internal)?;
    let Some(tenant) = asked(&request, near(platform.config.listen)) else {
        return next.call(request).await.map(IntoResponse::into_response);
    };
    Ok(answer(&platform, tenant, &request).await.unwrap_or_else(|error| {
        tracing::error!(%tenant, error = error.chain(), "a gate can't be looked up; it stays closed");
        page(StatusCode::SERVICE_UNAVAILABLE, "This site can't be reached right now. Try again in a minute.")
    }))
}

fn asked(request: &Request, address: SocketAddr) -> Option<TenantId> {
    let tenant = request.uri().path().strip_prefix(PATH)?.parse().ok()?;
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    (request.method() == Method::GET && host.as_bytes() == address.to_string().as_bytes())
        .then_some(tenant)
}

async fn answer(platform: &Platform, tenant: TenantId, request: &Request) -> Result<Response> {
    let (accounts, known) = (&platform.accounts, &platform.gates);
    let visit = Visit::of(request.headers(), platform.config.traefik.https);
    match known.get(tenant) {
        Some(Known::Open) => return Ok(pass()),
        Some(Known::Closed(_)) if visit.brings_nothing() => return Ok(refuse(platform)),
        _ => {}
    }
    let from = ClientAddress::of(request, &platform.config.trusted_proxies).0;
    if let Err(problem) = platform.throttle.address(request, from) {
        let words = "There were too many requests from here. Wait, and try again.";
        let mut told = page(StatusCode::TOO_MANY_REQUESTS, words);
        let wait = problem.into_response().headers_mut().remove(header::RETRY_AFTER);
        told.headers_mut().extend(wait.map(|wait| (header::RETRY_AFTER, wait)));
        return Ok(told);
    }
    let Some(claim) = accounts.claim(tenant).await? else {
        // A gate that nobody made is none of ours to open.
        known.put(tenant, Known::Closed(Instant::now()));
        return Ok(refuse(platform));
    };
    if claim.open {
        known.put(tenant, Known::Open);
        return Ok(pass());
    }
    let known_visitor = visit.pass.as_ref().is_some_and(|pass| accounts.passes_claim(&claim, pass));
    if let Some(word) = &visit.word {
        if let Some(pass) = accounts.enter_claim(&claim, word).await? {
            tracing::info!(%tenant, "somebody came in by the owner's link");
            let mut event = AuditEvent::new("gate_entered");
            (event.means, event.address) = (AuditMeans::Link, Some(from));
            event.about.tenant = Some(tenant.as_uuid());
            // Who isn't written down doesn't come in: their owner finds another link.
            platform.audit.note(event).await?;
            return Ok(visit.enter(Some(&pass)));
        }
        if known_visitor {
            return Ok(visit.enter(None));
        }
    }
    if known_visitor {
        if claim.entered_at.is_none() {
            accounts.came_in(tenant).await?;
        }
        return Ok(pass());
    }
    if visit.brings_nothing() {
        known.put(tenant, Known::Closed(Instant::now()));
    }
    Ok(refuse(platform))
}

/// What the proxy tells of a visitor's request.
struct Visit<'a> {
    /// Its address, without the word.
    uri: String,
    word: Option<SecretString>,
    pass: Option<SecretString>,
    cookie: &'a str,
    https: bool,
}

impl<'a> Visit<'a> {
    fn of(headers: &HeaderMap, https: bool) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let uri = text("x-forwarded-uri").unwrap_or("/");
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let is_word = |part: &&str| part.split('=').next() == Some(WORD);
        // Only a link that somebody follows is used up, not one that a program looks at.
        let follows = text("x-forwarded-method") == Some("GET");
        let word = query.split('&').find(is_word).filter(|_| follows);
        let word = word.and_then(|part| part.split_once('=')).map(|(_, word)| word);
        // What can be neither word nor pass is not asked after.
        let word = word.filter(|word| Accounts::is_token(word)).map(SecretString::from);
        let rest: Vec<_> =
            query.split('&').filter(|part| !is_word(part) && !part.is_empty()).collect();
        // What browsers read as another host is no path of this one.
        let path = if path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') {
            path
        } else {
            "/"
        };
        let uri =
            if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
        // A whole address: the proxy takes a mere path for one of this server's.
        let scheme = if https { "https" } else { "http" };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
        let uri = match text("x-forwarded-host").filter(|host| host.bytes().all(is_host)) {
            Some(host) => format!("{scheme}://{host}{uri}"),
            None => uri,
        };
        let cookie = cookie_name(https);
        let pass = carried(headers, cookie).filter(|pass| Accounts::is_token(pass));
        Self { uri, word, pass: pass.map(SecretString::from), cookie, https }
    }

    const fn brings_nothing(&self) -> bool {
        self.word.is_none() && self.pass.is_none()
    }

    /// Leads on to where the link led, without the word; with a pass, unless there is one already.
    fn enter(&self, pass: Option<&SecretString>) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        let headers = response.headers_mut();
        if let Ok(uri) = HeaderValue::from_str(&self.uri) {
            headers.insert(header::LOCATION, uri);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(pass) = pass {
            let secure = if self.https { "; Secure" } else { "" };
            let (name, age) = (self.cookie, Accounts::CLAIM.as_secs());
            let pass = pass.expose_secret();
            // Without a domain it is for this host alone.
            let line =
                format!("{name}={pass}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
            if let Ok(mut line) = HeaderValue::from_str(&line) {
                line.set_sensitive(true);
                headers.insert(header::SET_COOKIE, line);
            }
        }
        response
    }
}

/// The name of the pass's cookie: with https, one that no sibling site can plant.
const fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-fresco_gate" } else { "fresco_gate" }
}

/// A cookie's value. One that comes twice was planted beside the real one: then none is believed.
fn carried<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = cookies(headers, name);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

fn pass() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn refuse(platform: &Platform) -> Response {
    let words = format!(
        "This site has not been set up yet. If it is yours, open it with its link, which you find <a href=\"{}\">in your account</a>.",
        platform.config.public_url
    );
    page(StatusCode::FORBIDDEN, &words)
}

/// A page with a sentence in HTML.
fn page(status: StatusCode, sentence: &str) -> Response {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><title>Not open yet</title></head>\n<body><p>{sentence}</p></body></html>\n"
    );
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    static TOKEN: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "0f".repeat(32));

    /// A visit; `@` stands for what may be a word or a pass.
    fn visit(method: &'static str, uri: &str, cookies: &[&str]) -> Visit<'static> {
        let mut headers = HeaderMap::new();
        let value = |text: &str| text.replace('@', &TOKEN).parse::<HeaderValue>().unwrap();
        headers.insert("x-forwarded-method", value(method));
        headers.insert("x-forwarded-uri", value(uri));
        for cookie in cookies {
            headers.append(header::COOKIE, value(cookie));
        }
        Visit::of(&headers, false)
    }

    fn text(secret: &Option<SecretString>) -> Option<&str> {
        secret.as_ref().map(ExposeSecret::expose_secret)
    }

    #[test]
    fn a_link_is_read_and_taken_out_of_the_address() {
        for (method, uri, word, rest) in [
            ("GET", "/setup?fresco_claim=@", Some("@"), "/setup"),
            ("GET", "/setup?a=1&fresco_claim=@&b=2", Some("@"), "/setup?a=1&b=2"),
            ("GET", "/setup", None, "/setup"),
            ("GET", "/setup?xfresco_claim=@", None, "/setup?xfresco_claim=@"),
            ("HEAD", "/setup?fresco_claim=@", None, "/setup"),
            ("POST", "/setup?fresco_claim=@", None, "/setup"),
            ("GET", "//evil.example?fresco_claim=@", Some("@"), "/"),
            ("GET", "/\\evil.example?fresco_claim=@", Some("@"), "/"),
        ] {
            let visit = visit(method, uri, &[]);
            let (word, rest) = (word.map(|_| TOKEN.as_str()), rest.replace('@', &TOKEN));
            assert_eq!((text(&visit.word), &visit.uri), (word, &rest), "{method} {uri}");
        }
    }

    #[test]
    fn who_comes_in_is_led_to_the_host_they_asked_for() {
        for (host, there) in [
            ("a.localhost:8000", "https://a.localhost:8000/setup"),
            ("a.example.org", "https://a.example.org/setup"),
            ("a.example.org/x@evil.example", "/setup"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-uri", HeaderValue::from_static("/setup"));
            headers.insert("x-forwarded-host", HeaderValue::from_static(host));
            assert_eq!(Visit::of(&headers, true).uri, there);
        }
    }

    #[test]
    fn a_pass_that_comes_twice_is_none() {
        let of = |cookies: &[&str]| text(&visit("GET", "/", cookies).pass).map(str::to_owned);
        assert_eq!(of(&["a=1; fresco_gate=@"]).as_deref(), Some(TOKEN.as_str()));
        assert_eq!(of(&["fresco_gate=@", "fresco_gate=@"]), None);
        assert_eq!(of(&["fresco_gate=x"]), None, "it can be none");
        assert_eq!(of(&["a=1"]), None);
    }

    #[test]
    fn who_listens_on_all_addresses_is_asked_on_the_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:3000", "127.0.0.1:3000"),
            ("127.0.0.1:3100", "127.0.0.1:3100"),
        ] {
            assert_eq!(near(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
