//! The outermost layer: whatever goes wrong leaves as a problem document.

use std::any::Any;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use poem_openapi::error::{AuthorizationError, ParsePathError};

use crate::http::problem::Problem;

/// The answer to an error: the problem that it carries, or one made of what the framework says.
pub(crate) fn response(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    problem(&error).into_response()
}

fn problem(error: &poem::Error) -> Problem {
    let bad = |words: String| Problem::new(StatusCode::BAD_REQUEST, "invalid_request", words);
    if let Some(ParsePathError { name, .. }) = error.downcast_ref() {
        return bad(format!("The part {name} of the path can't be read."));
    }
    // The router's own: it could not decode the path.
    if error.is::<poem::error::ParsePathError>() {
        return bad("The path, decoded, is not UTF-8.".into());
    }
    if error.is::<AuthorizationError>() {
        return Problem::not_signed_in();
    }
    match error.status() {
        StatusCode::NOT_FOUND => {
            let words = "There is nothing at this address; /docs shows what there is.";
            Problem::new(StatusCode::NOT_FOUND, "not_found", words)
        }
        status if status.is_client_error() => {
            Problem::new(status, "invalid_request", "The request can't be read.")
        }
        _ => {
            tracing::error!(%error, "a request failed");
            Problem::internal()
        }
    }
}

/// The answer to a panic.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request's handler panicked");
    Problem::internal().into_response()
}

/// An answer in any case, kept by nobody unless it says so, and a line in the log.
pub(crate) async fn finish<E: Endpoint>(
    inner: std::sync::Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let start = std::time::Instant::now();
    let mut answer = inner.call(request).await.map_or_else(response, IntoResponse::into_response);
    let headers = answer.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let (status, milliseconds) = (answer.status().as_u16(), start.elapsed().as_millis());
    tracing::debug!(%method, path, status, milliseconds, "answered");
    Ok(answer)
}
