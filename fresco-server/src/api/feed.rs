//! Live streams: server-sent events.

use std::marker::PhantomData;
use std::time::Duration;

use futures_util::stream::{BoxStream, Stream, StreamExt};
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ToJSON, Type};
use tokio_util::sync::CancellationToken;

/// A stream without events sends a comment this often, so that nobody on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Whoever listens longer asks again, and is asked again who they are.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Events whose data is a `T`.
pub(crate) struct Feed<T> {
    events: BoxStream<'static, Event>,
    data: PhantomData<fn() -> T>,
}

impl<T: ToJSON> Feed<T> {
    /// These events, until the server is about to stop, or an hour has passed. `place` is held for as
    /// long.
    pub(crate) fn new(
        closing: &CancellationToken,
        place: impl Send + 'static,
        events: impl Stream<Item = Event> + Send + 'static,
    ) -> Self {
        let closing = closing.clone().cancelled_owned();
        let end = async { tokio::time::timeout(LONGEST, closing).await.unwrap_or_default() };
        let events = events.take_until(end).inspect(move |_| _ = &place);
        Self { events: events.boxed(), data: PhantomData }
    }
}

impl<T: ToJSON> IntoResponse for Feed<T> {
    fn into_response(self) -> Response {
        SSE::new(self.events).keep_alive(KEEP_ALIVE).into_response()
    }
}

impl<T: Type> Payload for Feed<T> {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    /// OpenAPI 3.0 does not say what a stream's schema is of: clients are generated as if it were what an event's data
    /// says, and what checks answers takes it for an event as it is sent. It is either.
    fn schema_ref() -> MetaSchemaRef {
        let text = |description| {
            let text = MetaSchema { description: Some(description), ..MetaSchema::new("string") };
            MetaSchemaRef::Inline(Box::new(text))
        };
        let event = MetaSchema {
            description: Some("An event as it is sent."),
            required: vec!["event", "data"],
            properties: vec![
                ("id", text("What to go on after, where the event has one.")),
                ("event", text("Which event it is.")),
                ("data", text("What it says, as JSON.")),
            ],
            ..MetaSchema::new("object")
        };
        let event = MetaSchemaRef::Inline(Box::new(event));
        let either = MetaSchema { any_of: vec![T::schema_ref(), event], ..MetaSchema::ANY };
        MetaSchemaRef::Inline(Box::new(either))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> ApiResponse for Feed<T> {
    fn meta() -> MetaResponses {
        let content =
            MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() };
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Server-sent events; the schema is that of what an event's data says, or of the event as it is sent.",
                status: Some(200),
                status_range: None,
                content: vec![content],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn text(feed: Feed<String>) -> String {
        let text = feed.into_response().into_body().into_string();
        timeout(2 * LONGEST, text).await.expect("its end").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_that_it_lives_and_ends_after_an_hour() {
        let start = Instant::now();
        let feed = Feed::new(&CancellationToken::new(), (), stream::pending());
        let text = text(feed).await;
        assert_eq!(start.elapsed().as_secs(), LONGEST.as_secs());
        let comments = text.matches(":\n\n").count();
        assert!((230..=240).contains(&comments), "{comments}");
        assert_eq!(text.replace(":\n\n", ""), "");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_server_is_about_to_stop() {
        let closing = CancellationToken::new();
        let first = stream::once(async { Event::message("a").id("1").event_type("step") });
        let feed = Feed::new(&closing, (), first.chain(stream::pending()));
        let text = tokio::spawn(text(feed));
        let start = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        closing.cancel();
        assert_eq!(text.await.unwrap(), "id: 1\nevent: step\ndata: a\n\n");
        assert_eq!(start.elapsed().as_secs(), 1);
    }
}
