//! Keeps proving that tenants are kept apart, where the runtime has that ability.
//!
//! What keeps them apart is put in place at the start and at every comparison. It is proved from a
//! container at the start, whenever something had to be put back, and whenever the runtime was lost
//! and came back. Until the proof succeeds no new tenant gets a container.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backends::{Backends, call};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::Guarantee;
use crate::isolation::IsolationReport;
use crate::run::Run;
use crate::settings::Settings;
use crate::worker::Shop;

/// How much longer than another call a probe may take: it makes, runs and removes containers.
const PROBE_CALLS: u32 = 3;

/// Whether tenants are kept apart, as this program last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationState {
    /// Not proved yet, or no more: a proof is under way.
    Unproved,
    /// The last proof, in which all was as it must be.
    Holds(IsolationReport),
    /// It could not be put in place or proved, or something is open: why, for people.
    Fails(String),
}

/// What this program knows of it.
#[derive(Debug)]
pub(crate) struct Proof {
    state: watch::Sender<IsolationState>,
    /// How often there was doubt. It changes with the state, in its lock.
    doubts: AtomicU64,
    doubt: Notify,
}

impl Proof {
    pub(crate) fn new() -> Self {
        let state = watch::Sender::new(IsolationState::Unproved);
        Self { state, doubts: AtomicU64::new(0), doubt: Notify::new() }
    }

    pub(crate) fn state(&self) -> IsolationState {
        self.state.borrow().clone()
    }

    /// What was proved may no longer hold, nor what a proof under way finds: prove it again.
    pub(crate) fn doubt(&self) {
        tracing::info!("that tenants are kept apart is to be proved anew");
        self.state.send_modify(|state| {
            self.doubts.fetch_add(1, Ordering::SeqCst);
            *state = IsolationState::Unproved;
        });
        self.doubt.notify_one();
    }

    fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::SeqCst)
    }

    /// It was proved, unless there was doubt since the proof began.
    fn holds(&self, report: IsolationReport, doubts: u64) {
        self.state.send_if_modified(|state| {
            let valid = self.doubts() == doubts;
            if valid {
                *state = IsolationState::Holds(report);
            }
            valid
        });
    }
}

/// Refuses a new tenant while it is known that tenants are not kept apart.
pub(crate) fn check(shop: &Shop) -> Result<()> {
    match shop.proof.state() {
        IsolationState::Fails(why) if is_asked_for(&shop.backends, &shop.settings) => {
            Err(refusal().with("isolation", why))
        }
        _ => Ok(()),
    }
}

/// Waits for a proof that is under way, and refuses a new tenant's container unless it succeeds.
pub(crate) async fn wait(run: &Run<'_>) -> Result<()> {
    let (proof, settings) = (run.proof, run.settings);
    if !is_asked_for(run.backends, settings) {
        return Ok(());
    }
    // What somebody took away since the last comparison must not let this one in.
    put_in_place(run.backends, settings, proof).await;
    let mut state = proof.state.subscribe();
    let proved = state.wait_for(|state| *state != IsolationState::Unproved);
    match tokio::time::timeout(settings.call_deadline, proved).await {
        Ok(Ok(state)) => match &*state {
            IsolationState::Fails(_) => Err(refusal()),
            _ => Ok(()),
        },
        _ => Err(refusal()),
    }
}

/// What an operation is told, its owner reads: why, which names addresses of this machine, was logged.
fn refusal() -> Error {
    let what = "no new tenants while it is not proved that tenants are kept apart";
    Error::new(ErrorKind::Unavailable, what)
}

/// Whether the runtime can prove it, and policy asks for it.
fn is_asked_for(backends: &Backends, settings: &Settings) -> bool {
    let allowed = settings.allow_unenforced.contains(&Guarantee::Network);
    backends.runtime_isolation.is_some() && !allowed
}

/// Puts in place what keeps tenants apart; if anything was missing, that is proved anew.
pub(crate) async fn ensure(shop: &Shop) {
    put_in_place(&shop.backends, &shop.settings, &shop.proof).await;
}

async fn put_in_place(backends: &Backends, settings: &Settings, proof: &Proof) {
    let Some(isolation) = &backends.runtime_isolation else { return };
    match call("isolation.ensure", settings.call_deadline, isolation.ensure_isolation()).await {
        Ok(false) => {}
        Ok(true) => {
            tracing::warn!("what keeps tenants apart was not in place; it is now");
            proof.doubt();
        }
        Err(error) => {
            fail(proof, &error);
            proof.doubt.notify_one();
        }
    }
}

fn fail(proof: &Proof, error: &Error) {
    tracing::error!(error = %error.chain(), "can't keep tenants apart, or not prove it; no new tenants");
    proof.state.send_replace(IsolationState::Fails(error.chain()));
}

/// Proves it at the start and whenever there is doubt, and tries again while it fails.
pub(crate) async fn keep(shop: Arc<Shop>, cancel: CancellationToken) {
    if shop.backends.runtime_isolation.is_none() {
        return;
    }
    // A proof under way takes away itself what it made, so it has its time to end.
    let too_late = async {
        cancel.cancelled().await;
        tokio::time::sleep(shop.settings.shutdown_grace).await;
    };
    tokio::select! {
        () = too_late => {}
        () = keep_on(&shop, &cancel) => {}
    }
}

async fn keep_on(shop: &Shop, cancel: &CancellationToken) {
    loop {
        prove(shop).await;
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = doubted(shop) => {}
        }
    }
}

/// Waits until it must be proved again.
async fn doubted(shop: &Shop) {
    let doubt = shop.proof.doubt.notified();
    if matches!(shop.proof.state(), IsolationState::Fails(_)) {
        let _ = tokio::time::timeout(shop.settings.stuck_retry, doubt).await;
    } else {
        doubt.await;
    }
}

async fn prove(shop: &Shop) {
    let Some(isolation) = &shop.backends.runtime_isolation else { return };
    let (deadline, doubts) = (shop.settings.call_deadline, shop.proof.doubts());
    let proved = async {
        call("isolation.ensure", deadline, isolation.ensure_isolation()).await?;
        call("isolation.probe", deadline * PROBE_CALLS, isolation.probe_isolation()).await
    };
    match proved.await {
        Ok(report) if report.holds() => {
            tracing::info!(attempts = report.attempts.len(), "proved that tenants are kept apart");
            shop.proof.holds(report, doubts);
        }
        Ok(report) => {
            let open = match report.faults() {
                none if none.is_empty() => "nothing could be tried".to_owned(),
                faults => faults,
            };
            fail(&shop.proof, &Error::new(ErrorKind::Internal, open));
        }
        Err(error) => fail(&shop.proof, &error),
    }
}
