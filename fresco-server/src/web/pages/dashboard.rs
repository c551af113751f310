//! All instances of a person.

use askama::Template;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded::Serializer;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::shapes::{STATUSES, Tenant};
use crate::web::visit::{Outcome, Visit, show};

/// Instances of a page: they fill the columns of every width.
const A_PAGE: u64 = 12;

/// The answer of `tenants.list`.
#[derive(Debug, Deserialize)]
struct Found {
    tenants: Vec<Tenant>,
    total: u64,
    pages: u64,
}

/// What somebody wants to see, as it stands in the address.
#[derive(Clone, Debug, Default)]
struct Wish {
    list: bool,
    search: String,
    /// One of [`STATUSES`], or nothing.
    status: &'static str,
    page: u64,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    page: Page,
    wish: Wish,
    found: Found,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/dashboard", dashboard)
}

async fn dashboard(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let wish = Wish::of(&visit);
    let mut body = json!({"page": wish.page, "limit": A_PAGE, "search": wish.search});
    if !wish.status.is_empty() {
        body["status"] = wish.status.into();
    }
    let found: Found = visit.call("tenants.list", body).await?;
    show(&Dashboard { page: visit.page("Your instances"), wish, found })
}

impl Wish {
    fn of(visit: &Visit) -> Self {
        let asked = visit.query("status");
        let known = STATUSES.iter().find(|(status, _)| *status == asked);
        Self {
            list: visit.query("view") == "list",
            search: visit.query("search").trim().chars().take(63).collect(),
            status: known.map_or("", |(status, _)| status),
            page: visit.query("page").parse().unwrap_or(1).clamp(1, u32::MAX.into()),
        }
    }

    /// Where this is shown.
    fn address(&self) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in [
            ("view", if self.list { "list" } else { "" }),
            ("search", self.search.as_str()),
            ("status", self.status),
            ("page", &if self.page == 1 { String::new() } else { self.page.to_string() }),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/dashboard".to_owned() } else { format!("/dashboard?{query}") }
    }

    fn on_page(&self, page: u64) -> String {
        Self { page, ..self.clone() }.address()
    }

    fn viewed(&self, list: bool) -> String {
        Self { list, ..self.clone() }.address()
    }

    /// The same without a search or a filter.
    fn unfiltered(&self) -> String {
        Self { list: self.list, page: 1, ..Self::default() }.address()
    }

    fn has(&self, status: &str) -> bool {
        self.status == status
    }

    fn is_filtered(&self) -> bool {
        !self.search.is_empty() || !self.status.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_no_more_than_it_needs() {
        let all = Wish { page: 1, ..Wish::default() };
        assert_eq!(all.address(), "/dashboard");
        let some = Wish { list: true, search: "a&b".into(), status: "active", page: 3 };
        assert_eq!(some.address(), "/dashboard?view=list&search=a%26b&status=active&page=3");
        assert_eq!(some.on_page(1), "/dashboard?view=list&search=a%26b&status=active");
        assert_eq!(some.unfiltered(), "/dashboard?view=list");
        assert_eq!(all.viewed(true), "/dashboard?view=list");
    }
}
