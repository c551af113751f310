//! What a request carries to show who sends it.

use poem::Request;
use poem::http::{StatusCode, header};
use secrecy::SecretString;

use crate::http::cookies::cookies;
use crate::http::problem::Problem;

/// What a request carries.
pub(crate) enum Credentials {
    /// Nothing that is believed.
    None,
    /// The value of the session's cookie, live or not.
    Session(SecretString),
    /// An API key, live or not.
    Key(SecretString),
}

/// The name of the session's cookie: with https, one that no sibling site can plant.
pub(crate) const fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-fresco_session" } else { "fresco_session" }
}

impl Credentials {
    /// Of a cookie and a key together neither is believed: who sends both does not know as whom it
    /// asks. A cookie that comes more than once was planted beside the real one: then none is
    /// believed.
    pub(crate) fn of(request: &Request, https: bool) -> Result<Self, Problem> {
        let mut cookies = cookies(request.headers(), cookie_name(https));
        match (key(request)?, cookies.next(), cookies.next()) {
            (Some(_), Some(_), _) => Err(Problem::two_credentials()),
            (Some(key), None, _) => Ok(Self::Key(key.into())),
            (None, Some(cookie), None) => Ok(Self::Session(cookie.into())),
            (None, ..) => Ok(Self::None),
        }
    }
}

/// The key of a request. Other schemes than `Bearer` are those of a proxy before the platform.
fn key(request: &Request) -> Result<Option<&str>, Problem> {
    let mut lines = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(line), more) = (lines.next(), lines.next()) else { return Ok(None) };
    if more.is_some() {
        let words = "The header Authorization came more than once.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", words));
    }
    let (scheme, key) = line.to_str().unwrap_or("").split_once(' ').unwrap_or_default();
    Ok(scheme.eq_ignore_ascii_case("bearer").then_some(key.trim()))
}

/// Whether a request carries a key. No browser adds one by itself, and no page of another origin can
/// without having asked first.
pub(crate) fn has_key(request: &Request) -> bool {
    matches!(key(request), Ok(Some(_)))
}
