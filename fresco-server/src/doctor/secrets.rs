//! Secrets that everybody knows, or may read.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::finding::{Finding, Level};
use super::mend::Mend;
use crate::config::Config;
use crate::settings::PLACEHOLDER_SECRET;

/// The password of `DATABASE_URL`'s default.
const KNOWN_PASSWORD: &str = "localdev";

pub(super) fn judge(config: &Config) -> Vec<Finding> {
    let production = config.is_production();
    let mut findings = vec![auth(config)];
    let urls = [
        ("DATABASE_URL", &config.database_url),
        ("TENANT_DATABASE_ADMIN_URL", &config.tenant_database_admin_url),
    ];
    if let Some((name, _)) = urls.into_iter().find(|(_, url)| production && is_known(url)) {
        let seen = format!("the password in {name} is the documented one, which everybody knows");
        findings.push(Finding::wrong("passwords", seen).mend("openssl rand -hex 24"));
    }
    findings.extend(file(production, Path::new(".env")));
    findings
}

fn auth(config: &Config) -> Finding {
    if config.auth_secret.expose_secret() != PLACEHOLDER_SECRET {
        return Finding::ok("AUTH_SECRET", "is one of your own");
    }
    // In production the configuration refuses it.
    let seen = "is the documented placeholder, which everybody knows: well enough on your own machine alone";
    Finding::warning("AUTH_SECRET", seen).mend(Mend::Secret("AUTH_SECRET"))
}

fn is_known(url: &SecretString) -> bool {
    let url = Url::parse(url.expose_secret());
    url.is_ok_and(|url| url.password() == Some(KNOWN_PASSWORD))
}

/// Others on this machine can read the file with the secrets.
#[cfg(unix)]
fn file(production: bool, path: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    if mode & 0o044 == 0 {
        return Some(Finding::ok(".env", "only its owner may read it"));
    }
    let level = if production { Level::Wrong } else { Level::Warning };
    let seen = "other users of this machine may read it, and it holds secrets";
    Some(Finding::new(level, ".env", seen).mend("chmod 600 .env"))
}

#[cfg(not(unix))]
fn file(_: bool, _: &Path) -> Option<Finding> {
    None
}
