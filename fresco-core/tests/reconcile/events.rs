//! What a runtime tells: it may end, and it may never come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::*;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::scene::{Scene, until};

/// Events of a runtime that end after the first one, or that are never given.
#[derive(Clone, Debug, Default)]
struct Events {
    hang: bool,
    watches: Arc<AtomicUsize>,
    polled_after_end: Arc<AtomicBool>,
}

#[async_trait]
impl RuntimeEvents for Events {
    async fn watch(&self) -> Result<BoxStream<'static, Result<RuntimeEvent>>> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        if self.hang {
            std::future::pending::<()>().await;
        }
        let (mut polls, after_end) = (0, self.polled_after_end.clone());
        let events = stream::poll_fn(move |_| {
            polls += 1;
            if polls > 2 {
                after_end.store(true, Ordering::SeqCst);
            }
            Poll::Ready((polls == 1).then(|| {
                let (tenant, instance) = (TenantId::new(), InstanceId::new("c0ffee"));
                Ok(RuntimeEvent { tenant, instance, kind: RuntimeEventKind::Started })
            }))
        });
        Ok(events.boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_ended_are_not_polled_again() {
    let events = Events::default();
    let told = events.clone();
    let hour = Some(Duration::from_secs(3600));
    let _scene = Scene::with(|backends| backends.with_runtime_events(told), hour).await;
    // Long before the next comparison by time: the end itself leads there.
    let again = until("subscribed again", async || events.watches.load(Ordering::SeqCst) > 2);
    tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
    assert!(!events.polled_after_end.load(Ordering::SeqCst), "polled after its end");
}

#[tokio::test(start_paused = true)]
async fn events_that_never_come_do_not_keep_from_comparing() {
    let events = Events { hang: true, ..Events::default() };
    let told = events.clone();
    let minute = Some(Duration::from_secs(60));
    let scene = Scene::with(|backends| backends.with_runtime_events(told), minute).await;
    until("compared, and asked for events again", async || {
        let watches = events.watches.load(Ordering::SeqCst);
        scene.runtime.lists.load(Ordering::SeqCst) > 2 && watches > 2
    })
    .await;
}
