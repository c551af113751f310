//! One connection that listens for hints, shared by all streams of a store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::poll_fn;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::events::{CHANNEL, Hint};
use crate::errors::Mapped;
use crate::server::{Server, notification};

/// Waiting between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// Hints that a slow stream may be behind. One that is further behind reads the store.
const BEHIND: usize = 256;

/// Hears hints. Nothing depends on them but speed, and progress, which nobody stores: streams read
/// the store, however long this has no connection.
pub(super) struct Listener {
    server: Server,
    task: Mutex<Option<Task>>,
}

struct Task {
    hints: broadcast::Sender<Arc<Hint>>,
    listening: watch::Receiver<bool>,
    handle: JoinHandle<()>,
}

impl Listener {
    pub(super) const fn new(server: Server) -> Self {
        Self { server, task: Mutex::new(None) }
    }

    /// All hints from now on. It connects with the first one who asks, and waits until it hears,
    /// but no longer than this time.
    pub(super) async fn subscribe(&self, patience: Duration) -> broadcast::Receiver<Arc<Hint>> {
        let (receiver, mut listening) = {
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            // It is over when the runtime that it ran on is.
            if task.as_ref().is_none_or(|task| task.handle.is_finished()) {
                *task = Some(start(self.server.clone()));
            }
            match task.as_ref() {
                Some(task) => (task.hints.subscribe(), task.listening.clone()),
                None => (broadcast::channel(1).1, watch::channel(true).1),
            }
        };
        let _ = tokio::time::timeout(patience, listening.wait_for(|yes| *yes)).await;
        receiver
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.handle.abort();
        }
    }
}

fn start(server: Server) -> Task {
    let (hints, _) = broadcast::channel(BEHIND);
    let (heard, listening) = watch::channel(false);
    let sender = hints.clone();
    let handle = tokio::spawn(async move {
        loop {
            if let Err(error) = listen(&server, &sender, &heard).await {
                tracing::debug!(error = error.chain(), "no connection to listen on");
            }
            heard.send_replace(false);
            tokio::time::sleep(PAUSE).await;
        }
    });
    Task { hints, listening, handle }
}

/// Listens until the connection ends.
async fn listen(
    server: &Server,
    hints: &broadcast::Sender<Arc<Hint>>,
    heard: &watch::Sender<bool>,
) -> fresco_core::Result<()> {
    let (client, mut connection) = server.open().await?;
    let mut messages = poll_fn(move |context| connection.poll_message(context));
    let sql = format!("LISTEN {CHANNEL}");
    let mut pending = Box::pin(client.batch_execute(&sql));
    // The connection only moves while its messages are asked for, also for the answer to LISTEN.
    let mut answered = false;
    loop {
        let message = if answered {
            messages.next().await
        } else {
            match select(&mut pending, messages.next()).await {
                Either::Left((result, _)) => {
                    result.mapped()?;
                    answered = true;
                    heard.send_replace(true);
                    continue;
                }
                Either::Right((message, _)) => message,
            }
        };
        let Some(message) = message else { return Ok(()) };
        let Some(text) = notification(message.mapped()?) else { continue };
        // Without a receiver nobody watches now.
        if let Ok(hint) = serde_json::from_str::<Hint>(&text) {
            let _ = hints.send(Arc::new(hint));
        }
    }
}
