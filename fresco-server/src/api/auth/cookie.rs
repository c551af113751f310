//! The session's cookie.
//!
//! It goes to the platform's own host alone (no `Domain`), never to scripts, and with no request
//! that another site's page makes, but for following a link.

use chrono::Utc;
use secrecy::ExposeSecret;

use crate::accounts::NewSession;
use crate::config::Config;
use crate::http::credentials::cookie_name;

/// The header that sets it: for the browser to keep until the session ends, or until it is closed.
pub(crate) fn set(config: &Config, session: &NewSession) -> String {
    let left = (session.expires_at - Utc::now()).num_seconds().max(0);
    line(config, session.token.expose_secret(), session.remember.then_some(left))
}

/// The header that clears it.
pub(crate) fn clear(config: &Config) -> String {
    line(config, "", Some(0))
}

fn line(config: &Config, value: &str, seconds: Option<i64>) -> String {
    let https = config.public_url.is_https();
    let (name, secure) = (cookie_name(https), if https { "; Secure" } else { "" });
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}")
}
