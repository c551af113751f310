//! Words that several pages use.

use chrono::{DateTime, TimeDelta, Utc};

/// What an action led to, by the word in the address.
pub(super) fn done(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "signed_out" => ("success", "You are signed out."),
        "password_set" => ("success", "Your password is set. Sign in with it."),
        "session_ended" => {
            ("info", "Your session has ended. Sign in again, and go on where you were.")
        }
        "creating" => ("success", "Your instance is on its way. Its steps stand below."),
        "starting" => ("info", "The instance starts. In a moment it can be reached again."),
        "stopping" => ("info", "The instance stops. Its data stays."),
        "restarting" => ("info", "The instance restarts. In a moment it can be reached again."),
        "changing" => ("info", "The instance restarts with what you chose."),
        "removing" => ("info", "The instance is being removed, with all its data."),
        "opened" => ("success", "Its address is open to everybody now."),
        "name_saved" => ("success", "Your name is saved."),
        "email_pending" => (
            "success",
            "We sent a letter to the new address. It takes the place of the present one once you follow the link in it.",
        ),
        "email_kept" => ("success", "Your address stays as it is."),
        "letter_sent" => (
            "success",
            "The letter is on its way; there are at most five an hour. Look into your spam folder, too.",
        ),
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

/// A span of time as people read it; the script of the page of a sign-up writes it alike.
pub(super) fn span(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// The same of what is over: less than a minute to a tenth of a second.
pub(super) fn took(time: TimeDelta) -> String {
    match time.num_seconds() {
        0..60 => format!("{:.1} s", time.as_seconds_f64()),
        seconds => span(seconds),
    }
}

/// What the API says, in the words of the pages: programs speak of tenants, people of instances.
pub(super) fn plain(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches(['.', ',', ';', ':']);
        let told = match bare {
            "tenant" => "instance",
            "tenants" => "instances",
            "tenant's" => "instance's",
            _ => return word.to_owned(),
        };
        format!("{told}{}", &word[bare.len()..])
    };
    let words: Vec<_> = text.split(' ').map(word).collect();
    words.join(" ").replace(" a instance", " an instance")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_have_instances() {
        for (told, plainly) in [
            ("Stop a tenant, or wait.", "Stop an instance, or wait."),
            ("There are 5 tenants: no more.", "There are 5 instances: no more."),
            ("There is no such tenant.", "There is no such instance."),
            ("the image a/tenant:1 of tenant-x", "the image a/tenant:1 of tenant-x"),
        ] {
            assert_eq!(plain(told), plainly);
        }
    }
}
