//! Letters: what is written, when, to whom, and what can be done with it. Accounts on a real
//! PostgreSQL, mail by a real SMTP server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../support/mod.rs"]
mod support;

mod delivery;
mod deployments;
mod page;
mod passwords;
mod profile;
mod recovery;
mod verification;
mod wizard;

use fresco_core::fault::FaultPlan;
use fresco_server::mail::Post;
use serde_json::json;
use support::PASSWORD;
use support::postgres::Database;
use support::site::{Answer, Site};
use support::smtp::MailServer;

/// A service whose letters go to this server.
async fn site_with(mail: &MailServer) -> Site {
    site_on(Database::migrated().await, mail, &[]).await
}

async fn site_on(database: Database, mail: &MailServer, further: &[(&str, &str)]) -> Site {
    let settings = mail.settings();
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<_> = settings.chain(further.iter().copied()).collect();
    Site::on(database, &settings, &FaultPlan::none()).await
}

/// Sends what is to be sent now.
async fn deliver(site: &Site) {
    let post = Post::new(&site.platform).unwrap();
    while post.round().await.unwrap() > 0 {}
}

async fn sign_in(site: &Site, email: &str, password: &str) -> Answer {
    site.post("/api/auth.signIn", json!({ "email": email, "password": password })).await
}

async fn verify(site: &Site, token: &str) -> Answer {
    site.post("/api/auth.verifyEmail", json!({ "token": token, "password": PASSWORD })).await
}

async fn forgot(site: &Site, email: &str) -> Answer {
    site.post("/api/auth.requestPasswordReset", json!({ "email": email })).await
}

async fn reset(site: &Site, token: &str, password: &str) -> Answer {
    site.post("/api/auth.resetPassword", json!({ "token": token, "password": password })).await
}

/// Somebody with an account and a verified address: the cookie of a session.
async fn known(site: &Site, mail: &MailServer, email: &str) -> String {
    site.sign_up(email).await;
    deliver(site).await;
    verify(site, &mail.secret(email, "Is this your address")).await.ok();
    sign_in(site, email, PASSWORD).await.ok().cookie()
}
