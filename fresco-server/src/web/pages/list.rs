//! What pages with lists and forms have in common.

use crate::web::client::Refusal;
use crate::web::visit::Visit;

/// The address of a page with these values in its query; empty ones are left out.
pub(super) fn address(path: &str, values: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(values.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The page of a list that the query asks for.
pub(super) fn asked_page(visit: &Visit) -> u32 {
    visit.query("page").parse().unwrap_or(1).max(1)
}

/// The way through a list's pages.
#[derive(Debug)]
pub(super) struct Pager {
    pub(super) page: u64,
    pub(super) pages: u64,
    /// The page's address without its number.
    list: String,
}

impl Pager {
    pub(super) fn new(page: u64, pages: u64, path: &str, filters: &[(&str, &str)]) -> Self {
        Self { page, pages, list: address(path, filters) }
    }

    fn at(&self, page: u64) -> String {
        let joint = if self.list.contains('?') { '&' } else { '?' };
        format!("{}{joint}page={page}", self.list)
    }

    /// The page before this one; from behind the end, the last one.
    pub(super) fn before(&self) -> Option<String> {
        (self.page > 1).then(|| self.at((self.page - 1).min(self.pages.max(1))))
    }

    pub(super) fn after(&self) -> Option<String> {
        (self.page < self.pages).then(|| self.at(self.page + 1))
    }
}

/// What is wrong with a form.
#[derive(Debug, Default)]
pub(super) struct Wrong(Option<Refusal>);

impl Wrong {
    pub(super) fn of(refusal: &Refusal) -> Self {
        Self(Some(refusal.clone()))
    }

    /// What is wrong with this field.
    pub(super) fn at(&self, field: &str) -> Option<&str> {
        let refusal = self.0.as_ref()?;
        (refusal.field.as_deref() == Some(field)).then_some(refusal.detail.as_str())
    }
}

/// An action that is asked for twice: what it does, and the button that does it.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) heading: String,
    pub(super) words: Vec<String>,
    pub(super) button: &'static str,
    pub(super) dangerous: bool,
    /// Sent with the form.
    pub(super) hidden: Vec<(&'static str, String)>,
    /// Where to go instead.
    pub(super) back: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_the_filters() {
        let pager =
            |page, pages| Pager::new(page, pages, "/x", &[("search", "a&b"), ("status", "")]);
        let middle = pager(2, 3);
        assert_eq!(middle.before().as_deref(), Some("/x?search=a%26b&page=1"));
        assert_eq!(middle.after().as_deref(), Some("/x?search=a%26b&page=3"));
        assert_eq!((pager(1, 1).before(), pager(1, 1).after()), (None, None));
        // Behind the end there is a way back.
        assert_eq!(pager(9, 3).before().as_deref(), Some("/x?search=a%26b&page=3"));
        assert_eq!(pager(9, 0).before().as_deref(), Some("/x?search=a%26b&page=1"));
        assert_eq!(Pager::new(1, 2, "/x", &[]).after().as_deref(), Some("/x?page=2"));
    }
}
