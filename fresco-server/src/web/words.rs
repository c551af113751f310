//! Words that several pages use.

use chrono::{DateTime, Utc};

/// What an action led to, by the word in the address.
pub(super) fn done(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "signed_out" => ("success", "You are signed out."),
        "password_set" => ("success", "Your password is set. Sign in with it."),
        "session_ended" => {
            ("info", "Your session has ended. Sign in again, and go on where you were.")
        }
        _ => return None,
    })
}

/// A time as people read it, in UTC; scripts show it in the visitor's own zone.
pub(super) fn time(at: &DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}
