//! A hostile app: sessions that do harm, and come back when they are ended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::world::{Tenant, Wrong};

/// What one session does: first this, then that again and again.
#[derive(Clone, Copy, Debug)]
pub struct Harm {
    /// Once, when it has connected.
    pub first: &'static str,
    /// For ever.
    pub again: &'static str,
}

/// Sessions of a tenant that do harm until this is dropped.
#[derive(Debug)]
pub struct Attack {
    state: Arc<State>,
    pub(crate) begun: Instant,
    _sessions: JoinSet<()>,
}

#[derive(Debug, Default)]
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
    /// Begins it.
    #[must_use]
    pub fn begin(tenant: &Tenant, sessions: &[Harm]) -> Self {
        let state = Arc::new(State::default());
        let mut running = JoinSet::new();
        for harm in sessions {
            let (state, tenant, harm) = (state.clone(), tenant.clone(), *harm);
            running.spawn(async move {
                loop {
                    session(&state, &tenant, harm).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        Self { state, begun: Instant::now(), _sessions: running }
    }

    /// Waits until no session is open and none comes in any more. Seconds since the beginning.
    ///
    /// # Errors
    /// When that takes longer.
    pub async fn ended(&self, patience: Duration) -> Result<f32, Wrong> {
        loop {
            let open = self.state.open.load(Ordering::SeqCst);
            if open == 0 && self.state.refused.load(Ordering::SeqCst) {
                return Ok(self.begun.elapsed().as_secs_f32());
            }
            if self.begun.elapsed() > patience {
                let last = self.state.last();
                return Err(format!("{open} sessions are open; the last error: {last}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How often a session came, again included.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.state.logins.load(Ordering::SeqCst)
    }
}

impl State {
    fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: &tokio_postgres::Error) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = format!("{error:?}");
    }
}

async fn session(state: &State, tenant: &Tenant, harm: Harm) {
    let client = match tenant.connect().await {
        Ok(client) => client,
        Err(error) => {
            let refused = error.code().is_some_and(|code| code.code() == "28000");
            if refused {
                state.refused.store(true, Ordering::SeqCst);
            }
            state.note(&error);
            return;
        }
    };
    state.open.fetch_add(1, Ordering::SeqCst);
    state.refused.store(false, Ordering::SeqCst);
    state.logins.fetch_add(1, Ordering::SeqCst);
    let _ = client.batch_execute(harm.first).await;
    while !client.is_closed() {
        if let Err(error) = client.batch_execute(harm.again).await {
            state.note(&error);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    state.open.fetch_sub(1, Ordering::SeqCst);
}
