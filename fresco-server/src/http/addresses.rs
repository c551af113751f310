//! Which addresses there are, and the methods that each of them answers.

use poem::Request;
use poem::http::Method;
use poem_openapi::registry::MetaApi;

use crate::http::problem::Problem;

/// The addresses beside the calls of the API: the document and its explorer.
const PAGES: [&str; 6] = [
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/explorer.js",
    "/docs/start.js",
    "/docs/explorer.css",
];

/// Knows the addresses apart from what they do, so that a wrong method can be told before anything
/// else of a request is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Vec<(String, Vec<Method>)>);

impl Addresses {
    /// Those of these calls, and of the document that tells of them.
    pub(crate) fn of(calls: Vec<MetaApi>) -> Self {
        let pages = PAGES.into_iter().map(|path| (path.to_owned(), vec![Method::GET]));
        let calls = calls
            .into_iter()
            .flat_map(|group| group.paths)
            .map(|path| (path.path, path.operations.into_iter().map(|call| call.method).collect()));
        Self(pages.chain(calls).collect())
    }

    /// These patterns with their methods.
    pub(crate) const fn listed(addresses: Vec<(String, Vec<Method>)>) -> Self {
        Self(addresses)
    }

    /// Whether this path is one of them.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.0.iter().any(|(pattern, _)| matches(pattern, path))
    }

    /// Refuses a method that the request's address does not answer. What is no address at all is
    /// let pass.
    ///
    /// # Errors
    /// 405, which names the methods that it answers.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Problem> {
        let path = request.uri().path();
        let Some((_, methods)) = self.0.iter().find(|(pattern, _)| matches(pattern, path)) else {
            return Ok(());
        };
        let mut allowed = methods.clone();
        if methods.contains(&Method::GET) {
            allowed.push(Method::HEAD);
        }
        if allowed.contains(request.method()) {
            return Ok(());
        }
        let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
        Err(Problem::method_not_allowed(&names.join(", ")))
    }
}

/// Whether this path is meant by a pattern, in which `{name}` stands for any one part.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part))
                if wanted == part || (wanted.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_paths_of_its_length() {
        for (pattern, path, same) in [
            ("/", "/", true),
            ("/", "", false),
            ("/docs", "/docs/", false),
            ("/api/x/{id}/logs", "/api/x/1/logs", true),
            ("/api/x/{id}/logs", "/api/x//logs", false),
            ("/api/x/{id}/logs", "/api/x/1/2/logs", false),
            ("/api/x/{id}/logs", "/api/x/1", false),
        ] {
            assert_eq!(matches(pattern, path), same, "{pattern} {path}");
        }
    }
}
