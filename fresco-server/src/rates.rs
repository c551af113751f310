//! How often somebody may ask.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The most that a rate may let in within its time.
const MOST: u32 = 1_000_000;

/// So many requests within a time: all of them at once, if somebody likes, and then one whenever the
/// time of one has passed.
///
/// ```
/// use fresco_server::Rate;
///
/// let rate: Rate = "30/minute".parse()?;
/// assert_eq!(rate.to_string(), "30/minute");
/// assert!("0/minute".parse::<Rate>().is_err() && "30".parse::<Rate>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    times: NonZeroU32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    const fn time(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(60 * 60),
        }
    }
}

impl Rate {
    /// How many at once.
    pub(crate) const fn burst(self) -> NonZeroU32 {
        self.times
    }

    /// After what time one more is let in.
    pub(crate) fn each(self) -> Duration {
        self.unit.time() / self.times.get()
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (times, unit) = text.split_once('/')?;
            let times = times.parse().ok().filter(|times: &NonZeroU32| times.get() <= MOST)?;
            let unit = Unit::ALL.into_iter().find(|known| known.name() == unit)?;
            Some(Self { times, unit })
        };
        parse().ok_or_else(|| {
            format!("a rate such as 30/minute (1 to {MOST} a second, minute or hour)")
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.times, self.unit.name())
    }
}

/// How often one address may ask for calls of each kind, and how often one account.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rates {
    /// Signing in, and what else a secret is guessed with.
    pub sign_in: Rate,
    /// Passwords tried for one account from where it was never signed in, all addresses together;
    /// and from each network where it was.
    pub attempts: Rate,
    /// Beginning to sign up: each time a letter goes to the address, where mail is sent.
    pub begin: Rate,
    /// The wizard's further steps.
    pub sign_up: Rate,
    /// What else sends a letter.
    pub mail: Rate,
    /// What changes something.
    pub changes: Rate,
    /// What only looks.
    pub reads: Rate,
    /// Opening streams.
    pub streams: Rate,
}
