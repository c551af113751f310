//! Streams of server-sent events, read to their end.

use futures_util::StreamExt;
use reqwest::Response;
use serde_json::Value;

/// A server-sent event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the operation's history, if it has one.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// All events of a stream, up to its end.
pub async fn read_events(stream: Response) -> Vec<Event> {
    let mut text = Vec::new();
    let mut body = stream.bytes_stream();
    while let Some(part) = body.next().await {
        // A server that ends in the middle of a stream leaves it without an end.
        let Ok(part) = part else { break };
        text.extend_from_slice(&part);
    }
    parse(&String::from_utf8(text).expect("events are text"))
}

fn parse(text: &str) -> Vec<Event> {
    let blocks = text.split("\n\n");
    let events = blocks.filter_map(|block| {
        let field = |name: &str| {
            let prefix = format!("{name}:");
            block.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::trim)
        };
        Some(Event {
            id: field("id").and_then(|id| id.parse().ok()),
            name: field("event")?.to_owned(),
            data: serde_json::from_str(field("data")?).expect("an event's data is JSON"),
        })
    });
    events.collect()
}
