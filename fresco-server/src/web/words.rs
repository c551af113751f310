//! Words that several pages use.

use chrono::{DateTime, Utc};

/// What an action led to, by the word in the address.
pub(super) fn done(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "signed_out" => ("success", "You are signed out."),
        "session_ended" => {
            ("info", "Your session has ended. Sign in again, and go on where you were.")
        }
        "name_saved" => ("success", "Your name is saved."),
        "email_pending" => (
            "success",
            "We sent a letter to the new address. It takes the place of the present one once you follow the link in it.",
        ),
        "letter_sent" => ("success", "The letter is on its way. Look into your spam folder, too."),
        "password_changed" => {
            ("success", "Your password is changed. Everywhere else you are signed out now.")
        }
        "session_revoked" => ("success", "You are signed out there."),
        "sessions_revoked" => ("success", "You are signed out everywhere but here."),
        "key_revoked" => ("success", "The key is revoked. Nothing can be done with it any more."),
        "role_set" => ("success", "The role is changed."),
        "suspended" => {
            ("success", "The account is suspended, and its instances are being stopped.")
        }
        "resumed" => {
            ("success", "The account is open again. Its owner starts the instances that shall run.")
        }
        _ => return None,
    })
}

/// A time as people read it, in UTC; scripts show it in the visitor's own zone.
pub(super) fn time(at: &DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}
