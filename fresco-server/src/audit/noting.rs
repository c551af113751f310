//! The one layer that writes calls of the API into the audit log, and what pages of other sites send to ours.
//!
//! A call is written when it has been answered. When that fails the answer is not given: nobody gets
//! a session, a key or a tenant that the log does not tell of. What was done by then stays done, which
//! the answer says, and is in the program's own log; to write each call beforehand, too, would double
//! every write and tell little more. A caller who goes away, or waits too long, is written as such.

use std::net::IpAddr;
use std::sync::Arc;

use poem::http::{HeaderName, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};
use poem_openapi::registry::MetaApi;

use super::calls::is_audited;
use super::{Audit, Trail};
use crate::accounts::{AUDIT_OK, AuditActor};
use crate::http::addresses::matches;
use crate::http::client::ClientAddress;
use crate::http::credentials::has_key;
use crate::http::edge;
use crate::http::problem::{Problem, ProblemCode};
use crate::platform::Platform;

/// What lets a page of another origin read an answer.
const READABLE: [HeaderName; 3] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];
/// The outcome of a call whose caller did not wait for the answer: it may have been done.
const UNANSWERED: &str = "unanswered";

/// What a form that was sent to a page is called.
const FORM: &str = "page_form";
/// What is refused of whatever comes from another site, or to another's address.
const FROM_ELSEWHERE: [&str; 2] = ["foreign_origin", "misdirected"];

/// What is written of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// Each one.
    All,
    /// That somebody was not let in, who showed something or was known: of calls that only look.
    Denied,
    /// That it came from elsewhere: of the forms of pages, whose own calls are written as such.
    Foreign,
}

/// Writes down the calls that are to be.
#[derive(Clone, Debug)]
pub(crate) struct Noting {
    /// Their paths, methods and names, and what is written of them.
    calls: Arc<[(String, Method, &'static str, Written)]>,
}

impl Noting {
    pub(crate) fn new(calls: Vec<MetaApi>) -> Self {
        let paths = calls.into_iter().flat_map(|group| group.paths);
        let named = paths.filter_map(|path| {
            let mut named =
                path.operations.iter().filter_map(|call| Some((call, call.operation_id?)));
            let (call, name) = named.next()?;
            let written = if is_audited(name) { Written::All } else { Written::Denied };
            Some((path.path, call.method.clone(), name, written))
        });
        Self { calls: named.collect() }
    }

    /// That of pages with forms, at these addresses.
    pub(crate) fn of_forms(paths: impl Iterator<Item = &'static str>) -> Self {
        let form = |path: &str| (path.to_owned(), Method::POST, FORM, Written::Foreign);
        Self { calls: paths.map(form).collect() }
    }
}

impl<E: Endpoint> Middleware<E> for Noting {
    type Output = Noted<E>;

    fn transform(&self, inner: E) -> Noted<E> {
        Noted { noting: self.clone(), inner }
    }
}

/// An endpoint whose calls are written down.
#[derive(Debug)]
pub(crate) struct Noted<E> {
    noting: Noting,
    inner: E,
}

impl<E: Endpoint> Endpoint for Noted<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        // By another method it is no such call: a browser that asks what it may send, say.
        let mut calls = self.noting.calls.iter();
        let call = calls.find(|(path, method, ..)| {
            method == request.method() && matches(path, request.uri().path())
        });
        let call = call.map(|(_, _, name, written)| (*name, *written));
        let platform = request.data::<Platform>();
        let (Some((call, written)), Some(platform)) = (call, platform) else {
            return self.inner.call(request).await.map(IntoResponse::into_response);
        };
        let (audit, trail) = (platform.audit.clone(), Trail::default());
        let from = ClientAddress::of(&request, &platform.config.trusted_proxies).0;
        let showed_key = has_key(&request);
        let asked =
            Asked { audit, call, written, from, showed_key, trail: trail.clone(), answered: false };
        request.set_data(trail);
        let answer = self.inner.call(request).await;
        let answer = answer.map_or_else(edge::response, IntoResponse::into_response);
        asked.answer(answer).await
    }
}

/// A call that was made, until it is written down.
struct Asked {
    audit: Audit,
    call: &'static str,
    written: Written,
    from: IpAddr,
    /// Whether it came with a key, good or not.
    showed_key: bool,
    trail: Trail,
    answered: bool,
}

impl Asked {
    async fn answer(mut self, answer: Response) -> poem::Result<Response> {
        self.answered = true;
        let good = answer.status().is_success();
        // Of who shows nothing, or a session that has ended, there are too many to tell.
        let denied = answer.status() == StatusCode::FORBIDDEN
            || (answer.status() == StatusCode::UNAUTHORIZED && self.showed_key);
        let code = answer.data::<ProblemCode>().map_or("refused", |code| code.0);
        let written = match self.written {
            Written::All => !(good && self.trail.is_of_nothing()),
            Written::Denied => denied,
            Written::Foreign => FROM_ELSEWHERE.contains(&code),
        };
        if !written {
            return Ok(answer);
        }
        let Some(write) = self.write(if good { AUDIT_OK } else { code }) else { return Ok(answer) };
        match write.await {
            // What was refused has changed nothing.
            Err(_) if good => {
                let mut told = edge::response(Problem::unnoted().into());
                // The page of the one other origin that may call must be able to read it.
                for name in READABLE {
                    let line = answer.headers().get(&name).cloned();
                    told.headers_mut().extend(line.map(|line| (name, line)));
                }
                Ok(told)
            }
            _ => Ok(answer),
        }
    }

    /// Begins to write; `None` when this one is left out.
    fn write(
        &self,
        outcome: &'static str,
    ) -> Option<impl Future<Output = fresco_core::Result<()>> + Send + use<>> {
        let mut event = self.trail.event(self.call);
        (event.outcome, event.address) = (outcome.into(), Some(self.from));
        let known = event.actor != AuditActor::Anonymous && outcome == AUDIT_OK;
        if !known && !self.audit.admits(&event, self.from) {
            return None;
        }
        let audit = self.audit.clone();
        Some(async move { audit.note(event).await })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // Without a runtime the program is at its end.
        if !self.answered
            && self.written == Written::All
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let mut event = self.trail.event(self.call);
            (event.outcome, event.address) = (UNANSWERED.into(), Some(self.from));
            if event.actor != AuditActor::Anonymous || self.audit.admits(&event, self.from) {
                // It goes on by itself, and is waited for when the server stops.
                drop(self.audit.begin(event));
            }
        }
    }
}
