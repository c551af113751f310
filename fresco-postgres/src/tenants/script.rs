//! Running the SQL that `pg_restore` writes.
//!
//! It is written for `psql`, which does more than SQL: a line with a backslash can run any program
//! here, and parts of the text come from a tenant. So nothing but the server gets to see it. What
//! makes things and what completes them is sent as it is. Only the middle part, the data, is
//! taken apart, because rows follow a `COPY` there, up to a line with a backslash and a full stop.

use std::io::Cursor;

use fresco_core::{Error, ErrorKind, Result};
use futures_util::{SinkExt, pin_mut};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_postgres::{CopyInSink, Transaction};

use crate::errors::from_driver;

/// The most bytes of SQL in one message to the server. Definitions of things are far shorter.
const LARGEST: u64 = 64 << 20;
/// Bytes of rows in one message to the server.
const PART: usize = 64 << 10;
/// The line after the last row.
const END: &[u8] = b"\\.\n";

/// An error of the server while it runs a copy's SQL: mostly the copy is to blame.
fn refused(error: tokio_postgres::Error) -> Error {
    let error = from_driver(error);
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Exhausted => error,
        _ => invalid("PostgreSQL refuses what is in this copy").with_source(error),
    }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, why)
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the copy can't be read from its file").with_source(error)
}

/// Lines that are for `psql`, and time limits: ours stay, and older servers don't know them all.
fn is_surplus(line: &str) -> bool {
    line.starts_with("\\restrict ")
        || line.starts_with("\\unrestrict ")
        || (line.starts_with("SET ") && line.ends_with("_timeout = 0;"))
}

/// Runs a script without rows.
pub(super) async fn definitions(
    transaction: &Transaction<'_>,
    source: impl AsyncRead + Unpin,
) -> Result<()> {
    let mut text = String::new();
    source.take(LARGEST + 1).read_to_string(&mut text).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => invalid("the copy's SQL is not UTF-8"),
        _ => unreadable(e),
    })?;
    if text.len() as u64 > LARGEST {
        return Err(Error::new(ErrorKind::Exhausted, "the copy defines too many things"));
    }
    transaction.batch_execute(&without_surplus(&text)).await.map_err(refused)
}

/// The script without surplus lines before its first statement that makes something, and after the
/// last: there alone such lines are `pg_restore`'s own.
fn without_surplus(text: &str) -> String {
    let is_head = |line: &&str| {
        let line = line.trim_end();
        let starts = ["--", "SET ", "SELECT pg_catalog.set_config(", "\\restrict "];
        line.is_empty() || starts.iter().any(|start| line.starts_with(start))
    };
    let head: Vec<&str> = text.split_inclusive('\n').take_while(is_head).collect();
    let length: usize = head.iter().map(|line| line.len()).sum();
    let mut script: String = head.into_iter().filter(|line| !is_surplus(line.trim_end())).collect();
    let rest = &text[length..];
    // A script that makes nothing has been read to its last line by now.
    let end = match rest.starts_with("\\unrestrict ") {
        true => 0,
        false => rest.rfind("\n\\unrestrict ").map_or(rest.len(), |at| at + 1),
    };
    script.push_str(&rest[..end]);
    script
}

/// Runs a script of rows, values of sequences, and large objects.
pub(super) async fn data(
    transaction: &Transaction<'_>,
    source: impl AsyncRead + Unpin,
) -> Result<()> {
    let mut source = BufReader::with_capacity(PART, source);
    while let Some(statement) = next_statement(&mut source).await? {
        if statement.starts_with("COPY ") && statement.ends_with(" FROM stdin;") {
            let sink = transaction.copy_in::<_, Cursor<Vec<u8>>>(&statement).await;
            rows(&mut source, sink.map_err(refused)?).await?;
        } else if statement != "BEGIN;" && statement != "COMMIT;" {
            // Large objects come in transactions of their own; here all is one.
            transaction.batch_execute(&statement).await.map_err(refused)?;
        }
    }
    Ok(())
}

/// The next statement, without lines before it that are none.
async fn next_statement<R: AsyncRead + Unpin>(source: &mut BufReader<R>) -> Result<Option<String>> {
    let mut text = String::new();
    let mut quote = None;
    loop {
        let mut line = Vec::new();
        let length = source.take(LARGEST).read_until(b'\n', &mut line).await.map_err(unreadable)?;
        let line = String::from_utf8(line).map_err(|_| invalid("the copy's SQL is not UTF-8"))?;
        if length == 0 {
            return match text.is_empty() {
                true => Ok(None),
                false => Err(invalid("the copy's SQL breaks off")),
            };
        }
        let bare = line.trim_end();
        if text.is_empty() && (bare.is_empty() || bare.starts_with("--") || is_surplus(bare)) {
            continue;
        }
        if text.len() as u64 + length as u64 > LARGEST {
            return Err(Error::new(ErrorKind::Exhausted, "a statement of the copy is too long"));
        }
        // A quote within quotes is written twice: it ends them and begins them again.
        for mark in line.chars().filter(|c| matches!(c, '\'' | '"')) {
            quote = match quote {
                None => Some(mark),
                Some(open) if open == mark => None,
                open => open,
            };
        }
        text.push_str(&line);
        if quote.is_none() && text.trim_end().ends_with(';') {
            text.truncate(text.trim_end().len());
            return Ok(Some(text));
        }
    }
}

/// Hands rows to the server until the line that ends them.
async fn rows<R: AsyncRead + Unpin>(
    source: &mut BufReader<R>,
    sink: CopyInSink<Cursor<Vec<u8>>>,
) -> Result<()> {
    pin_mut!(sink);
    let mut at_start = true;
    loop {
        let part = source.fill_buf().await.map_err(unreadable)?;
        if part.is_empty() {
            return Err(invalid("the copy's rows break off"));
        }
        let (length, mut ended) = upto_end(part, at_start);
        let undecided = !ended && length < part.len();
        let mut rows = part[..length].to_vec();
        at_start = rows.last().map_or(at_start, |last| *last == b'\n');
        source.consume(if ended { length + END.len() } else { length });
        if undecided {
            // What is left in the buffer looks like the beginning of the last line.
            let mut line = Vec::new();
            source.read_until(b'\n', &mut line).await.map_err(unreadable)?;
            ended = line == END;
            if !ended {
                rows.extend(line);
            }
        }
        sink.send(Cursor::new(rows)).await.map_err(refused)?;
        if ended {
            sink.finish().await.map_err(refused)?;
            return Ok(());
        }
    }
}

/// How many of these bytes are rows for sure, and whether the last line comes right after them.
fn upto_end(part: &[u8], mut at_start: bool) -> (usize, bool) {
    let mut done = 0;
    while done < part.len() {
        let rest = &part[done..];
        if at_start && rest.starts_with(END) {
            return (done, true);
        }
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(at) => done += at + 1,
            None if at_start && END.starts_with(rest) => return (done, false),
            None => return (part.len(), false),
        }
        at_start = true;
    }
    (done, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_rows_is_found_where_a_line_begins() {
        assert_eq!(upto_end(b"1\n2\n\\.\nSELECT", true), (4, true));
        assert_eq!(upto_end(b"\\.\n", true), (0, true));
        assert_eq!(upto_end(b"\\.\n", false), (3, false));
        assert_eq!(upto_end(b"1\n\\", true), (2, false));
        assert_eq!(upto_end(b"1\n\\.", true), (2, false));
        assert_eq!(upto_end(b"1\n\\N", true), (4, false));
        assert_eq!(upto_end(b"1\\.\n", true), (4, false));
    }

    #[test]
    fn only_the_lines_around_a_script_are_left_out() {
        let text = "--\n\\restrict abc\nSET transaction_timeout = 0;\nSET xmloption = content;\n\nCREATE FUNCTION f() AS '\nSET lock_timeout = 0;\n\\restrict x\n';\n\\unrestrict abc\n\n";
        assert_eq!(
            without_surplus(text),
            "--\nSET xmloption = content;\n\nCREATE FUNCTION f() AS '\nSET lock_timeout = 0;\n\\restrict x\n';\n"
        );
        assert_eq!(without_surplus("--\n\\restrict a\n\n\\unrestrict a\n"), "--\n\n");
    }

    #[tokio::test]
    async fn quotes_keep_a_statement_together() {
        let text = "--\n-- Data; of 'x\n--\n\nCOPY a.\"b;\n \"\"c'\" (d) FROM stdin;\nSELECT setval('a;\n''', 1);\n\\unrestrict x\n";
        let mut source = BufReader::new(text.as_bytes());
        let first = next_statement(&mut source).await.unwrap().unwrap();
        assert_eq!(first, "COPY a.\"b;\n \"\"c'\" (d) FROM stdin;");
        let second = next_statement(&mut source).await.unwrap().unwrap();
        assert_eq!(second, "SELECT setval('a;\n''', 1);");
        assert_eq!(next_statement(&mut source).await.unwrap(), None);
        let mut cut = BufReader::new(&b"SELECT 'a;\n"[..]);
        assert_eq!(next_statement(&mut cut).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
