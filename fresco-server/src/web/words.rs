//! Words that several pages use.

use chrono::{DateTime, Utc};

/// What an action led to, by the word in the address.
pub(super) fn done(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "signed_out" => ("success", "You are signed out."),
        "session_ended" => {
            ("info", "Your session has ended. Sign in again, and go on where you were.")
        }
        "creating" => ("success", "Your instance is on its way. Its steps stand below."),
        "starting" => ("info", "It starts. In a moment it can be reached again."),
        "stopping" => ("info", "It stops. Its data stays."),
        "restarting" => ("info", "It restarts. In a moment it can be reached again."),
        "changing" => ("info", "It restarts with what you chose."),
        "removing" => ("info", "It is being removed, with all its data."),
        "opened" => ("success", "Its address is open to everybody now."),
        _ => return None,
    })
}

/// A time as people read it, in UTC; scripts show it in the visitor's own zone.
pub(super) fn time(at: &DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}
