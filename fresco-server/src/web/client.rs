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
use crate::http::cookies::cookies;
use crate::http::credentials::cookie_name;
use crate::http::edge;
use crate::platform::Platform;
use crate::web::words;

const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");
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
    /// The name of the session's cookie.
    session: &'static str,
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
        Self { headers, address, session: cookie_name(platform.config.public_url.is_https()) }
    }

    /// The same, for a call that is done once.
    pub(super) fn once(&self, key: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.extend(HeaderValue::from_str(key).ok().map(|key| (IDEMPOTENCY, key)));
        Self { headers, ..*self }
    }

    /// Whether it may be somebody who is, or was, signed in. Other cookies may be of the whole domain.
    pub(super) fn has_session(&self) -> bool {
        cookies(&self.headers, self.session).next().is_some()
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

    /// The words for this field, if it is the one that is meant.
    pub(super) fn of_field(&self, name: &str) -> Option<&str> {
        (self.field.as_deref() == Some(name)).then_some(&self.detail)
    }

    /// Whether signing in is what helps.
    pub(super) fn is_not_signed_in(&self) -> bool {
        self.code == "not_signed_in"
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
        let request = Request::builder().method(Method::POST).uri_str(format!("/api/{name}"));
        let mut response = self.send(by, request.body(without_nulls(body).to_string())).await;
        let cookies = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        if !response.status().is_success() {
            let refusal: Refusal = read(name, &mut response).await?;
            return Err(Refusal { detail: words::plain(&refusal.detail), ..refusal });
        }
        Ok(Answered { body: read(name, &mut response).await?, cookies })
    }

    /// What `/health` tells. That some part can't be used is no refusal.
    ///
    /// # Errors
    /// What the API refuses it with.
    pub(super) async fn health<T: DeserializeOwned>(&self, by: &OnBehalf) -> Result<T, Refusal> {
        let request = Request::builder().method(Method::GET).uri_str("/health").finish();
        let mut response = self.send(by, request).await;
        match response.status() {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => read("health", &mut response).await,
            _ => Err(read("health", &mut response).await?),
        }
    }

    async fn send(&self, by: &OnBehalf, mut request: Request) -> Response {
        *request.headers_mut() = by.headers.clone();
        request.set_data(self.platform.clone());
        request.extensions_mut().insert(ClientAddress(by.address));
        self.api.call(request).await.unwrap_or_else(edge::response)
    }
}

/// What an answer says; a refusal of our own when that can't be read.
async fn read<T: DeserializeOwned>(name: &str, answer: &mut Response) -> Result<T, Refusal> {
    let status = answer.status();
    let unreadable = |error: &dyn fmt::Display| {
        tracing::error!(call = name, %status, error = %error, "a page could not read the API's answer");
        Refusal::unreadable()
    };
    let bytes = answer.take_body().into_bytes_limit(MOST_ANSWER).await;
    let bytes = bytes.map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
}

/// What a page knows nothing of is not told.
fn without_nulls(body: &Value) -> Value {
    match body {
        Value::Object(fields) => {
            let known = fields.iter().filter(|(_, value)| !value.is_null());
            known.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        _ => body.clone(),
    }
}
