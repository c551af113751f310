//! The first page.

use askama::Template;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, show};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/", home)
}

async fn home(visit: Visit) -> Outcome {
    show(&Home { page: visit.page("A Fresco of your own") })
}
