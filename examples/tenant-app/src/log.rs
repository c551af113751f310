//! Plain lines on stdout and stderr. No secret is ever given to these functions.

use std::fmt::Display;
use std::io::Write;

/// One line on stdout. A closed stdout is no reason to end the app.
pub(crate) fn info(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One line on stderr.
pub(crate) fn error(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says whether the scratch folder can be written, which the real app needs.
pub(crate) fn scratch_folder() {
    let folder = std::env::temp_dir();
    let file = folder.join(format!("tenant-app-{}", std::process::id()));
    match std::fs::write(&file, "scratch").and_then(|()| std::fs::remove_file(&file)) {
        Ok(()) => info(format!("scratch folder {} can be written", folder.display())),
        Err(problem) => {
            error(format!("scratch folder {} cannot be written: {problem}", folder.display()))
        }
    }
}

/// `text` with every occurrence of `secret` replaced. An empty secret changes nothing.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    text.replace(secret, "[redacted]")
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn a_secret_is_replaced_wherever_it_stands() {
        assert_eq!(
            redact("s3cret failed: url postgresql://u:s3cret@h/d", "s3cret"),
            "[redacted] failed: url postgresql://u:[redacted]@h/d"
        );
    }

    #[test]
    fn no_secret_changes_nothing() {
        assert_eq!(redact("all is said", ""), "all is said");
    }
}
