//! The events of an operation, as they happen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{GenericClient, Pool};
use fresco_core::{Event, OperationId, PullProgress, Result, TenantId};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::environment::{OF_OPERATION, Sealer};
use super::keys::EnvironmentKeys;
use super::listener::Listener;
use super::query::unknown;
use super::rows::from_json;
use crate::errors::{Mapped, within};
use crate::server::take;

/// Where hints are sent.
pub(super) const CHANNEL: &str = "fresco_events";
/// Without a hint the store is read this often.
const POLL: Duration = Duration::from_secs(1);
/// Events that are read at once.
const BATCH: i64 = 100;
/// How long a stream tries to reach a store that is away, before it ends with the error.
const PATIENCE: Duration = Duration::from_secs(60);
/// Characters of a progress report's words. A notification holds 8,000 bytes, and JSON may need
/// six for a character.
const WORDS: usize = 1000;

/// What is sent to those who listen: that an operation has a new event, or how far a fetch is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hint {
    operation: OperationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<PullProgress>,
}

/// Sends the hint that an operation has a new event, once the transaction is committed.
pub(super) async fn hint(client: &impl GenericClient, operation: OperationId) -> Result<()> {
    send(client, &Hint { operation, progress: None }).await
}

pub(super) async fn announce(
    pool: &Pool,
    operation: OperationId,
    progress: &PullProgress,
) -> Result<()> {
    let detail = progress.detail.chars().take(WORDS).collect();
    let progress = Some(PullProgress { detail, ..progress.clone() });
    send(&take(pool).await?, &Hint { operation, progress }).await
}

async fn send(client: &impl GenericClient, hint: &Hint) -> Result<()> {
    let text = serde_json::to_string(hint).map_err(|e| {
        fresco_core::Error::new(fresco_core::ErrorKind::Internal, "a hint can't be written")
            .with_source(e)
    })?;
    client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &text]).await.mapped()?;
    Ok(())
}

pub(super) async fn events(
    pool: Pool,
    keys: Option<EnvironmentKeys>,
    listener: &Listener,
    timeout: Duration,
    operation: OperationId,
    after: u64,
) -> Result<BoxStream<'static, Result<Event>>> {
    // First the ear, then the eye: what is written in between is heard, and read again. Nothing
    // depends on the ear but speed, so half of the time is the eye's.
    let hints = listener.subscribe(timeout / 2).await;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut watch = Watch {
        pool,
        keys,
        hints: Some(hints),
        timeout,
        operation,
        after,
        ready: VecDeque::new(),
        over: false,
        look: false,
        away_since: None,
    };
    watch.read().await?;
    let stream = unfold(watch, |mut watch| async move {
        let item = watch.next().await?;
        Some((item, watch))
    });
    Ok(stream.boxed())
}

/// One stream.
struct Watch {
    pool: Pool,
    keys: Option<EnvironmentKeys>,
    hints: Option<broadcast::Receiver<Arc<Hint>>>,
    timeout: Duration,
    operation: OperationId,
    /// The last event that was read.
    after: i64,
    /// What was read and not told yet.
    ready: VecDeque<Event>,
    /// Whether nothing can follow what is ready.
    over: bool,
    /// Whether there may be more to read at once.
    look: bool,
    away_since: Option<Instant>,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            if !self.look
                && let Some(progress) = self.wait().await
            {
                return Some(Ok(Event::Progress(progress)));
            }
            if let Err(error) = within(self.timeout, "store.events", self.read()).await {
                let since = *self.away_since.get_or_insert_with(Instant::now);
                if !error.is_retryable() || since.elapsed() > PATIENCE {
                    self.over = true;
                    return Some(Err(error));
                }
                self.look = false;
            }
        }
    }

    /// Waits until there may be something to read, or returns progress.
    async fn wait(&mut self) -> Option<PullProgress> {
        let deadline = Instant::now() + POLL;
        loop {
            let Some(hints) = &mut self.hints else {
                tokio::time::sleep_until(deadline).await;
                return None;
            };
            match tokio::time::timeout_at(deadline, hints.recv()).await {
                Ok(Ok(hint)) if hint.operation != self.operation => {}
                Ok(Ok(hint)) => return hint.progress.clone(),
                Ok(Err(RecvError::Closed)) => self.hints = None,
                Ok(Err(RecvError::Lagged(_))) | Err(_) => return None,
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        let client = take(&self.pool).await?;
        // One statement sees one state: an operation that it shows as finished has all its events.
        let rows = client
            .query(
                "SELECT o.status IN ('success', 'failed'), e.seq,
                    e.data || jsonb_build_object('target', o.data -> 'target',
                                                 'previous', o.data -> 'previous'),
                    o.tenant
                 FROM fresco.operations o
                 LEFT JOIN fresco.events e ON e.operation = o.id AND e.seq > $2
                 WHERE o.id = $1 ORDER BY e.seq LIMIT $3",
                &[&self.operation.as_uuid(), &self.after, &BATCH],
            )
            .await
            .mapped()?;
        if rows.is_empty() {
            return Err(unknown(self.operation));
        }
        self.away_since = None;
        self.look = rows.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        for row in &rows {
            let Some(seq) = row.try_get::<_, Option<i64>>(1).mapped()? else {
                // It was finished before the place that the stream began after.
                self.over = row.try_get(0).mapped()?;
                continue;
            };
            let mut data: Value = row.try_get(2).mapped()?;
            let tenant = TenantId::from_uuid(row.try_get(3).mapped()?);
            Sealer::new(self.keys.as_ref(), tenant).open(&mut data, OF_OPERATION)?;
            let operation = from_json(data, "events.data")?;
            let event = Event::stored(u64::try_from(seq).unwrap_or_default(), operation);
            self.over = matches!(event, Event::Done { .. });
            self.ready.push_back(event);
            self.after = seq;
        }
        Ok(())
    }
}
