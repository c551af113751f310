//! The table: attempt, expected, observed.

use std::fmt::{self, Write as _};

use tokio_postgres::error::DbError;

use crate::world::Wrong;

/// What an attempt must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It must work: what people and tenants need.
    Works,
    /// It is not done, or shows nothing.
    Refused,
    /// It is done up to a limit.
    Bounded,
    /// It harms others, and is ended.
    SharedRisk,
    /// It harms others, and only settings bound it.
    Open,
}

impl Expected {
    /// All of them, in the order in which they are counted.
    const ALL: [Self; 5] =
        [Self::Works, Self::Refused, Self::Bounded, Self::SharedRisk, Self::Open];

    const fn counted(self) -> &'static str {
        match self {
            Self::Works => "working",
            Self::Refused => "refused",
            Self::Bounded => "bounded",
            Self::SharedRisk => "shared risks ended",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Works => "works",
            Self::Refused => "refused",
            Self::Bounded => "bounded",
            Self::SharedRisk => "ended within 10 s",
            Self::Open => "open: settings bound it",
        })
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended as it must, and this was seen.
    AsExpected(String),
    /// It did not.
    Wrong(String),
    /// It was not made, for this reason.
    NotTried(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsExpected(words) => f.write_str(words),
            Self::Wrong(words) => write!(f, "NOT AS EXPECTED: {words}"),
            Self::NotTried(words) => write!(f, "not tried: {words}"),
        }
    }
}

impl From<Result<String, Wrong>> for Outcome {
    fn from(observed: Result<String, Wrong>) -> Self {
        match observed {
            Ok(words) => Self::AsExpected(words),
            Err(Wrong(words)) => Self::Wrong(words),
        }
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Row {
    /// From where: the isolation of the tenant's database, or `network`.
    pub part: String,
    /// What was tried.
    pub attempt: String,
    /// What must come of it.
    pub expected: Expected,
    /// What came of it.
    pub outcome: Outcome,
}

/// The attempts that were made.
#[derive(Debug, Default)]
pub struct Table {
    /// The part of the rows that are added now.
    pub part: String,
    rows: Vec<Row>,
    tell: Option<fn(&Row)>,
}

impl Table {
    /// A table that tells of each row at once.
    #[must_use]
    pub fn telling(tell: fn(&Row)) -> Self {
        Self { tell: Some(tell), ..Self::default() }
    }

    /// Adds a row: what was observed, or why that is not what is expected.
    pub fn add(
        &mut self,
        expected: Expected,
        attempt: impl Into<String>,
        outcome: impl Into<Outcome>,
    ) {
        let (attempt, outcome) = (attempt.into(), outcome.into());
        let row = Row { part: self.part.clone(), attempt, expected, outcome };
        if let Some(tell) = self.tell {
            tell(&row);
        }
        self.rows.push(row);
    }

    /// How many attempts ended as they must, did not, and were not made.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count =
            |of: fn(&Outcome) -> bool| self.rows.iter().filter(|row| of(&row.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::AsExpected(_))),
            count(|outcome| matches!(outcome, Outcome::Wrong(_))),
            count(|outcome| matches!(outcome, Outcome::NotTried(_))),
        )
    }

    /// The table for filing, in Markdown, with its counts.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = "| part | attempt | expected | observed |\n|---|---|---|---|\n".to_owned();
        for Row { part, attempt, expected, outcome } in &self.rows {
            let mark = if matches!(outcome, Outcome::AsExpected(_)) { "" } else { "**" };
            let observed = outcome.to_string().replace('|', "/").replace('\n', " ");
            let _ = writeln!(text, "| {part} | {attempt} | {expected} | {mark}{observed}{mark} |");
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    /// The counts in a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let counts = Expected::ALL.into_iter().filter_map(|expected| {
            let count = self.rows.iter().filter(|row| row.expected == expected).count();
            (count != 0).then(|| format!("{count} {}", expected.counted()))
        });
        let counts = counts.collect::<Vec<_>>().join(", ");
        let (_, wrong, untried) = self.counts();
        let untried = match untried {
            0 => String::new(),
            some => format!("; {some} not tried"),
        };
        let all = self.rows.len();
        format!("{all} attempts, expected: {counts}; {wrong} not as expected{untried}.")
    }
}

/// What the server said, without names of tenants in it.
pub(crate) fn said(error: &DbError) -> String {
    let words = error.message().split_whitespace().map(|word| match word.contains("tenant_") {
        true => "…",
        false => word,
    });
    let words = words.collect::<Vec<_>>().join(" ").replace('|', "/");
    format!("{}: {words}", error.code().code())
}
