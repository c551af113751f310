//! One request to a page: who asks, for what, and with what answer.

use std::collections::HashMap;

use askama::Template;
use fresco_core::{Generation, Route, Subdomain, TenantId};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::http::problem::Problem;
use crate::platform::Platform;
use crate::web::Web;
use crate::web::client::{Answered, OnBehalf, Refusal};
use crate::web::error::Asker;
use crate::web::layout::{Account, Notice, Page, Site};

/// A name that stands for the one that somebody is about to choose.
const SAMPLE: &str = "your-study";

/// A page's answer.
pub(super) type Outcome = Result<Response, Stop>;

/// Why there is no such page.
#[derive(Debug)]
pub(super) enum Stop {
    /// The API refuses what the page needs. Of one that asks to sign in, the visitor is led there.
    Refused(Refusal),
    /// The page can't be rendered.
    Template(askama::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<askama::Error> for Stop {
    fn from(error: askama::Error) -> Self {
        Self::Template(error)
    }
}

/// One request to a page.
#[derive(Debug)]
pub(super) struct Visit {
    web: Web,
    by: OnBehalf,
    /// Who is signed in; or why nobody knows.
    account: Result<Option<Account>, Refusal>,
    target: String,
    path: String,
    parts: HashMap<String, String>,
    query: HashMap<String, String>,
    form: Form,
}

impl Visit {
    pub(super) async fn of(web: Web, mut request: Request) -> Result<Self, Problem> {
        let by = OnBehalf::of(&request, &web.platform);
        let path = request.uri().path().to_owned();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let (target, query) = (target.to_owned(), pairs(request.uri().query().unwrap_or("")));
        let form = match *request.method() {
            Method::POST => Form::read(&mut request).await?,
            _ => Form::default(),
        };
        let parts = request.path_params::<HashMap<String, String>>().unwrap_or_default();
        let account = web.account(&by).await;
        let query = query.into_iter().collect();
        Ok(Self { web, by, account, target, path, parts, query, form })
    }

    pub(super) fn asker(&self) -> Asker {
        Asker {
            site: self.web.site.clone(),
            account: self.account.clone(),
            // Whoever looks at the address of a form is led to its page.
            target: self.form.some("back").unwrap_or(&self.target).to_owned(),
            path: self.path.clone(),
            had_session: self.by.has_session(),
        }
    }

    /// Who is signed in. A page that needs nobody is shown in any case, also while nobody knows.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref().ok()?.as_ref()
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// When nobody is, the visitor is asked to sign in and comes back; when that can't be known now, the
    /// page says why.
    pub(super) fn signed_in(&self) -> Result<&Account, Stop> {
        match &self.account {
            Ok(Some(account)) => Ok(account),
            Ok(None) => {
                let words = "Sign in first.";
                Err(Refusal::new(StatusCode::UNAUTHORIZED, "not_signed_in", words).into())
            }
            Err(refusal) => Err(refusal.clone().into()),
        }
    }

    /// The platform's configuration.
    pub(super) fn config(&self) -> &crate::config::Config {
        &self.web.platform.config
    }

    /// The address that an instance of this name would have.
    pub(super) fn address_of(&self, subdomain: &Subdomain) -> String {
        let Platform { config, orchestrator, .. } = &self.web.platform;
        let (host, port) = (config.base_domain.join(subdomain), config.tenants.app.port);
        let route = Route::new(TenantId::new(), Generation::new(0), host, port);
        orchestrator.backends().router.plan(&route).url
    }

    /// What the address of an instance has before and after its name.
    pub(super) fn address_around(&self) -> (String, String) {
        let address = SAMPLE.parse().map(|sample| self.address_of(&sample)).unwrap_or_default();
        let (before, after) = address.split_once(SAMPLE).unwrap_or_default();
        (before.to_owned(), after.to_owned())
    }

    /// The part of the path that stands for anything, in braces in its route.
    pub(super) fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }

    /// The address of this pattern, whose parts in braces are those of the present one.
    pub(super) fn filled(&self, pattern: &str) -> String {
        let fill = |path: String, (name, part): (&String, &String)| {
            let part: String = url::form_urlencoded::byte_serialize(part.as_bytes()).collect();
            path.replace(&format!("{{{name}}}"), &part)
        };
        self.parts.iter().fold(pattern.to_owned(), fill)
    }

    /// A value of the query; empty when there is none.
    pub(super) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// What was typed into the form.
    pub(super) const fn form(&self) -> &Form {
        &self.form
    }

    /// The id that a part of the address is; without one there is nothing like it.
    ///
    /// # Errors
    /// 404, in these words.
    pub(super) fn id(&self, part: &str, words: &str) -> Result<Uuid, Stop> {
        let unknown = |_| Refusal::new(StatusCode::NOT_FOUND, "not_found", words).into();
        self.part(part).parse().map_err(unknown)
    }

    /// Calls the API for the visitor.
    ///
    /// # Errors
    /// What it refuses.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        body: Value,
    ) -> Result<T, Refusal> {
        Ok(self.call_with_cookies(name, body).await?.body)
    }

    /// The same of a call that is done once, however often it comes with this key.
    ///
    /// # Errors
    /// What it refuses.
    pub(super) async fn call_once<T: DeserializeOwned>(
        &self,
        name: &str,
        body: Value,
        key: &str,
    ) -> Result<T, Refusal> {
        Ok(self.web.client.call(&self.by.once(key), name, &body).await?.body)
    }

    /// The same of a call that signs in or out.
    ///
    /// # Errors
    /// What it refuses.
    pub(super) async fn call_with_cookies<T: DeserializeOwned>(
        &self,
        name: &str,
        body: Value,
    ) -> Result<Answered<T>, Refusal> {
        self.web.client.call(&self.by, name, &body).await
    }

    /// What `/health` tells.
    ///
    /// # Errors
    /// What the API refuses it with.
    pub(super) async fn health<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        self.web.client.health(&self.by).await
    }

    /// What all pages have in common.
    pub(super) fn site(&self) -> &Site {
        &self.web.site
    }

    /// The frame of a page with this title, which tells what an action before has led to.
    pub(super) fn page(&self, title: &str) -> Page {
        Page::new(&self.web.site, &self.account, &self.path, title)
            .with_notice(Notice::done(self.query("done")))
    }

    /// The frame of the same page after its form was refused.
    pub(super) fn refused_page(&self, title: &str, refusal: &Refusal) -> Page {
        self.page(title).with_notice(Some(Notice::refusal(refusal)))
    }
}

/// The answer that is this page.
///
/// # Errors
/// When it can't be rendered.
pub(super) fn show(page: &impl Template) -> Outcome {
    show_with(StatusCode::OK, page)
}

/// The answer that is the page of a form that was refused: what was typed stays.
///
/// # Errors
/// When it can't be rendered.
pub(super) fn show_refused(refusal: &Refusal, page: &impl Template) -> Outcome {
    show_with(StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST), page)
}

pub(super) fn show_with(status: StatusCode, page: &impl Template) -> Outcome {
    Ok(html(status, page.render()?))
}

/// What pages load and send stays here, and nothing is written in them that a browser would run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn html(status: StatusCode, text: String) -> Response {
    Response::builder()
        .status(status)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .body(text)
}

/// Leads to another page, which the browser then asks for with GET.
pub(super) fn go(to: &str) -> Outcome {
    go_with(to, Vec::new())
}

/// The same, and sets these cookies.
pub(super) fn go_with(to: &str, cookies: Vec<HeaderValue>) -> Outcome {
    let mut response = Response::builder().status(StatusCode::SEE_OTHER).finish();
    // An address of ours is ASCII; whatever else it were, the first page is there.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// What was typed into a form.
#[derive(Default)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // There are passwords among the values.
        f.debug_struct("Form").field("fields", &self.fields.len()).finish_non_exhaustive()
    }
}

impl Form {
    async fn read(request: &mut Request) -> Result<Self, Problem> {
        let body = request.take_body().into_bytes().await.map_err(|_| Problem::internal())?;
        let fields = url::form_urlencoded::parse(&body).into_owned().collect();
        Ok(Self { fields })
    }

    /// The first value of this field; empty when there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// The same without blanks around it, and `None` for an empty one.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|text| !text.is_empty())
    }

    /// All values of this field.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.fields.iter().filter(move |(field, _)| field == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }
}
