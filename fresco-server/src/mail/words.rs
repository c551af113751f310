//! What letters say: plain text, short, with links below the platform's own address.
//!
//! A token stands behind the `#` of a link: browsers keep that to themselves, so it comes into no log
//! on the way.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::accounts::{Letter, OpenedLetter};
use crate::config::Config;

/// A letter as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) subject: String,
    pub(super) text: String,
}

/// Characters of the reason why a tenant could not be created.
const LONGEST_REASON: usize = 500;

pub(super) fn of(config: &Config, opened: &OpenedLetter) -> Words {
    let home = &config.public_url;
    let secret = opened.secret.as_ref().map_or("", |secret| secret.expose_secret());
    let life = hours(opened.life);
    let (subject, body) = match &opened.letter {
        Letter::VerifyAddress { .. } => (
            "Is this your address?",
            format!(
                "Somebody gave this address for an account. If it was you, confirm it here, within {life}:\n\n{}\n\nIt signs the account out everywhere and ends its API keys; sign in again afterwards.\n\nIf it was not you, do nothing.",
                home.join(&format!("/verify-email#{secret}"))
            ),
        ),
        Letter::ResetPassword => (
            "Set another password",
            format!(
                "Somebody asked to set another password for your account. If it was you, do so here, within {life}:\n\n{}\n\nIt signs the account out everywhere and ends its API keys.\n\nIf it was not you, do nothing: your password stays as it is.",
                home.join(&format!("/reset-password#{secret}"))
            ),
        ),
        Letter::WizardCode { .. } => (
            "Your code",
            format!(
                "This is the code to go on with:\n\n    {} {}\n\nIt can be used for {life} at most, and only where you began. Nobody of us asks you for it.\n\nIf you did not begin anything, do nothing.",
                secret.get(..4).unwrap_or(secret),
                secret.get(4..).unwrap_or("")
            ),
        ),
        Letter::AccountExists => (
            "You have an account",
            format!(
                "Somebody gave this address for a new account, but it has one already. If it was you, sign in, or set another password if you forgot yours:\n\n{home}\n\nIf it was not you, do nothing: nobody learnt from us that you have an account."
            ),
        ),
        Letter::AddressChanging { to } => (
            "Your account is to have another address",
            format!(
                "Somebody who knows your password asked that your account have the address {to} from now on. It keeps this one until that one is confirmed.\n\nIf it was not you, change your password now:\n\n{home}"
            ),
        ),
        Letter::AddressChanged { from, to } => (
            "Your account has another address",
            format!(
                "The address of your account was {from}, and is {to} now. Sign in with that one from now on; the account was signed out everywhere, and its API keys have ended.\n\nIf it was not you, tell the operators of the platform:\n\n{home}"
            ),
        ),
        Letter::PasswordChanged => (
            "Your password was changed",
            format!(
                "The password of your account was changed, and the account was signed out elsewhere.\n\nIf it was not you, set another one now, and look where you are signed in:\n\n{home}"
            ),
        ),
        Letter::DeploymentDone { subdomain, url, gated: false } => (
            "Your instance is ready",
            format!(
                "Your instance {subdomain} is ready:\n\n{url}\n\nYou look after it here:\n\n{home}"
            ),
        ),
        // The link itself would give the app to whoever reads this on its way.
        Letter::DeploymentDone { subdomain, url, gated: true } => (
            "Your instance is ready to be set up",
            format!(
                "Your instance {subdomain} is ready, and waits for you to set it up: whoever does so becomes its owner, so it lets nobody else in until then. Sign in here, and follow the link that you find with it:\n\n{home}\n\nAfterwards everybody reaches it here:\n\n{url}"
            ),
        ),
        Letter::DeploymentFailed { subdomain, reason } => (
            "Your instance could not be made",
            format!(
                "Your instance {subdomain} could not be made, and nothing is left of it. The reason:\n\n{}\n\nYou can try again, or remove it, here:\n\n{home}",
                reason.chars().take(LONGEST_REASON).collect::<String>()
            ),
        ),
    };
    let text = format!("Hello,\n\n{body}\n\nFresco Platform, {home}\n");
    Words { subject: format!("Fresco Platform: {subject}"), text }
}

fn hours(life: Duration) -> String {
    match life.as_secs() / 3600 {
        1 => "one hour".to_owned(),
        hours => format!("{hours} hours"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    #[test]
    fn a_token_stands_behind_the_number_sign_of_a_link_of_ours() {
        let config =
            Config::read(&Values::new([("PUBLIC_URL", "http://fresco.example.org")])).unwrap();
        let (to, letter) = ("ada@example.org".parse().unwrap(), Letter::ResetPassword);
        let secret = Some("0123abcd".into());
        let opened = OpenedLetter { to, letter, secret, life: Duration::from_secs(3600) };
        let words = of(&config, &opened);
        let link = "\nhttp://fresco.example.org/reset-password#0123abcd\n";
        assert!(words.text.contains(link) && words.text.contains("within one hour"), "{words:?}");
        assert!(!words.subject.contains("0123"), "{words:?}");
    }
}
