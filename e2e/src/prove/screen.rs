//! What a person sees, and what is filed.

use std::process::ExitCode;
use std::time::Duration;

use fresco_isolation::{Outcome, Row, Table, Wrong};

use crate::platform::Place;

/// How wide the columns of the attempts and of what is expected are.
const ATTEMPT: usize = 62;
const EXPECTED: usize = 22;
/// How much of an observation is shown; the file has all of it.
const OBSERVED: usize = 100;

/// A line between two parts.
pub(crate) fn heading(words: &str) {
    println!("\n{words}\n");
}

/// The heads of the columns.
pub(crate) fn columns() {
    println!("\n  {:ATTEMPT$}  {:EXPECTED$}  observed", "attempt", "expected");
}

/// A row, as soon as it is known.
pub(crate) fn row(row: &Row) {
    let observed = row.outcome.to_string();
    let wide = if matches!(row.outcome, Outcome::AsExpected(_)) { OBSERVED } else { usize::MAX };
    println!(
        "  {:ATTEMPT$}  {:EXPECTED$}  {}",
        cut(&row.attempt, ATTEMPT),
        row.expected.to_string(),
        cut(&observed, wide)
    );
}

fn cut(words: &str, wide: usize) -> String {
    if words.chars().count() <= wide {
        return words.to_owned();
    }
    let kept: String = words.chars().take(wide - 1).collect();
    format!("{}…", kept.trim_end())
}

/// Files the table, and says what came of it all.
pub(crate) fn end(place: &Place, table: &Table, took: Duration) -> Result<ExitCode, Wrong> {
    let (good, wrong, untried) = table.counts();
    let seconds = took.as_secs();
    let head = format!(
        "# What was tried on {}\n\nIsolation of the tenants' databases: {}. All of it took {seconds} s.\n\n",
        place.api,
        format!("{:?}", place.isolation()).to_lowercase()
    );
    std::fs::write(&place.output, head + &table.markdown())?;
    println!("\n  The table, to be filed: {}", place.output.display());
    println!("  The account {} stays; it owns nothing.", crate::platform::EMAIL);
    let untried = if untried == 0 { String::new() } else { format!(", {untried} not tried") };
    println!("\n{good} of {} as expected{untried}, in {seconds} s.", good + wrong);
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
