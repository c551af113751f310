//! The table: attempt, expected, observed.

use std::fmt::Write;
use std::path::Path;

use fresco_core::Isolation;
use tokio_postgres::error::DbError;

/// What an attempt must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Refused,
    Bounded,
    SharedRisk,
    Open,
}

impl Expected {
    const fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Bounded => "bounded",
            Self::SharedRisk => "shared risk, ended ≤ 10 s",
            Self::Open => "open: server settings, network",
        }
    }
}

struct Row {
    attempt: String,
    isolation: Isolation,
    expected: Expected,
    observed: Result<String, String>,
}

pub(crate) struct Table {
    version: &'static str,
    /// Of the rows that are added now.
    pub(crate) isolation: Isolation,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(version: &'static str) -> Self {
        Self { version, isolation: Isolation::Schema, rows: Vec::new() }
    }

    /// Adds a row: what was observed, or why that is not what is expected.
    pub(crate) fn add(
        &mut self,
        expected: Expected,
        attempt: impl Into<String>,
        observed: Result<String, String>,
    ) {
        let (attempt, isolation) = (attempt.into(), self.isolation);
        self.rows.push(Row { attempt, isolation, expected, observed });
    }

    /// Prints the table, keeps it as a file, and fails if a row is not as expected.
    pub(crate) fn file(&self) {
        let mut text = format!("## PostgreSQL {}\n\n", self.version);
        text.push_str("| isolation | attempt | expected | observed |\n|---|---|---|---|\n");
        for row in &self.rows {
            let isolation = format!("{:?}", row.isolation).to_lowercase();
            let observed = match &row.observed {
                Ok(words) => words.clone(),
                Err(words) => format!("**NOT AS EXPECTED: {words}**"),
            };
            let (attempt, expected) = (&row.attempt, row.expected.words());
            writeln!(text, "| {isolation} | {attempt} | {expected} | {observed} |").unwrap();
        }
        let wrong: Vec<_> = self.rows.iter().filter(|row| row.observed.is_err()).collect();
        let count = |expected| self.rows.iter().filter(|row| row.expected == expected).count();
        writeln!(
            text,
            "\n{} attempts: {} refused, {} bounded, {} shared risks ended, {} open; {} not as expected.\n",
            self.rows.len(),
            count(Expected::Refused),
            count(Expected::Bounded),
            count(Expected::SharedRisk),
            count(Expected::Open),
            wrong.len()
        )
        .unwrap();
        println!("{text}");
        let name = format!("isolation-{}.md", self.version);
        std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), &text).unwrap();
        assert!(wrong.is_empty(), "{} rows are not as expected; see the table", wrong.len());
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
