//! Letters to people: sent through the SMTP server of the settings; in development, without one,
//! printed in the log.
//!
//! What is to be sent stands in the database (`accounts::Letter`), so it outlives this program. Any
//! number of servers may deliver at the same time.

mod deployments;
mod smtp;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use fresco_core::{Error, Result};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::accounts::{LeasedLetter, LetterEnd, OpenedLetter};
use crate::platform::Platform;
use smtp::Smtp;

/// The pause between two looks at what is to be sent.
const PAUSE: Duration = Duration::from_secs(2);
/// The pause after a look in vain.
const TROUBLED: Duration = Duration::from_secs(10);
/// Letters at the same time.
const AT_ONCE: i64 = 8;
/// How long what is being sent may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Who delivers the letters of a platform.
#[derive(Debug)]
pub struct Post {
    platform: Platform,
    way: Way,
}

/// How letters leave.
#[derive(Debug)]
enum Way {
    Smtp(Box<Smtp>),
    /// To whoever develops.
    Log,
    /// Not at all: none is written down.
    None,
}

/// Talks to the SMTP server, and sends nothing.
///
/// # Errors
/// When it can't be reached, is not who it should be, or does not let the platform in.
pub(crate) async fn try_out(config: &crate::config::SmtpConfig) -> Result<()> {
    Smtp::new(config)?.try_out().await
}

impl Post {
    /// The post of this platform, as its settings say.
    ///
    /// # Errors
    /// `Invalid` for settings of the SMTP server that it can't be reached with.
    pub fn new(platform: &Platform) -> Result<Self> {
        let way = match &platform.config.smtp {
            Some(smtp) => Way::Smtp(Box::new(Smtp::new(smtp)?)),
            None if platform.config.is_production() => Way::None,
            None => Way::Log,
        };
        Ok(Self { platform: platform.clone(), way })
    }

    /// Delivers until told to stop. What is being sent then gets some seconds to end; what is left
    /// the next server sends.
    pub async fn run(&self, stop: &CancellationToken) {
        if matches!(self.way, Way::None) {
            tracing::warn!(
                "there is no mail: without SMTP_URL nobody can show that an address is theirs or set a forgotten password anew; docs/accounts.md says what follows"
            );
            return;
        }
        let rest = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = rest => {}
            () = self.rounds(stop) => {}
        }
    }

    async fn rounds(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.round().await {
                Ok(0) => PAUSE,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "letters can't be looked for; trying again");
                    TROUBLED
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Writes what is to be told of tenants, and delivers what is to be sent now. How many letters
    /// were tried.
    ///
    /// # Errors
    /// The store's and the database's own. A letter that can't be sent is none: it is tried again.
    pub async fn round(&self) -> Result<usize> {
        // What can't be told keeps no letter from being sent.
        let told = deployments::tell(&self.platform).await;
        let letters = self.platform.accounts.lease_letters(AT_ONCE).await?;
        let mut people = BTreeMap::<&str, Vec<_>>::new();
        for letter in &letters {
            people.entry(letter.to.as_str()).or_default().push(letter);
        }
        let tried = join_all(people.into_values().map(|letters| self.deliver_all(letters))).await;
        tried.into_iter().collect::<Result<Vec<()>>>()?;
        told.map(|()| letters.len())
    }

    /// One after the other: of two letters with a code that which arrives last has the one that counts.
    async fn deliver_all(&self, letters: Vec<&LeasedLetter>) -> Result<()> {
        for letter in letters {
            self.deliver(letter).await?;
        }
        Ok(())
    }

    async fn deliver(&self, leased: &LeasedLetter) -> Result<()> {
        let accounts = &self.platform.accounts;
        let Some(opened) = accounts.open_letter(leased).await? else {
            return accounts.end_letter(leased, LetterEnd::Dropped).await;
        };
        let (letter, kind) = (leased.id, leased.letter.kind());
        match self.send(leased, &opened).await {
            Ok(()) => {
                tracing::debug!(%letter, kind, "a letter was sent");
                accounts.end_letter(leased, LetterEnd::Sent).await
            }
            Err(error) => {
                let (error, tries) = (error.chain(), leased.tries);
                match accounts.retry_letter(leased).await? {
                    Some(pause) => {
                        let seconds = pause.as_secs();
                        tracing::warn!(%letter, kind, tries, error, seconds, "a letter could not be sent; it is tried again");
                    }
                    None => {
                        tracing::error!(%letter, kind, tries, error, "a letter could not be sent, and is given up");
                    }
                }
                Ok(())
            }
        }
    }

    async fn send(&self, leased: &LeasedLetter, opened: &OpenedLetter) -> Result<(), Error> {
        let words = words::of(&self.platform.config, opened);
        match &self.way {
            Way::Smtp(smtp) => smtp.send(leased.id, &opened.to, &words).await,
            Way::Log => {
                let (to, subject) = (&opened.to, &words.subject);
                tracing::info!(
                    "without SMTP_URL this letter goes nowhere but here\n\nTo: {to}\nSubject: {subject}\n\n{}",
                    words.text
                );
                Ok(())
            }
            Way::None => Ok(()),
        }
    }
}
