//! The SMTP server of the settings.

use std::fmt;

use lettre::message::Mailbox;
use secrecy::SecretString;
use url::{Host, Url};

use super::reader::Reader;

/// How letters are sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct SmtpConfig {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How what is said to it is kept from others.
    pub tls: SmtpTls,
    /// Name and password.
    pub login: Option<(String, SecretString)>,
    /// Whom letters are from: an address, or a name with the address in angle brackets.
    pub from: String,
    /// Certificates, in PEM, that the server's may be signed by, beside the public ones.
    pub ca: Option<Vec<u8>>,
}

/// How what is said to an SMTP server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte.
    Wrapped,
    /// STARTTLS, and nothing is said without it.
    StartTls,
    /// Not at all: it stays on this machine.
    Off,
}

impl fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, from, .. } = self;
        write!(f, "SmtpConfig({host}:{port}, {tls:?}, from {from})")
    }
}

impl Reader<'_> {
    /// The SMTP server, if there is one; the outer `None` stands for one that is wrong.
    pub(super) fn smtp(&mut self) -> Option<Option<SmtpConfig>> {
        let (url, from, ca) = (self.text("SMTP_URL"), self.text("SMTP_FROM"), self.smtp_ca()?);
        let Some(url) = url else {
            for name in ["SMTP_FROM", "SMTP_CA"] {
                self.check(name, !self.is_set(name), "is of no use without SMTP_URL");
            }
            return Some(None);
        };
        let Some(from) = from else {
            self.wrong("SMTP_FROM", "must be set with SMTP_URL: whom letters are from");
            return None;
        };
        let good = from.parse::<Mailbox>().is_ok();
        let words = "must be an address such as fresco@example.org, or a name with one, such as Fresco <fresco@example.org>";
        self.check("SMTP_FROM", good, words);
        // Neither the URL nor the parser's words are repeated: there is a password in it.
        match server(&url, from, ca) {
            Ok(smtp) => Some(Some(smtp)),
            Err(what) => {
                self.wrong("SMTP_URL", what);
                None
            }
        }
    }

    fn smtp_ca(&mut self) -> Option<Option<Vec<u8>>> {
        let Some(path) = self.text("SMTP_CA") else { return Some(None) };
        match std::fs::read(&path) {
            Ok(pem) => Some(Some(pem)),
            Err(error) => {
                self.wrong("SMTP_CA", &format!("can't be read: {path}: {error}"));
                None
            }
        }
    }
}

fn server(text: &str, from: String, ca: Option<Vec<u8>>) -> Result<SmtpConfig, &'static str> {
    const SHAPE: &str = "must look like smtps://name:password@host:465 (TLS), smtp://name:password@host:587 (STARTTLS) or smtp://host:25?tls=none, with special characters of name and password in percent-encoding";
    let url = Url::parse(text).map_err(|_| SHAPE)?;
    let bare = matches!(url.path(), "" | "/") && url.fragment().is_none();
    let tls = match (url.scheme(), url.query()) {
        ("smtps", None) => SmtpTls::Wrapped,
        ("smtp", None) => SmtpTls::StartTls,
        ("smtp", Some("tls=none")) => SmtpTls::Off,
        _ => return Err(SHAPE),
    };
    let host = url.host_str().filter(|host| bare && !host.is_empty()).ok_or(SHAPE)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let usual = match tls {
        SmtpTls::Wrapped => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::Off => 25,
    };
    let decoded = |text: &str| {
        let bytes = percent_encoding::percent_decode_str(text);
        bytes.decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| SHAPE)
    };
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (name, Some(password)) if !name.is_empty() => {
            Some((decoded(name)?, decoded(password)?.into()))
        }
        _ => return Err(SHAPE),
    };
    let near = match Host::parse(&host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        _ => host == "::1",
    };
    // Letters hold what opens an account.
    if tls == SmtpTls::Off && !near {
        return Err(
            "would send letters, and the links in them that set a password, to another machine without TLS: leave out tls=none, which is for a server on this machine (localhost, 127.0.0.1, [::1])",
        );
    }
    Ok(SmtpConfig { host, port: url.port().unwrap_or(usual), tls, login, from, ca })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::settings::Values;
    use secrecy::ExposeSecret;

    fn read(url: &str) -> Result<SmtpConfig, String> {
        let values = [("SMTP_URL", url), ("SMTP_FROM", "Fresco <fresco@example.org>")];
        let config = Config::read(&Values::new(values)).map_err(|error| error.to_string())?;
        Ok(config.smtp.unwrap())
    }

    #[test]
    fn servers() {
        for (url, host, port, tls) in [
            ("smtps://mail.example.org", "mail.example.org", 465, SmtpTls::Wrapped),
            ("smtp://mail.example.org", "mail.example.org", 587, SmtpTls::StartTls),
            ("smtp://mail.example.org/", "mail.example.org", 587, SmtpTls::StartTls),
            ("smtp://127.0.0.5:2525?tls=none", "127.0.0.5", 2525, SmtpTls::Off),
            ("smtp://localhost?tls=none", "localhost", 25, SmtpTls::Off),
            ("smtp://a:b@127.0.0.1?tls=none", "127.0.0.1", 25, SmtpTls::Off),
            ("smtp://[::1]?tls=none", "::1", 25, SmtpTls::Off),
        ] {
            let smtp = read(url).unwrap();
            assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), (host, port, tls), "{url}");
        }
        let (name, password) = read("smtps://ada%40b:hunter2%2F@h").unwrap().login.unwrap();
        assert_eq!((name.as_str(), password.expose_secret()), ("ada@b", "hunter2/"));
    }

    #[test]
    fn without_tls_letters_stay_on_this_machine() {
        for host in ["mail.example.org", "10.0.0.5", "localhost.example.org", "[fd00::1]"] {
            let problem = read(&format!("smtp://{host}?tls=none")).unwrap_err();
            assert!(problem.contains("\n  SMTP_URL would send letters"), "{host}: {problem}");
            read(&format!("smtp://{host}")).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for url in [
            "hunter2",
            "http://ada:hunter2@h",
            "smtps://ada:hunter2@h?tls=none",
            "smtp://ada:hunter2@h?tls=maybe",
            "smtp://ada:hunter2@h/path",
            "smtp://ada@h",
            "smtp://ada:hunter2@mail.example.org?tls=none",
        ] {
            let problem = read(url).unwrap_err();
            assert!(problem.contains("\n  SMTP_URL "), "{url}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        assert!(!format!("{:?}", read("smtps://ada:hunter2@h").unwrap()).contains("hunter2"));
        let alone = Config::read(&Values::new([("SMTP_URL", "smtps://h")])).unwrap_err();
        assert!(alone.to_string().contains("SMTP_FROM must be set"), "{alone}");
        let alone = Config::read(&Values::new([("SMTP_FROM", "a@b.org")])).unwrap_err();
        assert!(alone.to_string().contains("SMTP_FROM is of no use"), "{alone}");
    }
}
