//! What a tenant's app wrote.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fresco_core::{Error, ErrorKind, LogLine as CoreLine, LogQuery, Result as CoreResult, Tenant};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use poem::web::sse;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use poem_openapi::{Enum, Object, OpenApi, Union};
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::Tag;
use crate::api::body::Body;
use crate::api::feed::Feed;
use crate::api::once::{InQuery, Once, resumed};
use crate::api::tenants::living;
use crate::http::caller::{Caller, LogsRead};
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Lines, unless said otherwise, and those that a live stream begins with.
const LINES: u32 = 200;
/// Lines at most.
const MOST_LINES: u32 = 5000;
/// Bytes of text in one answer.
const MOST_BYTES: usize = 1024 * 1024;
/// How far the clock of the containers' machine may be ahead.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// How long reading may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::LogStream")]
enum LogStream {
    Stdout,
    Stderr,
}

/// A line of an app's log.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LogLine {
    /// When it was written.
    at: DateTime<Utc>,
    /// Where.
    stream: LogStream,
    /// The text, without its line end.
    text: String,
}

impl From<CoreLine> for LogLine {
    fn from(line: CoreLine) -> Self {
        Self { at: line.at, stream: line.stream.into(), text: line.text }
    }
}

/// Which lines.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct GetLogs {
    /// The tenant's id.
    tenant_id: Uuid,
    /// The newest so many lines, 1 to 5000. Default: 200.
    lines: Option<u32>,
    /// Only lines written since this moment.
    since: Option<DateTime<Utc>>,
}

/// Lines of a log.
#[derive(Debug, Default, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct TenantLog {
    /// The lines, oldest first.
    lines: Vec<LogLine>,
    /// True when older lines were left out, because all together would be larger than 1 MiB.
    truncated: Option<bool>,
}

/// Why a live log ended.
#[derive(Clone, Debug, Object)]
struct LogEnd {
    /// In words.
    reason: String,
}

/// What a live log sends: a line (event `line`), or at last why there will be no more (event `end`).
#[derive(Clone, Debug, Union)]
enum LogEvent {
    Line(LogLine),
    End(LogEnd),
}

/// A line's place in its log. Lines of one moment are told apart by what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: DateTime<Utc>,
    mark: u64,
}

impl Place {
    fn of(line: &CoreLine) -> Self {
        let mut mark = DefaultHasher::new();
        (line.stream, &line.text).hash(&mut mark);
        Self { at: line.at, mark: mark.finish() }
    }

    /// The place that a caller names, which no line can have before it is written.
    fn sent(by: &'static str, text: &str, now: DateTime<Utc>) -> Result<Self, Problem> {
        let place = text.parse().ok().filter(|place: &Self| place.at <= now + SKEW);
        let words = "Send the id of an event as it came, or none.";
        place.ok_or_else(|| Problem::field(by, words))
    }

    fn id(self) -> String {
        let (seconds, nanos) = (self.at.timestamp(), self.at.timestamp_subsec_nanos());
        format!("{seconds}.{nanos:09}-{:016x}", self.mark)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, mark) = text.split_once('-').ok_or(())?;
        let (seconds, nanos) = at.split_once('.').ok_or(())?;
        let seconds = seconds.parse().map_err(|_| ())?;
        let at = DateTime::from_timestamp(seconds, nanos.parse().map_err(|_| ())?).ok_or(())?;
        Ok(Self { at, mark: u64::from_str_radix(mark, 16).map_err(|_| ())? })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LogsApi {
    platform: Platform,
}

impl LogsApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// The lines of a tenant that is there; `None` when it has no container.
    async fn open(
        &self,
        tenant: &Tenant,
        query: &LogQuery,
    ) -> CoreResult<Option<BoxStream<'static, CoreResult<CoreLine>>>> {
        if tenant.state.container.is_none() {
            return Ok(None);
        }
        let lines = self.platform.orchestrator.logs(tenant.id, query).await;
        lines.map(Some).map_err(replaced)
    }
}

#[OpenApi(tag = "Tag::Tenants")]
impl LogsApi {
    /// Shows the newest lines that a tenant's app wrote.
    ///
    /// A tenant without a container has none. At most 1 MiB of text is answered. Errors: 404; 422
    /// `invalid` with the `field`; 503 `unavailable` while its container is being replaced.
    #[oai(path = "/api/tenants.getLogs", method = "post", operation_id = "tenants_get_logs")]
    async fn get(
        &self,
        caller: Caller<LogsRead>,
        body: Body<GetLogs>,
    ) -> Result<Json<TenantLog>, Problem> {
        let GetLogs { tenant_id, lines, since } = body.0;
        let lines = lines.unwrap_or(LINES);
        if !(1..=MOST_LINES).contains(&lines) {
            return Err(Problem::field("lines", format!("Ask for 1 to {MOST_LINES} lines.")));
        }
        let tenant = living(&self.platform, &caller.user, tenant_id).await?;
        let mut query = LogQuery::last(lines);
        // Before that no container wrote anything, and runtimes count from then.
        query.since = since.map(|at| at.max(DateTime::UNIX_EPOCH));
        let read = async {
            match self.open(&tenant, &query).await? {
                Some(lines) => newest(lines).await,
                None => Ok(TenantLog::default()),
            }
        };
        let late = |_| Err(Error::new(ErrorKind::TimedOut, "the log took too long to read"));
        Ok(Json(timeout(DEADLINE, read).await.unwrap_or_else(late)?))
    }

    /// Streams what a tenant's app writes, from the newest 200 lines on.
    ///
    /// Events: `line`, whose data is the line, and `end` with a `reason`, the last, when the
    /// container does not run, or no longer. Close the stream at `end`. The header `Last-Event-ID`
    /// goes on after the line of that id, and so does `after`, for who can't send it. A stream that ends without `end` should be opened again:
    /// the server stops, or an hour has passed. Errors: 404; 422 `invalid` with the `field`; 503
    /// `unavailable` while the container is being replaced.
    #[oai(path = "/api/tenants/:id/logs", method = "get", operation_id = "tenants_logs")]
    async fn follow(
        &self,
        caller: Caller<LogsRead>,
        /// The tenant's id.
        id: Path<Uuid>,
        /// The id of the last line that came in.
        #[oai(name = "Last-Event-ID")]
        last: Once<String>,
        /// The same, of a stream that was opened before this one; the header goes first.
        after: Once<String, InQuery>,
    ) -> Result<Feed<LogEvent>, Problem> {
        let sent = resumed(last, after);
        let place = sent.map(|(by, text)| Place::sent(by, &text, Utc::now())).transpose()?;
        let tenant = living(&self.platform, &caller.user, id.0).await?;
        let open = self.platform.streams.open(caller.user.id)?;
        let mut query = LogQuery::last(LINES).follow();
        if let Some(place) = place {
            query = LogQuery::last(MOST_LINES).follow();
            query.since = Some(place.at);
        }
        let events = match self.open(&tenant, &query).await? {
            Some(lines) => followed(lines, place).boxed(),
            None => {
                stream::iter([ended("This tenant has no container, so it has no log.")]).boxed()
            }
        };
        let events = events.take_until(caller.ended(&self.platform));
        Ok(Feed::new(&self.platform.closing, open, events))
    }
}

/// The container of a tenant that is there was removed meanwhile, as a restart or an update does:
/// there will be another one soon.
fn replaced(error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) {
        return error;
    }
    Error::new(ErrorKind::Unavailable, "the container is being replaced").with_source(error)
}

/// The newest lines that fit into one answer.
async fn newest(mut lines: BoxStream<'static, CoreResult<CoreLine>>) -> CoreResult<TenantLog> {
    let (mut kept, mut bytes, mut truncated) = (VecDeque::new(), 0, None);
    while let Some(line) = lines.next().await {
        let line = LogLine::from(line.map_err(replaced)?);
        bytes += line.text.len();
        kept.push_back(line);
        while bytes > MOST_BYTES && kept.len() > 1 {
            bytes -= kept.pop_front().map_or(0, |line| line.text.len());
            truncated = Some(true);
        }
    }
    Ok(TenantLog { lines: kept.into(), truncated })
}

/// Lines as events, those left out that were sent before.
fn followed(
    lines: BoxStream<'static, CoreResult<CoreLine>>,
    sent: Option<Place>,
) -> impl Stream<Item = sse::Event> + Send + 'static {
    stream::unfold(Some((lines, sent)), |state| async move {
        let (mut lines, mut sent) = state?;
        loop {
            let line = match lines.next().await {
                Some(Ok(line)) => line,
                Some(Err(error)) => {
                    // The stream ends, and whoever listens goes on after the last line.
                    tracing::warn!(error = %error.chain(), "a log can't be followed now");
                    return None;
                }
                None => return Some((ended("The tenant's container does not run."), None)),
            };
            let place = Place::of(&line);
            if sent.is_some_and(|sent| place.at <= sent.at) {
                // From the last line that was sent, all are new.
                sent = sent.filter(|sent| *sent != place);
                continue;
            }
            let data = LogEvent::Line(line.into()).to_json_string();
            let event = sse::Event::message(data).event_type("line").id(place.id());
            return Some((event, Some((lines, sent))));
        }
    })
}

fn ended(reason: &str) -> sse::Event {
    let data = LogEvent::End(LogEnd { reason: reason.into() }).to_json_string();
    sse::Event::message(data).event_type("end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_container_that_goes_while_it_is_read_is_no_unknown_tenant() {
        for (kind, told) in [
            (ErrorKind::NotFound, ErrorKind::Unavailable),
            (ErrorKind::Conflict, ErrorKind::Unavailable),
            (ErrorKind::TimedOut, ErrorKind::TimedOut),
            (ErrorKind::Internal, ErrorKind::Internal),
        ] {
            let error = Error::new(kind, "the container is dead or marked for removal");
            let read = newest(stream::iter([Err(error)]).boxed()).await;
            assert_eq!(read.unwrap_err().kind(), told);
        }
    }

    #[test]
    fn a_place_is_not_in_the_future() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let text = Place { at, mark: 1 }.id();
        for (before, good) in [(0, true), (60, true), (61, false), (-1, true), (1 << 30, false)] {
            let place = Place::sent("after", &text, at - TimeDelta::seconds(before));
            assert_eq!(place.is_ok(), good, "{before} s");
        }
    }

    #[test]
    fn a_place_survives_its_id() {
        let at = DateTime::from_timestamp(1_700_000_000, 42).unwrap();
        let place = Place { at, mark: 10 };
        assert_eq!(place.id(), "1700000000.000000042-000000000000000a");
        assert_eq!(place.id().parse(), Ok(place));
        for text in ["", "x", "1-1", "1.x-1", "1.1", "99999999999999999999.0-1", "1.0--1", "1.0-g"]
        {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
