//! What mends a finding: a command, or a setting with another value. How a setting is changed depends
//! on where its value comes from, since a file does nothing against the environment.

use std::fmt;

use super::shell::quote;
use crate::settings::{Source, Values, find};

/// What mends a finding.
#[derive(Clone, Debug)]
pub(super) enum Mend {
    /// A command.
    Command(String),
    /// A setting, and the value that will do.
    Set(&'static str, String),
    /// A secret setting, and a value that nobody knows, made on the spot.
    Secret(&'static str),
    /// A setting whose value only a person knows, and what it looks like.
    Fill(&'static str, String),
}

/// Gives a setting this value.
pub(super) fn set(name: &'static str, value: impl fmt::Display) -> Mend {
    Mend::Set(name, value.to_string())
}

/// Asks for a value that looks like this.
pub(super) fn fill(name: &'static str, pattern: impl Into<String>) -> Mend {
    Mend::Fill(name, pattern.into())
}

impl From<String> for Mend {
    fn from(command: String) -> Self {
        Self::Command(command)
    }
}

impl From<&str> for Mend {
    fn from(command: &str) -> Self {
        Self::Command(command.to_owned())
    }
}

impl Mend {
    /// The command, to be pasted into a shell. `file` is what `.env` holds, if there is one.
    pub(super) fn command(&self, values: &Values, file: Option<&str>) -> String {
        let (name, word) = match self {
            Self::Command(command) => return command.clone(),
            Self::Set(name, value) => (*name, quote(value)),
            Self::Secret(name) => (*name, "\"$(openssl rand -base64 32)\"".to_owned()),
            Self::Fill(name, pattern) => (*name, quote(pattern)),
        };
        let setting = find(name);
        match (setting.and_then(|setting| values.source(setting)), self) {
            (Some(Source::Flag), _) => {
                let flag = setting.map(|setting| setting.flag()).unwrap_or_default();
                format!("fresco-server --{flag} {word}  # in place of the --{flag} that was given")
            }
            (Some(Source::Environment), Self::Fill(..)) => {
                format!("export {name}={word}  # fill in what holds")
            }
            (Some(Source::Environment), _) => format!("export {name}={word}"),
            // Nothing is written over: what is there may be all but right.
            (_, Self::Fill(_, pattern)) => {
                format!("${{EDITOR:-editor}} .env  # a line {name}={pattern}, filled in")
            }
            (_, Self::Secret(_)) if file.is_none() => {
                format!("(umask 077 && {})", write(None, name, &word))
            }
            _ => write(file, name, &word),
        }
    }

    #[cfg(test)]
    pub(super) fn contains(&self, words: &str) -> bool {
        self.command(&Values::default(), None).contains(words)
    }
}

/// Writes a line into `.env`, in place of the one that may be there.
fn write(file: Option<&str>, name: &str, word: &str) -> String {
    let append = format!("echo {name}={word} >>.env");
    let file = file.unwrap_or_default();
    let mut script = Vec::new();
    if file.lines().any(|line| line.starts_with(&format!("{name}="))) {
        script.push(format!("-e '/^{name}=/d'"));
    }
    // The last line may have no end: two would become one.
    if !file.is_empty() && !file.ends_with('\n') {
        script.push(r"-e '$a\'".to_owned());
    }
    match script.as_slice() {
        [] => append,
        _ => format!("sed -i {} .env && {append}", script.join(" ")),
    }
}

#[cfg(test)]
#[path = "mend_tests.rs"]
mod tests;
