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
use poem::{Endpoint, EndpointExt, IntoEndpoint, IntoResponse, Request, Response, Route};

use crate::http::addresses::Addresses;
use crate::http::guard::Guard;
use crate::platform::Platform;
use crate::web::client::Client;
use crate::web::layout::Site;
use crate::web::visit::{Outcome, Visit};

/// What pages are made with.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    client: Client,
    site: Arc<Site>,
    platform: Platform,
}

/// Routes of pages, with the methods that each of them answers.
pub(crate) struct Pages {
    web: Web,
    routes: Route,
    addresses: Vec<(String, Vec<Method>)>,
}

impl Pages {
    /// A page that is looked at.
    fn page<F, Fut>(self, path: &'static str, show: F) -> Self
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let shown = self.web.endpoint(show);
        self.at(path, vec![Method::GET], poem::get(shown))
    }

    /// What a form is sent to that stands on a page of another address.
    fn form<F, Fut>(self, path: &'static str, take: F) -> Self
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let taken = self.web.endpoint(take);
        self.at(path, vec![Method::POST], poem::post(taken))
    }

    /// A page whose form is sent to its own address.
    fn page_with_form<F, G, Fut, Gut>(self, path: &'static str, show: F, take: G) -> Self
    where
        F: Fn(Visit) -> Fut + Copy + Send + Sync + 'static,
        G: Fn(Visit) -> Gut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
        Gut: Future<Output = Outcome> + Send + 'static,
    {
        let (shown, taken) = (self.web.endpoint(show), self.web.endpoint(take));
        self.at(path, vec![Method::GET, Method::POST], poem::get(shown).post(taken))
    }

    /// A path's parts in braces stand for anything.
    fn at<E>(mut self, path: &'static str, methods: Vec<Method>, endpoint: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        self.routes = self.routes.at(path.replace('{', ":").replace('}', ""), endpoint);
        self.addresses.push((path.to_owned(), methods));
        self
    }
}

impl Web {
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
    let web = Web { client, site: Arc::clone(&site), platform: platform.clone() };
    let pages = Pages { web, routes: Route::new(), addresses: Vec::new() };
    let Pages { routes, addresses, .. } = pages::add(assets::add(pages));
    let addresses = Addresses::listed(addresses);
    let pages = Arc::new(routes.with(guard.of_pages(addresses.clone())));
    make(move |request: Request| {
        let (api, pages, site) = (Arc::clone(&api), Arc::clone(&pages), Arc::clone(&site));
        let page = addresses.knows(request.uri().path());
        async move {
            let looked = error::looks_at_a_page(&request);
            let answer = if page {
                pages.call(request).await.map(IntoResponse::into_response)
            } else {
                api.call(request).await
            };
            if looked { Ok(error::for_people(&site, answer)) } else { answer }
        }
    })
}
