//! The SMTP server.

use std::time::Duration;

use fresco_core::{Error, ErrorKind, Result};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::words::Words;
use crate::accounts::Email;
use crate::config::{SmtpConfig, SmtpTls};

/// One command.
const COMMAND: Duration = Duration::from_secs(20);
/// All of one letter.
const LETTER: Duration = Duration::from_secs(60);

/// A way to the SMTP server. Each letter has a connection of its own.
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The transport's own would show the password.
        f.debug_struct("Smtp").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Smtp {
    pub(super) fn new(config: &SmtpConfig) -> Result<Self> {
        let wrong = |what: &'static str| move |_| Error::new(ErrorKind::Invalid, what);
        let from = config.from.parse().map_err(wrong("SMTP_FROM is no address"))?;
        let parameters = || -> Result<TlsParameters> {
            let mut tls = TlsParameters::builder(config.host.clone());
            if let Some(pem) = &config.ca {
                let wrong = "SMTP_CA holds no certificate in PEM";
                let certificate = Certificate::from_pem(pem);
                tls = tls.add_root_certificate(
                    certificate.map_err(|_| Error::new(ErrorKind::Invalid, wrong))?,
                );
            }
            tls.build().map_err(|error| {
                Error::new(ErrorKind::Invalid, "TLS to the SMTP server can't be set up")
                    .with_source(error)
            })
        };
        let tls = match config.tls {
            SmtpTls::Wrapped => Tls::Wrapper(parameters()?),
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::Off => Tls::None,
        };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.clone())
                .port(config.port)
                .tls(tls)
                .timeout(Some(COMMAND));
        if let Some((user, password)) = &config.login {
            let password = password.expose_secret().to_owned();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self { transport: transport.build(), from })
    }

    /// Talks to the server as far as before a letter: it is there, it is safe, it lets us in.
    pub(super) async fn try_out(&self) -> Result<()> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(Error::new(ErrorKind::Unavailable, "the SMTP server ends the connection"))
            }
            Err(error) => Err(told(&error)),
        }
    }

    /// Hands a letter to the server. Its Message-ID is its own, so that whoever gets it twice can tell.
    pub(super) async fn send(&self, id: Uuid, to: &Email, words: &Words) -> Result<()> {
        let to = to.as_str().parse().map_err(|_| {
            Error::new(ErrorKind::Invalid, "mail can't be sent to an address like this")
        })?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(words.subject.clone())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(words.text.clone())
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "a letter can't be written").with_source(error)
            })?;
        match tokio::time::timeout(LETTER, self.transport.send(message)).await {
            Ok(sent) => sent.map(drop).map_err(|error| told(&error)),
            Err(_) => {
                Err(Error::new(ErrorKind::TimedOut, "the SMTP server did not take it in time"))
            }
        }
    }
}

/// What went wrong. What a server answers may quote the letter, so only its number is repeated.
fn told(error: &lettre::transport::smtp::Error) -> Error {
    if let Some(code) = error.status() {
        let words = format!("the SMTP server refuses it with {code}");
        return Error::new(ErrorKind::Unavailable, words);
    }
    let words = "the SMTP server can't be talked to; check SMTP_URL, and whether it runs";
    // Its own words hold those of its causes.
    Error::new(ErrorKind::Unavailable, words).with_source(error.to_string())
}
