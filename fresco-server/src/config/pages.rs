//! What the operators of a platform tell its visitors: who they are, and on what terms.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::reader::Reader;
use crate::accounts::Email;

/// Bytes of a text at most.
const LONGEST_TEXT: u64 = 256 * 1024;
/// Characters of a name at most.
const LONGEST_NAME: usize = 100;

/// What the pages tell of the platform's operators.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PageSettings {
    /// Who runs the platform.
    pub operator: Option<String>,
    /// How they are reached.
    pub contact: Option<Contact>,
    /// Their texts in place of those that come with the program.
    pub legal: LegalTexts,
}

/// The operators' own texts, in Markdown; `None` stands for the one that comes with the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegalTexts {
    /// `terms.md`: the terms of use.
    pub terms: Option<String>,
    /// `privacy.md`: what is done with personal data.
    pub privacy: Option<String>,
    /// `service-level.md`: what people may count on.
    pub service_level: Option<String>,
}

/// How people reach the operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// By mail.
    Email(Email),
    /// By a web page.
    Page(Url),
}

/// This text is neither an e-mail address nor the address of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is neither an e-mail address nor the https:// address of a web page")]
pub struct ContactError;

impl FromStr for Contact {
    type Err = ContactError;

    fn from_str(text: &str) -> Result<Self, ContactError> {
        if let Ok(email) = text.parse() {
            return Ok(Self::Email(email));
        }
        let url = Url::parse(text).map_err(|_| ContactError)?;
        let good = matches!(url.scheme(), "http" | "https") && url.has_host();
        good.then_some(Self::Page(url)).ok_or(ContactError)
    }
}

impl Contact {
    /// What a link leads to.
    #[must_use]
    pub fn href(&self) -> String {
        match self {
            Self::Email(email) => format!("mailto:{email}"),
            Self::Page(url) => url.to_string(),
        }
    }

    /// What people read.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Email(email) => email.to_string(),
            Self::Page(url) => {
                let text = url.as_str();
                let text = text.split_once("://").map_or(text, |(_, rest)| rest);
                text.trim_end_matches('/').to_owned()
            }
        }
    }
}

impl Reader<'_> {
    pub(super) fn pages(&mut self) -> Option<PageSettings> {
        let operator = self.text("OPERATOR_NAME");
        let plain = |name: &String| {
            name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
        };
        let words = format!("must be one line of at most {LONGEST_NAME} characters");
        self.check("OPERATOR_NAME", operator.as_ref().is_none_or(plain), &words);
        let kind = "an e-mail address, or the https:// address of a web page";
        let contact = self.optional("OPERATOR_CONTACT", kind);
        let legal = self.legal();
        Some(PageSettings { operator, contact: contact?, legal: legal? })
    }

    /// The texts of the folder. Other files in it mean nothing, but one with none of them is a mistake.
    fn legal(&mut self) -> Option<LegalTexts> {
        let Some(folder) = self.text("LEGAL_DIRECTORY").map(PathBuf::from) else {
            return Some(LegalTexts::default());
        };
        let names = ["terms.md", "privacy.md", "service-level.md"];
        let read = names.map(|name| text_of(&folder.join(name)));
        if let Some(problem) = read.iter().find_map(|text| text.as_ref().err()) {
            self.wrong("LEGAL_DIRECTORY", problem);
            return None;
        }
        let [terms, privacy, service_level] = read.map(|text| text.ok().flatten());
        let texts = LegalTexts { terms, privacy, service_level };
        let words = format!(
            "must be a folder with terms.md, privacy.md or service-level.md, and {} has none of them",
            folder.display()
        );
        self.check("LEGAL_DIRECTORY", texts != LegalTexts::default(), &words);
        Some(texts)
    }
}

/// This file's text; `None` where there is none.
fn text_of(path: &Path) -> Result<Option<String>, String> {
    let shown = path.display();
    let wrong =
        |error: &dyn std::fmt::Display| format!("holds {shown}, which can't be read: {error}");
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&error)),
    };
    let mut text = String::new();
    let size = file.take(LONGEST_TEXT + 1).read_to_string(&mut text);
    let size = size.map_err(|error| wrong(&error))?;
    if size as u64 > LONGEST_TEXT {
        return Err(format!("holds {shown}, which is longer than {} kB", LONGEST_TEXT / 1024));
    }
    // It is the whole page, so the page's heading is its own.
    let title = text.trim_start_matches('\u{feff}').trim_start();
    if !title.starts_with("# ") {
        return Err(format!(
            "holds {shown}, which must begin with its title, as in: # Terms of use"
        ));
    }
    Ok(Some(title.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::settings::Values;

    fn read(settings: &[(&str, &str)]) -> Result<PageSettings, String> {
        let config = Config::read(&Values::new(settings.iter().copied()));
        config.map(|config| config.pages).map_err(|error| error.to_string())
    }

    #[test]
    fn who_runs_it_is_reached_by_mail_or_by_a_page() {
        for (contact, href, text) in [
            ("help@example.org", "mailto:help@example.org", "help@example.org"),
            ("https://example.org/help/", "https://example.org/help/", "example.org/help"),
        ] {
            let pages = read(&[("OPERATOR_NAME", "The lab"), ("OPERATOR_CONTACT", contact)]);
            let pages = pages.unwrap();
            assert_eq!(pages.operator.as_deref(), Some("The lab"));
            let contact = pages.contact.unwrap();
            assert_eq!((contact.href().as_str(), contact.text().as_str()), (href, text));
        }
        for contact in ["nobody", "javascript:alert(1)", "mailto:a@example.org", "ftp://x", "http:"]
        {
            let problem = read(&[("OPERATOR_CONTACT", contact)]).unwrap_err();
            assert!(problem.contains("\n  OPERATOR_CONTACT must be"), "{contact}: {problem}");
        }
        let problem = read(&[("OPERATOR_NAME", &"x".repeat(101))]).unwrap_err();
        assert!(problem.contains("\n  OPERATOR_NAME must be"), "{problem}");
    }

    #[test]
    fn texts_are_read_and_looked_at_when_the_server_starts() {
        let folder = std::env::temp_dir().join(format!("fresco-legal-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let settings = [("LEGAL_DIRECTORY", folder.to_str().unwrap())];
        let write = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).unwrap();
        let problem = read(&settings).unwrap_err();
        assert!(problem.contains("LEGAL_DIRECTORY must be a folder with terms.md"), "{problem}");
        write("privacy.md", "\u{feff}\n# Datenschutz\n\nWir …\n".as_bytes());
        let legal = read(&settings).unwrap().legal;
        assert_eq!(legal.privacy.as_deref(), Some("# Datenschutz\n\nWir …\n"));
        assert_eq!((legal.terms, legal.service_level), (None, None));
        let long = format!("# T\n{}", "x".repeat(256 * 1024));
        for (text, what) in [
            (&b"Terms of use"[..], "must begin with its title"),
            (&b""[..], "must begin with its title"),
            (&b"# \xff"[..], "can't be read"),
            (long.as_bytes(), "longer than 256 kB"),
        ] {
            write("terms.md", text);
            let problem = read(&settings).unwrap_err();
            assert!(problem.contains(what) && problem.contains("terms.md"), "{problem}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(read(&settings).unwrap_err().contains("LEGAL_DIRECTORY"), "no folder at all");
    }
}
