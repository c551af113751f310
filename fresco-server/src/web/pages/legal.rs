//! On what terms the platform is offered.

use askama::Template;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::legal::{Legal, Text};
use crate::web::visit::{Outcome, Visit, show};

#[derive(Template)]
#[template(path = "legal.html")]
struct Shown {
    page: Page,
    html: String,
}

pub(super) fn add(pages: Pages) -> Pages {
    let pages = pages.page("/terms", |visit| text(visit, |legal| &legal.terms));
    let pages = pages.page("/privacy", |visit| text(visit, |legal| &legal.privacy));
    pages.page("/service-level", |visit| text(visit, |legal| &legal.service_level))
}

async fn text(visit: Visit, which: fn(&Legal) -> &Text) -> Outcome {
    let Text { title, html } = which(&visit.site().legal).clone();
    show(&Shown { page: visit.page(&title), html })
}
