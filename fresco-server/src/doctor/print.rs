//! Findings as a person reads them.

use std::io::{self, Write};

use super::finding::{Level, Section};
use super::mend::Mend;

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Wrong => "\x1b[1;31m",
        }
    }
}

/// Writes all sections, aligned, with their mends as `shown`, and what they come to.
pub(super) fn write(
    sections: &[Section],
    shown: impl Fn(&Mend) -> String,
    out: &mut impl Write,
    colours: bool,
) -> io::Result<()> {
    let paint = |code: &'static str| if colours { code } else { "" };
    let (bold, reset) = (paint(BOLD), paint(RESET));
    let all = || sections.iter().flat_map(|section| &section.findings);
    let width = all().map(|finding| finding.what.len()).max().unwrap_or_default();
    for section in sections.iter().filter(|section| !section.findings.is_empty()) {
        writeln!(out, "{bold}{}{reset}", section.title)?;
        for finding in &section.findings {
            let (colour, word) = (paint(finding.level.colour()), finding.level.word());
            let (what, seen) = (finding.what, plain(&finding.seen));
            writeln!(out, "  {colour}{word:<7}{reset}  {what:<width$}  {seen}")?;
            for mend in &finding.mends {
                writeln!(
                    out,
                    "{:>indent$}{bold}$ {}{reset}",
                    "",
                    plain(&shown(mend)),
                    indent = width + 13
                )?;
            }
        }
        writeln!(out)?;
    }
    let count = |level| all().filter(|finding| finding.level == level).count();
    let (wrong, warnings) = (count(Level::Wrong), count(Level::Warning));
    let level = match (wrong, warnings) {
        (0, 0) => Level::Ok,
        (0, _) => Level::Warning,
        _ => Level::Wrong,
    };
    let colour = paint(level.colour());
    let noted = match warnings {
        0 => String::new(),
        1 => ", and 1 warning".to_owned(),
        n => format!(", and {n} warnings"),
    };
    match wrong {
        0 => writeln!(out, "{colour}Nothing is wrong{noted}.{reset}"),
        1 => writeln!(out, "{colour}1 thing is wrong{noted}.{reset} Mend it, and run this again."),
        n => writeln!(
            out,
            "{colour}{n} things are wrong{noted}.{reset} Mend the first, and run this again."
        ),
    }
}

/// Words of other programs come here: none of their characters may move the cursor or colour the
/// screen.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Finding;
    use crate::settings::Values;

    fn written(findings: Vec<Finding>, colours: bool) -> String {
        let mut out = Vec::new();
        let shown = |mend: &Mend| mend.command(&Values::default(), None);
        write(&[Section { title: "Docker", findings }], shown, &mut out, colours).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_aligned_and_the_mend_stands_below() {
        let text = written(
            vec![
                Finding::ok("engine", "fine"),
                Finding::wrong("a port", "taken").mend("stop it"),
                Finding::warning("x", "hm"),
            ],
            false,
        );
        let expected = "Docker
  ok       engine  fine
  wrong    a port  taken
                   $ stop it
  warning  x       hm

1 thing is wrong, and 1 warning. Mend it, and run this again.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_it_is() {
        let text = written(vec![Finding::ok("port", "taken by \x1b[2Jevil\r\nok")], false);
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
        assert_eq!(text.lines().count(), 4, "{text:?}");
        assert!(written(vec![Finding::ok("x", "y")], true).contains("\x1b[32mok"));
    }
}
