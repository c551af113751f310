//! What happens to containers, as Docker tells it.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::models::{EventMessage, SystemInfo};
use bollard::query_parameters::EventsOptionsBuilder;
use chrono::DateTime;
use fresco_core::{
    Error, ErrorKind, InstanceId, Result, RuntimeEvent, RuntimeEventKind, RuntimeEvents, labels,
};
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::errors::{Cause, Failed};
use crate::runtime::DockerRuntime;

#[async_trait]
impl RuntimeEvents for DockerRuntime {
    async fn watch(&self) -> Result<BoxStream<'static, Result<RuntimeEvent>>> {
        // The request itself is only sent when the stream is first read. Beginning at Docker's own
        // time of now, nothing in between is missed.
        let info = self.engine.info().await.map_err(|error| error.during("runtime.watch"))?;
        let mark = format!("{}={}", labels::PLATFORM, self.config.platform);
        // By name: health checks would flood the stream with the starts of their commands.
        let filters = HashMap::from([
            ("type", vec!["container"]),
            ("event", vec!["start", "die", "oom", "destroy"]),
            ("label", vec![mark.as_str()]),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(now) = clock(&info) {
            options = options.since(&now);
        }
        let messages = self.engine.docker().events(Some(options.build()));
        let host = self.engine.host().to_owned();
        let events = messages.filter_map(move |message| {
            let event = match message {
                Ok(message) => event(message).map(Ok),
                Err(error) => {
                    let cause = Cause::Vendor(Box::new(error));
                    let failed = Failed { what: "watch the containers", host: host.clone(), cause };
                    Some(Err(Error::from(failed).during("runtime.watch")))
                }
            };
            std::future::ready(event)
        });
        let end = Error::new(ErrorKind::Unavailable, "Docker has ended the stream of events")
            .during("runtime.watch");
        let mut over = false;
        let until_error = events.chain(stream::iter([Err(end)])).take_while(move |event| {
            let go_on = !over;
            over = event.is_err();
            std::future::ready(go_on)
        });
        Ok(until_error.boxed())
    }
}

/// Docker's time, in the form that it takes.
fn clock(info: &SystemInfo) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(info.system_time.as_deref()?).ok()?;
    Some(format!("{}.{:09}", time.timestamp(), time.timestamp_subsec_nanos()))
}

fn event(message: EventMessage) -> Option<RuntimeEvent> {
    let kind = match message.action?.as_str() {
        "start" => RuntimeEventKind::Started,
        "die" => RuntimeEventKind::Exited,
        "oom" => RuntimeEventKind::OutOfMemory,
        "destroy" => RuntimeEventKind::Removed,
        _ => return None,
    };
    let actor = message.actor?;
    let tenant = actor.attributes?.get(labels::TENANT_ID)?.parse().ok()?;
    Some(RuntimeEvent { tenant, instance: InstanceId::new(actor.id?), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_in_seconds_and_nanoseconds() {
        let info = SystemInfo {
            system_time: Some("2024-01-01T01:00:01.000000007+01:00".into()),
            ..Default::default()
        };
        assert_eq!(clock(&info).unwrap(), "1704067201.000000007");
    }
}
