//! The API as a page calls it for its visitor: the same endpoint, in this process.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use poem::endpoint::DynEndpoint;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::client::ClientAddress;
use crate::http::edge;
use crate::platform::Platform;
use crate::web::words;

/// What of a visitor's request goes with the calls that are made for it. Not where it comes from:
/// the page's own guard has looked at that.
const PASSED_ON: [HeaderName; 3] = [header::HOST, header::COOKIE, header::USER_AGENT];
/// Of an answer that is read whole.
const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// Calls the API.
#[derive(Clone)]
pub(super) struct Client {
    api: Arc<dyn DynEndpoint<Output = Response>>,
    platform: Platform,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// For whom a call is made.
#[derive(Clone, Debug)]
pub(super) struct OnBehalf {
    headers: HeaderMap,
    address: IpAddr,
}

impl OnBehalf {
    pub(super) fn of(request: &Request, platform: &Platform) -> Self {
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            for value in request.headers().get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let ClientAddress(address) = ClientAddress::of(request, &platform.config.trusted_proxies);
        Self { headers, address }
    }

    /// Whether it may be somebody who is, or was, signed in.
    pub(super) fn has_cookie(&self) -> bool {
        self.headers.contains_key(header::COOKIE)
    }
}

/// What the API says instead of an answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// The stable word.
    pub(super) code: String,
    /// What happened and what to do, for people.
    pub(super) detail: String,
    /// The field that is meant.
    pub(super) field: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, detail: &str) -> Self {
        let (code, detail) = (code.to_owned(), detail.to_owned());
        Self { status: status.as_u16(), code, detail, field: None }
    }

    fn unreadable() -> Self {
        let words = "Something went wrong on our side; it is in the log. Try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", words)
    }
}

/// An answer, and the cookies that come with it.
#[derive(Debug)]
pub(super) struct Answered<T> {
    pub(super) body: T,
    pub(super) cookies: Vec<HeaderValue>,
}

impl Client {
    pub(super) fn new(api: Arc<dyn DynEndpoint<Output = Response>>, platform: Platform) -> Self {
        Self { api, platform }
    }

    /// Makes the call of this name, such as `tenants.list`.
    ///
    /// # Errors
    /// What the API refuses it with.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        by: &OnBehalf,
        name: &str,
        body: &Value,
    ) -> Result<Answered<T>, Refusal> {
        let uri = format!("/api/{name}");
        let request = Request::builder().method(Method::POST).uri_str(uri).body(body.to_string());
        let mut request = request;
        *request.headers_mut() = by.headers.clone();
        request.set_data(self.platform.clone());
        request.extensions_mut().insert(ClientAddress(by.address));
        let mut response = self.api.call(request).await.unwrap_or_else(edge::response);
        let (status, body) = (response.status(), response.take_body());
        let cookies = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        let unreadable = |error: &dyn fmt::Display| {
            tracing::error!(call = name, %status, error = %error, "a page could not read the API's answer");
            Refusal::unreadable()
        };
        let bytes = body.into_bytes_limit(MOST_ANSWER).await.map_err(|error| unreadable(&error))?;
        if !status.is_success() {
            let refusal: Refusal =
                serde_json::from_slice(&bytes).unwrap_or_else(|error| unreadable(&error));
            return Err(Refusal { detail: words::plain(&refusal.detail), ..refusal });
        }
        let body = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        Ok(Answered { body, cookies })
    }
}
