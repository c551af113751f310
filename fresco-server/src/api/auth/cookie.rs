//! The session's cookie.
//!
//! It goes to the platform's own host alone (no `Domain`), never to scripts, and with no request
//! that another site's page makes, but for following a link.

use secrecy::ExposeSecret;

use crate::accounts::{Accounts, NewSession};
use crate::config::Config;
use crate::http::caller::cookie_name;

/// The header that sets it.
pub(crate) fn set(config: &Config, session: &NewSession) -> String {
    line(config, session.token.expose_secret(), Accounts::SESSION.as_secs())
}

/// The header that clears it.
pub(crate) fn clear(config: &Config) -> String {
    line(config, "", 0)
}

fn line(config: &Config, value: &str, seconds: u64) -> String {
    let https = config.public_url.is_https();
    let (name, secure) = (cookie_name(https), if https { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}
