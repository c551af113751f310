//! A container's log, line by line.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as Vendor;
use bollard::query_parameters::LogsOptionsBuilder;
use chrono::{DateTime, Utc};
use fresco_core::{LogLine, LogQuery, LogStream, Result};
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::engine::Engine;
use crate::errors::{Cause, Failed};

/// Docker cuts lines at 16 KiB; joined again they end here, so that no app fills our memory.
const LONGEST_LINE: usize = 256 * 1024;
/// Docker reads the two streams side by side, and so writes down some lines a little late. So many
/// are held back to bring them into order, unless the log is followed.
const HELD: usize = 64;

/// The lines of a container's log. Dropping the stream ends the reading.
pub(crate) fn lines(
    engine: &Engine,
    id: &str,
    query: &LogQuery,
) -> BoxStream<'static, Result<LogLine>> {
    let since = query.since;
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(query.follow)
        .since(since.map_or(0, |at| i32::try_from(at.timestamp()).unwrap_or(i32::MAX)))
        .tail(&query.lines.to_string())
        .build();
    let reader = Reader {
        frames: engine.docker().logs(id, Some(options)).boxed(),
        // A followed log may be silent for as long as it likes, and no line of it may wait.
        timeout: (!query.follow).then(|| engine.timeout()),
        hold: if query.follow { 0 } else { HELD },
        host: engine.host().to_owned(),
        lines: Lines::default(),
        held: VecDeque::new(),
        ended: false,
    };
    stream::unfold(reader, async |mut reader| Some((reader.next().await?, reader)))
        // Docker's own `since` counts whole seconds.
        .filter(move |line| {
            let early = line.as_ref().is_ok_and(|line| since.is_some_and(|since| line.at < since));
            std::future::ready(!early)
        })
        .boxed()
}

struct Reader {
    frames: BoxStream<'static, Result<LogOutput, Vendor>>,
    timeout: Option<Duration>,
    hold: usize,
    host: String,
    lines: Lines,
    held: VecDeque<LogLine>,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogLine>> {
        while !self.ended && self.held.len() <= self.hold {
            let cause = match self.frame().await {
                Ok(Some(Ok(frame))) => {
                    let line = self.lines.add(frame);
                    line.into_iter().for_each(|line| self.sort_in(line));
                    continue;
                }
                Ok(None) => {
                    self.ended = true;
                    while let Some(line) = self.lines.rest() {
                        self.sort_in(line);
                    }
                    break;
                }
                Ok(Some(Err(error))) => Cause::Vendor(Box::new(error)),
                Err(time) => Cause::TimedOut(time),
            };
            self.ended = true;
            let what = "read the container's log";
            let failed = Failed { what, host: self.host.clone(), cause };
            return Some(Err(fresco_core::Error::from(failed).during("runtime.logs")));
        }
        self.held.pop_front().map(Ok)
    }

    fn sort_in(&mut self, line: LogLine) {
        let at = self.held.partition_point(|held| held.at <= line.at);
        self.held.insert(at, line);
    }

    async fn frame(&mut self) -> Result<Option<Result<LogOutput, Vendor>>, Duration> {
        match self.timeout {
            Some(time) => tokio::time::timeout(time, self.frames.next()).await.map_err(|_| time),
            None => Ok(self.frames.next().await),
        }
    }
}

/// Puts the pieces of long lines together, for each of the two streams.
#[derive(Default)]
struct Lines {
    stdout: Option<(DateTime<Utc>, Vec<u8>)>,
    stderr: Option<(DateTime<Utc>, Vec<u8>)>,
}

impl Lines {
    /// Takes one piece; gives the line that it ends.
    fn add(&mut self, frame: LogOutput) -> Option<LogLine> {
        let stream = match frame {
            LogOutput::StdErr { .. } => LogStream::Stderr,
            _ => LogStream::Stdout,
        };
        let bytes = frame.into_bytes();
        let (at, text) = stamped(&bytes);
        let pending = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        // The line has the time of its first piece.
        let (_, line) = pending.get_or_insert_with(|| (at.unwrap_or_default(), Vec::new()));
        line.extend_from_slice(text);
        if !text.ends_with(b"\n") && line.len() < LONGEST_LINE {
            return None;
        }
        pending.take().map(|(at, text)| finished(at, stream, &text))
    }

    /// What is left without a line's end.
    fn rest(&mut self) -> Option<LogLine> {
        let rest = |pending: &mut Option<(DateTime<Utc>, Vec<u8>)>, stream| {
            pending.take().map(|(at, text)| finished(at, stream, &text))
        };
        rest(&mut self.stdout, LogStream::Stdout)
            .or_else(|| rest(&mut self.stderr, LogStream::Stderr))
    }
}

/// Splits the time off that Docker puts before each piece.
fn stamped(bytes: &[u8]) -> (Option<DateTime<Utc>>, &[u8]) {
    let split = bytes.iter().position(|byte| *byte == b' ').and_then(|at| {
        let stamp = std::str::from_utf8(bytes.get(..at)?).ok()?;
        let time = DateTime::parse_from_rfc3339(stamp).ok()?;
        Some((Some(time.with_timezone(&Utc)), bytes.get(at + 1..)?))
    });
    split.unwrap_or((None, bytes))
}

fn finished(at: DateTime<Utc>, stream: LogStream, text: &[u8]) -> LogLine {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    LogLine { at, stream, text: String::from_utf8_lossy(text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.to_owned().into() }
    }

    fn err(text: &'static [u8]) -> LogOutput {
        LogOutput::StdErr { message: text.into() }
    }

    #[test]
    fn times_streams_and_text_are_told_apart() {
        let mut lines = Lines::default();
        let line = lines.add(out("2024-05-06T07:08:09.123456789Z two words\r\n")).unwrap();
        assert_eq!(line.at.to_rfc3339(), "2024-05-06T07:08:09.123456789+00:00");
        assert_eq!((line.stream, line.text.as_str()), (LogStream::Stdout, "two words"));
        let line = lines.add(err(b"2024-05-06T07:08:09Z \xff\n")).unwrap();
        assert_eq!((line.stream, line.text.as_str()), (LogStream::Stderr, "\u{fffd}"));
        let empty = lines.add(out("2024-05-06T07:08:09Z \n")).unwrap();
        assert_eq!(empty.text, "");
    }

    #[test]
    fn the_pieces_of_a_long_line_are_joined_though_another_stream_writes_between() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(out("2024-01-01T00:00:01Z one ")), None);
        assert_eq!(lines.add(err(b"2024-01-01T00:00:02Z other\n")).unwrap().text, "other");
        let line = lines.add(out("2024-01-01T00:00:03Z line\n")).unwrap();
        assert_eq!(line.text, "one line");
        assert_eq!(line.at.timestamp(), 1_704_067_201);
        assert_eq!(lines.rest(), None);
    }

    #[tokio::test]
    async fn lines_are_brought_into_order_unless_they_are_followed() {
        let read = async |hold| -> Vec<String> {
            let frames = [
                out("2024-01-01T00:00:02Z second\n"),
                err(b"2024-01-01T00:00:01Z first\n"),
                out("2024-01-01T00:00:03Z third"),
            ];
            let reader = Reader {
                frames: stream::iter(frames.map(Ok)).boxed(),
                timeout: None,
                hold,
                host: String::new(),
                lines: Lines::default(),
                held: VecDeque::new(),
                ended: false,
            };
            let lines = stream::unfold(reader, async |mut reader| {
                Some((reader.next().await?.unwrap().text, reader))
            });
            lines.collect().await
        };
        assert_eq!(read(HELD).await, ["first", "second", "third"]);
        assert_eq!(read(0).await, ["second", "first", "third"]);
    }

    #[test]
    fn a_line_without_an_end_is_given_at_the_end_and_an_endless_one_is_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(out("2024-01-01T00:00:01Z bye")), None);
        assert_eq!(lines.rest().unwrap().text, "bye");
        let piece = format!("2024-01-01T00:00:01Z {}", "x".repeat(16 * 1024));
        let cut = (0..17).find_map(|_| lines.add(out(&piece))).unwrap();
        assert_eq!(cut.text.len(), LONGEST_LINE);
    }
}
