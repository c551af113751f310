//! The outermost layer: whatever goes wrong leaves as a problem document.

use std::any::Any;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParsePathError, ParseRequestPayloadError,
};

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
    if let Some(ParseRequestPayloadError { reason }) = error.downcast_ref() {
        return bad(format!("The body can't be read: {}.", plain(reason)));
    }
    if let Some(ParsePathError { name, .. }) = error.downcast_ref() {
        return bad(format!("The part {name} of the path can't be read."));
    }
    // The router's own: it could not decode the path.
    if error.is::<poem::error::ParsePathError>() {
        return bad("The path, decoded, is not UTF-8.".into());
    }
    if error.is::<ContentTypeError>() {
        let words = "Send JSON, with the header Content-Type: application/json.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Problem::new(status, "unsupported_media_type", words);
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

/// A reason of the framework's, short, and without the value that it quotes: that may be a secret
/// which went into the wrong place.
fn plain(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or("");
    let told = match line.split_once(", found ") {
        Some((expected, found)) => {
            let kind = match found.bytes().next() {
                Some(b'"') => "a string",
                Some(b'{') => "an object",
                Some(b'[') => "an array",
                Some(b't' | b'f') => "true or false",
                Some(b'n') => "null",
                _ => "a number",
            };
            format!("{expected}, found {kind}")
        }
        None => line.to_owned(),
    };
    told.trim_end_matches('.').chars().take(300).collect()
}

/// The answer to a panic.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request's handler panicked");
    Problem::internal().into_response()
}

/// Headers of every answer, and a line in the log.
pub(crate) async fn finish<E: Endpoint>(
    inner: std::sync::Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let start = std::time::Instant::now();
    let mut answer = inner.call(request).await.map_or_else(response, IntoResponse::into_response);
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A tenant's page, which comes from the same site, must not lay the explorer under its own
    // buttons.
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let (status, milliseconds) = (answer.status().as_u16(), start.elapsed().as_millis());
    tracing::debug!(%method, path, status, milliseconds, "answered");
    Ok(answer)
}
