//! HTTP: which path answers what.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::database::{Database, DatabaseError};
use crate::{log, page};

/// More visitors than this at a time wait to be accepted: memory is small.
const CONNECTIONS: usize = 256;
/// Buffer of one connection, in bytes.
const BUFFER: usize = 16 * 1024;
/// How long a connection may take to send a request, or stay idle.
const HEADER_LIMIT: Duration = Duration::from_secs(15);
/// Pause after a failed accept (no file descriptors left, say), so that it doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

type Answer = Response<Full<Bytes>>;

/// Starts to listen.
///
/// # Errors
/// The address is not this machine's, or is taken.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

struct App {
    config: Config,
    database: Database,
}

/// Serves until the program ends.
pub(crate) async fn serve(listener: TcpListener, config: Config, database: Database) -> Infallible {
    let app = Arc::new(App { config, database });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed, so this always gives a place.
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::error(format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let app = Arc::clone(&app);
                async move { Ok::<_, Infallible>(answer(&app, &request).await) }
            });
            // A visitor who goes away in the middle is nobody's error.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

async fn answer(app: &App, request: &Request<Incoming>) -> Answer {
    let method = request.method();
    let reads = *method == Method::GET || *method == Method::HEAD;
    // HEAD changes nothing, so it is not offered where a GET does.
    let acts = *method == Method::GET || *method == Method::POST;
    match request.uri().path() {
        "/" if reads => with(StatusCode::PERMANENT_REDIRECT, LOCATION, "/signin", String::new()),
        "/signin" if reads => signin(app).await,
        "/whoami" if reads => whoami(app).await,
        "/visit" if acts => visit(app).await,
        "/setup" if app.config.switches.claim && acts => setup(app).await,
        "/" | "/signin" | "/whoami" => not_allowed("GET, HEAD"),
        "/visit" => not_allowed("GET, POST"),
        "/setup" if app.config.switches.claim => not_allowed("GET, POST"),
        _ => html(StatusCode::NOT_FOUND, page::sentence("no such page")),
    }
}

async fn signin(app: &App) -> Answer {
    if app.config.switches.never_healthy {
        return html(
            StatusCode::INTERNAL_SERVER_ERROR,
            page::sentence("never healthy, as APP_NEVER_HEALTHY asks"),
        );
    }
    // Green whatever the database does: the real app renders this page without it.
    let standing = app.database.standing().await;
    html(StatusCode::OK, page::html(&app.config, &standing))
}

async fn whoami(app: &App) -> Answer {
    let (status, body) = match app.database.standing().await {
        Ok(standing) => (StatusCode::OK, page::whoami(&app.config, &standing)),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"database unreachable"}"#.to_owned())
        }
    };
    with(status, CONTENT_TYPE, JSON, body)
}

async fn visit(app: &App) -> Answer {
    if let Err(error) = app.database.count_visit().await {
        return unreachable(&error);
    }
    match app.database.standing().await {
        Ok(standing) => html(StatusCode::OK, page::html(&app.config, &Ok(standing))),
        Err(error) => unreachable(&error),
    }
}

async fn setup(app: &App) -> Answer {
    match app.database.claim().await {
        Ok(true) => html(StatusCode::OK, page::sentence("you own this now")),
        Ok(false) => html(StatusCode::FORBIDDEN, page::sentence("already owned")),
        Err(error) => unreachable(&error),
    }
}

/// The reason was logged where it happened; a visitor learns only that it is so.
fn unreachable(_: &DatabaseError) -> Answer {
    html(StatusCode::SERVICE_UNAVAILABLE, page::sentence("database unreachable"))
}

fn not_allowed(methods: &'static str) -> Answer {
    with(StatusCode::METHOD_NOT_ALLOWED, ALLOW, methods, String::new())
}

fn html(status: StatusCode, body: String) -> Answer {
    with(status, CONTENT_TYPE, HTML, body)
}

fn with(status: StatusCode, header: HeaderName, value: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header, hyper::header::HeaderValue::from_static(value));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    answer
}
