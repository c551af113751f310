//! Operations, watched live.

use fresco_core::{Event, OperationId, Result as CoreResult};
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use poem::web::sse;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::types::ToJSON;
use uuid::Uuid;

use crate::api::Tag;
use crate::api::feed::Feed;
use crate::api::once::{InQuery, Once, resumed};
use crate::api::shapes::Operation;
use crate::api::tenants::owned;
use crate::http::caller::{Caller, TenantsRead};
use crate::http::problem::Problem;
use crate::platform::Platform;

#[derive(Clone, Debug)]
pub(crate) struct OperationsApi {
    platform: Platform,
}

impl OperationsApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

#[OpenApi(tag = "Tag::Operations")]
impl OperationsApi {
    /// Streams what happens to an operation, from its beginning.
    ///
    /// Events: `step` (the operation changed), `progress` (an image is being fetched; not kept, and
    /// without an id) and `done`, the last. The data of each is the whole operation. Close the
    /// stream at `done`. The header `Last-Event-ID` goes on after the event of that id, and so does
    /// `after`, for who can't send it. A stream that ends before `done` should be opened again: the
    /// server stops, or an hour has passed. Errors: 404; 422 `invalid` with the `field` when no event had that id.
    #[oai(path = "/api/operations/:id/events", method = "get", operation_id = "operations_events")]
    async fn events(
        &self,
        caller: Caller<TenantsRead>,
        /// The operation's id.
        id: Path<Uuid>,
        /// The id of the last event that came in.
        #[oai(name = "Last-Event-ID")]
        last: Once<u64>,
        /// The same, of a stream that was opened before this one; the header goes first.
        after: Once<u64, InQuery>,
    ) -> Result<Feed<Operation>, Problem> {
        let platform = &self.platform;
        let id = OperationId::from_uuid(id.0);
        let unknown = || Problem::not_found("operation");
        let operation = platform.orchestrator.operation(id).await.map_err(|error| {
            // In the same words as for another's.
            if error.kind() == fresco_core::ErrorKind::NotFound { unknown() } else { error.into() }
        })?;
        let tenant = owned(platform, &caller.user, operation.tenant.as_uuid()).await;
        tenant
            .map_err(|problem| if problem.code() == "not_found" { unknown() } else { problem })?;
        let place = platform.streams.open(caller.user.id)?;
        let sent = resumed(last, after);
        let events = match sent {
            Some((by, last)) if last > 0 => events_after(platform, id, by, last).await?,
            _ => platform.orchestrator.watch(id, 0).await?,
        };
        let shown =
            stream::unfold((events, Operation::from(&operation)), |(mut events, last)| async {
                let (event, now) = match events.next().await? {
                    Ok(event) => told(event, last)?,
                    Err(error) => {
                        // The stream ends, and whoever listens goes on after the last event.
                        tracing::warn!(error = %error.chain(), "an operation can't be watched now");
                        return None;
                    }
                };
                Some((event, (events, now)))
            });
        let shown = shown.take_until(caller.ended(platform));
        Ok(Feed::new(&platform.closing, place, shown))
    }
}

/// The events after this one, which must have been: whoever waited for what follows an event that
/// never comes would wait for ever, or end without `done` and begin again.
async fn events_after(
    platform: &Platform,
    id: OperationId,
    by: &'static str,
    last: u64,
) -> Result<BoxStream<'static, CoreResult<Event>>, Problem> {
    let mut events = platform.orchestrator.watch(id, last.saturating_sub(1)).await?;
    // What has happened is there at once.
    match events.next().now_or_never().flatten() {
        Some(Ok(event)) if event.seq() == Some(last) => Ok(events),
        Some(Err(error)) => Err(error.into()),
        _ => {
            let words = "This operation has no such event. Send the id of one as it came, or none.";
            Err(Problem::field(by, words))
        }
    }
}

/// An event as it is sent, and the operation as it is known then.
fn told(event: Event, last: Operation) -> Option<(sse::Event, Operation)> {
    let (name, seq, now) = match event {
        Event::Step { seq, operation } => ("step", seq, Operation::from(&*operation)),
        Event::Done { seq, operation } => ("done", seq, Operation::from(&*operation)),
        Event::Progress(progress) => {
            let data = last.clone().with_progress(progress).to_json_string();
            return Some((sse::Event::message(data).event_type("progress"), last));
        }
        // Of a kind that came with a newer library: nobody knows what to make of it.
        _ => return None,
    };
    let event = sse::Event::message(now.to_json_string()).event_type(name).id(seq.to_string());
    Some((event, now))
}
