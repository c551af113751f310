//! Errors as HTTP shows them: RFC 9457 problem documents with a stable code.

mod kinds;

use std::borrow::Cow;
use std::time::Duration;

use fresco_core::Error;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

use crate::accounts::Scope;

/// After how many seconds it is worth to ask a full platform again.
const FULL_RETRY: u32 = 300;
/// After how many seconds it is worth to ask again when tenants were not proved to be kept apart.
const UNPROVED_RETRY: u32 = 30;

/// What answers of 401 ask for.
const CHALLENGES: &str = "Cookie realm=\"Fresco Platform\", Bearer realm=\"Fresco Platform\"";

/// An error's document.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Problem", rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct ProblemBody {
    /// A reference to the kind of problem: `about:blank`, since `code` names it.
    #[oai(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened, as a stable word for programs.
    code: String,
    /// What happened and what to do, for people.
    detail: String,
    /// The field of the request that is meant, if it is one.
    field: Option<String>,
    /// The operation that is in the way, for `operation_in_progress`.
    operation_id: Option<String>,
}

/// The stable word of an answer's problem, for those who look at answers on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProblemCode(pub(crate) &'static str);

/// What an answer's problem says for people, for those who show it otherwise.
#[derive(Clone, Debug)]
pub(crate) struct ProblemWords(pub(crate) String);

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: ProblemCode,
    body: Box<ProblemBody>,
    retry_after: Option<u32>,
    allow: Option<HeaderValue>,
}

impl Problem {
    /// A problem with this status, code and words.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let body = ProblemBody {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into().into_owned(),
            field: None,
            operation_id: None,
        };
        let code = ProblemCode(code);
        Self { status, code, body: Box::new(body), retry_after: None, allow: None }
    }

    /// 422: the request can be read, but this field's value can't be used.
    pub(crate) fn field(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.body.field = Some(field.into());
        problem
    }

    /// The same problem, meaning this field.
    pub(crate) fn of_field(mut self, field: &str) -> Self {
        self.body.field = Some(field.into());
        self
    }

    /// The same problem, meaning this field in place of that one.
    pub(crate) fn renamed(self, from: &str, to: &str) -> Self {
        if self.body.field.as_deref() == Some(from) { self.of_field(to) } else { self }
    }

    /// 409: what this leads to needs a letter, and the platform sends none.
    pub(crate) fn no_mail() -> Self {
        let words = "This platform sends no mail, so this can't be done here. Ask its operators.";
        Self::new(StatusCode::CONFLICT, "no_mail", words)
    }

    /// 401: nobody is signed in.
    pub(crate) fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", "Sign in first.")
    }

    /// 401: this key is none, or no longer.
    pub(crate) fn invalid_key() -> Self {
        let words = "This API key is not valid: it is mistyped, was revoked or has expired.";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_key", words)
    }

    /// 400: a cookie and a key came together.
    pub(crate) fn two_credentials() -> Self {
        let words = "Send the session's cookie or an API key, not both.";
        Self::new(StatusCode::BAD_REQUEST, "two_credentials", words)
    }

    /// 403: no key will do for this.
    pub(crate) fn session_required() -> Self {
        let words = "This can't be done with an API key. Sign in.";
        Self::new(StatusCode::FORBIDDEN, "session_required", words)
    }

    /// 403: the key is for other things.
    pub(crate) fn insufficient_scope(needed: Scope) -> Self {
        let words = format!("This needs an API key with the scope {needed}.");
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", words)
    }

    /// 403: only those may who look after the platform.
    pub(crate) fn not_admin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_admin", "Only admins of the platform may do this.")
    }

    /// 403: the account is shut. Only who knows its password is told.
    pub(crate) fn suspended() -> Self {
        let words = "This account is suspended. Ask whoever runs the platform.";
        Self::new(StatusCode::FORBIDDEN, "suspended", words)
    }

    /// 405: the address answers these methods only.
    pub(crate) fn method_not_allowed(methods: &str) -> Self {
        let words = format!("This address answers only {methods}; /docs shows how.");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words);
        problem.allow = HeaderValue::from_str(methods).ok();
        problem
    }

    /// 409: this subdomain is somebody's.
    pub(crate) fn subdomain_taken() -> Self {
        let words = "This subdomain is taken. Choose another.";
        let mut problem = Self::new(StatusCode::CONFLICT, "subdomain_taken", words);
        problem.body.field = Some("subdomain".into());
        problem
    }

    /// 409: this subdomain is kept for the one who had it.
    pub(crate) fn subdomain_kept() -> Self {
        let words = "This subdomain was somebody else's until lately, and links to it are still about, so it is kept for its former owner. If that is you, sign in first; else choose another.";
        Self::new(StatusCode::CONFLICT, "subdomain_cooldown", words).of_field("subdomain")
    }

    /// What one owner may have is used up.
    fn quota(error: &Error) -> Self {
        let most = error.context("most").unwrap_or("the most");
        let seconds = error.context("seconds").and_then(|text| text.parse().ok());
        match error.context("quota") {
            Some("tenants") => {
                let words = format!(
                    "You have as many tenants as one may have here: {most}. Destroy one that is not needed, or ask the operators."
                );
                Self::new(StatusCode::CONFLICT, "too_many_tenants", words)
            }
            Some("creations") => {
                let words = format!(
                    "You have asked for as many tenants as one may within an hour: {most}. Wait, and try again."
                );
                let wait = Duration::from_secs(seconds.unwrap_or(60));
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_deploys", words).after(wait)
            }
            _ if most == "0" => {
                let words = "Only people whose address is known to be theirs have tenants here. Verify your e-mail address, then try again.";
                Self::new(StatusCode::FORBIDDEN, "verification_required", words)
            }
            _ => {
                let words = format!(
                    "This platform runs {most} tenants of people who have not shown yet that their address is theirs, and there is no place for one more. Verify your e-mail address, then try again."
                );
                Self::new(StatusCode::FORBIDDEN, "verification_required", words)
            }
        }
    }

    /// 403: who may sign up is the operators' choice.
    fn signup(error: &Error, words: String) -> Self {
        let code = match error.context("signup") {
            Some("domains") => "email_domain_refused",
            Some("invite") => "invite_required",
            _ => "signup_closed",
        };
        Self::new(StatusCode::FORBIDDEN, code, words)
    }

    /// 404, in the same words for what is not there and for what is another's.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    /// 429: this person listens to so many streams already.
    pub(crate) fn too_many_streams(most: usize) -> Self {
        let words = format!("You have {most} streams open. Close one, and try again.");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", words);
        problem.retry_after = Some(5);
        problem
    }

    /// 429: somebody asks too often; one more is let in after this time.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let words = "There were too many requests from here. Wait, and try again.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", words).after(wait)
    }

    /// 429: too many passwords were tried for one account.
    pub(crate) fn too_many_attempts(wait: Duration) -> Self {
        let words = "Too many passwords were tried for this address from where it was not signed in before. Wait, or sign in from where you did.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", words).after(wait)
    }

    /// 503: the answer took longer than this.
    pub(crate) fn late(deadline: Duration) -> Self {
        let seconds = deadline.as_secs();
        let words = format!(
            "There was no answer within {seconds} seconds. What was asked for may have been done; look before you try again."
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", words).after(Duration::from_secs(5))
    }

    /// The same problem, with the time after which it is worth to ask again.
    fn after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        // A float's cast saturates.
        self.retry_after = Some(seconds as u32);
        self
    }

    /// 500, without any word of the cause.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong here. It was noted; try again, and tell the operators if it stays.",
        )
    }

    fn unavailable(words: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", words);
        problem.retry_after = Some(5);
        problem
    }

    /// 503: tenants are not proved to be kept apart. The reason is the operators'.
    fn unproved() -> Self {
        let words = "The platform lets no new tenant in at the moment, since it can't prove that tenants are kept apart. Nothing was changed; try again later. Operators: /health and `fresco-server doctor` tell more.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut problem = Self::new(status, "isolation_unproved", words);
        problem.retry_after = Some(UNPROVED_RETRY);
        problem
    }

    /// 503: what was done could not be written into the audit log.
    pub(crate) fn unnoted() -> Self {
        let words = "This could not be written into the audit log, so its answer is not given. What was asked for may have been done; look before you try again.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", words);
        problem.after(Duration::from_secs(5))
    }

    /// The stable word.
    pub(crate) fn code(&self) -> &str {
        &self.body.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .content_type(ProblemJson::CONTENT_TYPE)
            .body(self.body.to_json_string());
        response.set_data(self.code);
        response.set_data(ProblemWords(self.body.detail));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, methods);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenges = HeaderValue::from_static(CHALLENGES);
            headers.insert(header::WWW_AUTHENTICATE, challenges);
        }
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let (code, words) = (problem.code, ProblemWords(problem.body.detail.clone()));
        let mut error = Self::from_response(problem.into_response());
        // An error's own data takes the place of its answer's.
        error.set_data(code);
        error.set_data(words);
        error
    }
}

struct ProblemJson;

impl Payload for ProblemJson {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        ProblemBody::schema_ref()
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

/// Every operation documents its errors in the same way: their codes differ, their shape does not.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let response = |range: &str, description| MetaResponse {
            description,
            status: None,
            status_range: Some(range.into()),
            content: vec![MetaMediaType {
                content_type: ProblemJson::CONTENT_TYPE,
                schema: ProblemJson::schema_ref(),
            }],
            headers: vec![],
        };
        MetaResponses {
            responses: vec![
                response("4XX", "The request can't be done as it is; `code` says why."),
                response("5XX", "The platform can't do it now; nothing is lost."),
            ],
        }
    }

    fn register(registry: &mut Registry) {
        ProblemJson::register(registry);
    }
}
