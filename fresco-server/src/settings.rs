//! Every setting there is, and where its value comes from: a flag, else the environment, else a
//! `.env` file in the working folder, else its default.

mod table;

use std::collections::BTreeMap;
use std::path::Path;

pub use table::SETTINGS;

/// One setting, as `--help` and `.env.example` show it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Other names of it, used when the first has no value.
    pub aliases: &'static [&'static str],
    /// What holds without a value. `None` stands for what the help says.
    pub default: Option<&'static str>,
    /// Secrets have no flag: the machine's list of processes shows flags to everybody.
    pub secret: bool,
    /// Whether an empty value is wrong. Else it is none, so that the default holds.
    pub filled: bool,
    /// What it does, in one sentence.
    pub help: &'static str,
}

const fn setting(name: &'static str, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { name, aliases: &[], default, secret: false, filled: false, help }
}

impl Setting {
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn filled(mut self) -> Self {
        self.filled = true;
        self
    }

    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The name of its flag, without the two hyphens.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.to_lowercase().replace('_', "-")
    }
}

/// The value of `AUTH_SECRET` in development; refused in production.
pub(crate) const PLACEHOLDER_SECRET: &str = "your-super-secret-key-change-in-production";

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Where a value comes from: the first of these that has one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The command line.
    Flag,
    /// The process's environment.
    Environment,
    /// A file.
    File,
}

/// What was set, by name. Later sources fill only what is absent.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, (String, Source)>);

impl Values {
    /// These values, and no others, as a file would give them.
    #[must_use]
    pub fn new<K: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::from(Source::File, values)
    }

    /// What the command line gives.
    #[must_use]
    pub fn flags<K: Into<String>, V: Into<String>>(
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::from(Source::Flag, values)
    }

    /// What the environment gives.
    #[cfg(test)]
    pub(crate) fn environment<K: Into<String>, V: Into<String>>(
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::from(Source::Environment, values)
    }

    fn from<K: Into<String>, V: Into<String>>(
        source: Source,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut new = Self::default();
        new.fill(source, values.into_iter().map(|(name, value)| (name.into(), value.into())));
        new
    }

    /// Adds the process's environment, then the `.env` file of this folder, if there is one.
    ///
    /// # Errors
    /// When the file can't be read; in words, without its content.
    pub fn fill_from_process(&mut self, folder: &Path) -> Result<(), String> {
        // A variable that is no text can't be one of ours.
        let all = std::env::vars_os();
        let text = all.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        self.fill(Source::Environment, text);
        let path = folder.join(".env");
        if path.is_file() { self.fill_from_file(&path) } else { Ok(()) }
    }

    /// Adds what this file of lines `NAME=value` says. Of two lines with one name the last holds,
    /// as in a shell.
    ///
    /// # Errors
    /// When it can't be read; in words, without its content.
    pub fn fill_from_file(&mut self, path: &Path) -> Result<(), String> {
        let lines = dotenvy::from_path_iter(path)
            .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
        let mut pairs = BTreeMap::new();
        for (number, line) in lines.enumerate() {
            // The error quotes the line, which may hold a password.
            let (name, value) = line.map_err(|_| {
                format!("{}: assignment {} is not NAME=value", path.display(), number + 1)
            })?;
            pairs.insert(name, value);
        }
        self.fill(Source::File, pairs);
        Ok(())
    }

    /// A blank value is none, as in a line `NAME=`; where that would hide a mistake it is kept, to
    /// be refused.
    fn fill(&mut self, source: Source, values: impl IntoIterator<Item = (String, String)>) {
        let filled = |name: &str| {
            let mut filled = SETTINGS.iter().filter(|setting| setting.filled);
            filled.any(|setting| setting.names().any(|own| own == name))
        };
        for (name, value) in values {
            let value = value.trim();
            if !value.is_empty() || filled(&name) {
                self.0.entry(name).or_insert_with(|| (value.to_owned(), source));
            }
        }
    }

    /// The value of a setting: what was set, or its default.
    #[must_use]
    pub fn get(&self, setting: &Setting) -> Option<&str> {
        self.set(setting).or(setting.default)
    }

    /// The value of a setting, if it was set.
    #[must_use]
    pub fn set(&self, setting: &Setting) -> Option<&str> {
        self.found(setting).map(|(_, value, _)| value).filter(|value| !value.is_empty())
    }

    /// Where that value comes from.
    #[must_use]
    pub fn source(&self, setting: &Setting) -> Option<Source> {
        self.found(setting).map(|(_, _, source)| source)
    }

    /// The name under which a setting that has to have a value was set to nothing.
    #[must_use]
    pub fn blank(&self, setting: &Setting) -> Option<&'static str> {
        self.found(setting).filter(|(_, value, _)| value.is_empty()).map(|(name, ..)| name)
    }

    fn found(&self, setting: &Setting) -> Option<(&'static str, &str, Source)> {
        setting.names().find_map(|name| {
            let (value, source) = self.0.get(name)?;
            Some((name, value.as_str(), *source))
        })
    }
}

/// The file `.env.example`: every setting with what it does and its default.
#[must_use]
pub fn example() -> String {
    let filled = SETTINGS.iter().filter(|setting| setting.filled).map(|setting| setting.name);
    let filled = filled.collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "# Every setting of fresco-server, with its default. Copy this file to .env and uncomment what you\n# change. The real environment and command-line options win over it. An empty value is as none, so that\n# the default holds, save for these, where it is refused:\n# {filled}\n"
    );
    for setting in SETTINGS {
        let value = setting.default.unwrap_or("");
        let also = match setting.aliases {
            [] => String::new(),
            names => format!(" (also: {})", names.join(", ")),
        };
        text.push_str(&format!("\n# {}{also}\n# {}={value}\n", setting.help, setting.name));
    }
    text
}
