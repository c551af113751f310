//! The pages: what a person sees in a browser.
//!
//! They are rendered here, and all but signing up works without JavaScript; scripts make them live. Both
//! get what they show, and do what they do, by the calls of the API, as any other client: a page can do
//! nothing that its visitor could not do without it.

mod assets;
mod client;
mod error;
mod layout;
mod legal;
mod pages;
mod shapes;
mod visit;
mod words;

use std::sync::Arc;

use poem::endpoint::{DynEndpoint, ToDynEndpoint, make};
use poem::http::Method;
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, RouteMethod};
use serde_json::json;

use crate::audit::noting::Noting;
use crate::http::addresses::Addresses;
use crate::http::edge;
use crate::http::guard::Guard;
use crate::platform::Platform;
use crate::web::client::{Client, OnBehalf, Refusal};
use crate::web::layout::{Account, SignedIn, Site};
use crate::web::visit::{Outcome, Visit};

/// What pages are made with.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    client: Client,
    site: Arc<Site>,
    platform: Platform,
}

/// The pages, each with the methods that its address answers.
#[derive(Default)]
pub(crate) struct Pages(Vec<Address>);

struct Address {
    path: &'static str,
    methods: Vec<Method>,
    /// Whether there is something to look at, and not only a way to it.
    shown: bool,
    make: Box<dyn FnOnce(&Web) -> RouteMethod>,
}

impl Pages {
    /// A page that is looked at.
    fn page<F, Fut>(self, path: &'static str, show: F) -> Self
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.at(path, vec![Method::GET], move |web| poem::get(web.endpoint(show)))
    }

    /// What a form is sent to that stands on a page of another address, which whoever looks here is
    /// led to: its refusal is shown here, too, and may be loaded again.
    fn form<F, Fut>(mut self, path: &'static str, page: &'static str, take: F) -> Self
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let methods = vec![Method::GET, Method::POST];
        let make = move |web: &Web| {
            let lead = move |visit: Visit| async move { visit::go(&visit.filled(page)) };
            poem::get(web.endpoint(lead)).post(web.endpoint(take))
        };
        self.0.push(Address { path, methods, shown: false, make: Box::new(make) });
        self
    }

    /// A page whose form is sent to its own address.
    fn page_with_form<F, G, Fut, Gut>(self, path: &'static str, show: F, take: G) -> Self
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        G: Fn(Visit) -> Gut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
        Gut: Future<Output = Outcome> + Send + 'static,
    {
        self.at(path, vec![Method::GET, Method::POST], move |web| {
            poem::get(web.endpoint(show)).post(web.endpoint(take))
        })
    }

    /// A path's parts in braces stand for anything.
    fn at(
        mut self,
        path: &'static str,
        methods: Vec<Method>,
        make: impl FnOnce(&Web) -> RouteMethod + 'static,
    ) -> Self {
        self.0.push(Address { path, methods, shown: true, make: Box::new(make) });
        self
    }

    fn addresses(&self) -> Addresses {
        let listed = self.0.iter().map(|page| (page.path.to_owned(), page.methods.clone()));
        Addresses::listed(listed.collect())
    }

    /// The addresses that forms are sent to.
    fn with_forms(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        let pages = self.0.iter().filter(|page| page.methods.contains(&Method::POST));
        pages.map(|page| page.path)
    }

    fn routes(self, web: &Web) -> Route {
        self.0.into_iter().fold(Route::new(), |routes, Address { path, make, .. }| {
            routes.at(path.replace('{', ":").replace('}', ""), make(web))
        })
    }
}

/// The addresses of all pages that can be looked at, as the server knows them: a part in braces stands
/// for anything.
#[must_use]
pub fn pages() -> Vec<&'static str> {
    let pages = pages::add(Pages::default()).0.into_iter();
    pages.filter(|page| page.shown).map(|page| page.path).collect()
}

impl Web {
    /// Who is signed in.
    ///
    /// # Errors
    /// What hinders knowing it.
    async fn account(&self, by: &OnBehalf) -> Result<Option<Account>, Refusal> {
        // Without a cookie there is nobody to ask after.
        if !by.has_session() {
            return Ok(None);
        }
        let session = self.client.call::<SignedIn>(by, "auth.getSession", &json!({})).await;
        session.map(|answer| answer.body.account())
    }

    fn endpoint<F, Fut>(&self, page: F) -> impl Endpoint<Output = Response> + use<F, Fut>
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let web = self.clone();
        make(move |request| web.clone().answer(request, page))
    }

    async fn answer<F, Fut>(self, request: Request, page: F) -> poem::Result<Response>
    where
        F: Fn(Visit) -> Fut,
        Fut: Future<Output = Outcome>,
    {
        let visit = Visit::of(self, request).await?;
        let asker = visit.asker();
        Ok(page(visit).await.unwrap_or_else(|stop| error::answer(&asker, stop)))
    }
}

/// The pages, in front of the API: what is no address of theirs is the API's.
pub(crate) fn before<E>(
    api: E,
    guard: &Guard,
    platform: &Platform,
) -> impl Endpoint<Output = Response> + use<E>
where
    E: Endpoint<Output = Response> + 'static,
{
    let api: Arc<dyn DynEndpoint<Output = Response>> = Arc::new(ToDynEndpoint(api));
    let site = Arc::new(Site::new(&platform.config));
    let client = Client::new(Arc::clone(&api), platform.clone());
    let web = Web { client, site, platform: platform.clone() };
    let pages = pages::add(assets::add(Pages::default()));
    let (addresses, noting) = (pages.addresses(), Noting::of_forms(pages.with_forms()));
    let pages = pages.routes(&web).with(guard.of_pages(addresses.clone())).with(noting);
    // Whoever looks at a page that failed is told so by a page.
    let pages = Arc::new(pages.with(CatchPanic::new().with_handler(edge::panicked)));
    make(move |request: Request| {
        let (api, pages, web) = (Arc::clone(&api), Arc::clone(&pages), web.clone());
        let page = addresses.knows(request.uri().path());
        async move {
            let looked =
                error::looks_at_a_page(&request).then(|| OnBehalf::of(&request, &web.platform));
            let answer = if page {
                pages.call(request).await.map(IntoResponse::into_response)
            } else {
                api.call(request).await
            };
            match looked {
                Some(by) => Ok(error::for_people(&web, &by, answer).await),
                None => answer,
            }
        }
    })
}
