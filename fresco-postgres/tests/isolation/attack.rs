//! A hostile app: sessions that do harm, and come back when they are ended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::connect;
use crate::world::Tenant;

/// What one session does: first this, then that again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harm {
    pub(crate) first: &'static str,
    pub(crate) again: &'static str,
}

/// Sessions of a tenant that do harm until this is dropped.
pub(crate) struct Attack {
    state: Arc<State>,
    pub(crate) begun: Instant,
    _sessions: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// Sessions that are open now.
    open: AtomicUsize,
    /// Whether the last login was refused because the role may not log in.
    refused: AtomicBool,
    /// How often a session came back.
    logins: AtomicUsize,
    /// Other errors, for the case that nothing is refused.
    last: Mutex<String>,
}

impl Attack {
    pub(crate) fn begin(tenant: &Tenant, sessions: &[Harm]) -> Self {
        let state = Arc::new(State::default());
        let mut running = JoinSet::new();
        for harm in sessions {
            let (state, url, harm) = (state.clone(), tenant.url.clone(), *harm);
            running.spawn(async move {
                loop {
                    session(&state, &url, harm).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        Self { state, begun: Instant::now(), _sessions: running }
    }

    /// Waits until no session is open and none comes in any more. Seconds since the beginning.
    pub(crate) async fn ended(&self, patience: Duration) -> Result<f32, String> {
        loop {
            let open = self.state.open.load(Ordering::SeqCst);
            if open == 0 && self.state.refused.load(Ordering::SeqCst) {
                return Ok(self.begun.elapsed().as_secs_f32());
            }
            if self.begun.elapsed() > patience {
                let last = self.state.last.lock().unwrap().clone();
                return Err(format!("{open} sessions are open; the last error: {last}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How often a session came, again included.
    pub(crate) fn logins(&self) -> usize {
        self.state.logins.load(Ordering::SeqCst)
    }
}

async fn session(state: &State, url: &str, harm: Harm) {
    let client = match connect(url).await {
        Ok(client) => client,
        Err(error) => {
            let refused = error.code().is_some_and(|code| code.code() == "28000");
            if refused {
                state.refused.store(true, Ordering::SeqCst);
            }
            *state.last.lock().unwrap() = format!("{error:?}");
            return;
        }
    };
    state.open.fetch_add(1, Ordering::SeqCst);
    state.refused.store(false, Ordering::SeqCst);
    state.logins.fetch_add(1, Ordering::SeqCst);
    let _ = client.batch_execute(harm.first).await;
    while !client.is_closed() {
        if let Err(error) = client.batch_execute(harm.again).await {
            *state.last.lock().unwrap() = format!("{error:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    state.open.fetch_sub(1, Ordering::SeqCst);
}
