//! The SMTP server: whether it answers, and lets the platform in.

use fresco_core::Result;

use super::Facts;
use super::finding::{Finding, cause};
use super::mend::fill;
use crate::config::Config;
use crate::mail;

/// `None` where no mail is sent.
pub(super) async fn gather(config: &Config) -> Option<Result<()>> {
    let smtp = config.smtp.as_ref()?;
    Some(super::within(mail::try_out(smtp)).await)
}

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let url = || fill("SMTP_URL", "smtp://name:password@mail.example.org:587");
    vec![match &facts.mail {
        Some(Ok(())) => Finding::ok("SMTP", "the server answers, and lets the platform in"),
        Some(Err(error)) => {
            let seen = format!("letters can't be sent: {}", cause(error));
            Finding::wrong("SMTP", seen).mend(url())
        }
        None if config.is_production() => {
            let seen = "SMTP_URL is not set: no address is verified, and nobody who forgets a password gets in again";
            Finding::warning("SMTP", seen).mend(url())
        }
        None => Finding::ok("SMTP", "SMTP_URL is not set: letters are written to the log"),
    }]
}
