//! Deterministic faults, put in front of any backend from outside: the code under test has no part
//! in them, and two plans never meet.
//!
//! A [`FaultPlan`] without faults takes down every call; each call of that trace is then a place
//! where a fault can strike. [`matrix`] does so for every action.

pub mod matrix;
mod ports;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};
use crate::operation::Change;
use crate::stage::Direction;
use crate::step::Step;

pub use ports::wrap;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// It fails without effect.
    FailBefore(ErrorKind),
    /// It takes effect, and then its answer is lost in a failure.
    FailAfter(ErrorKind),
    /// It takes effect, and no answer ever comes.
    Hang,
    /// It is made twice.
    Repeat,
    /// The program ends before the call.
    CrashBefore,
    /// The program ends right after the call took effect.
    CrashAfter,
    /// The program ends, and the call takes effect only once [`FaultPlan::come_late`] is called: a
    /// backend may go on with what it was asked for when nobody waits for it any more.
    CrashLate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailBefore(kind) => write!(f, "fails before ({kind})"),
            Self::FailAfter(kind) => write!(f, "fails after ({kind})"),
            Self::Hang => f.write_str("hangs"),
            Self::Repeat => f.write_str("is repeated"),
            Self::CrashBefore => f.write_str("crash before"),
            Self::CrashAfter => f.write_str("crash after"),
            Self::CrashLate => f.write_str("crash, and it comes late"),
        }
    }
}

/// One call to a backend: the how-manieth of this method in this step. How often a step before it
/// had to look at something does not change its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The method, with its port: `runtime.ensure`.
    pub method: &'static str,
    /// The direction and the step under way; `None` before the first.
    pub step: Option<(Direction, Step)>,
    /// Counted from 0.
    pub nth: u32,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some((Direction::Undo, step)) => write!(f, "undo {step}")?,
            Some((Direction::Forward, step)) => write!(f, "{step}")?,
            None => f.write_str("(before the first step)")?,
        }
        write!(f, " {}#{}", self.method, self.nth)
    }
}

/// Which calls go wrong, and how; takes down all that are made. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan(Arc<Plan>);

#[derive(Debug, Default)]
struct Plan {
    state: Mutex<State>,
    crash: Notify,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<(Call, Fault)>,
    trace: Vec<Call>,
    step: Option<(Direction, Step)>,
    struck: usize,
    crashed: bool,
    late: Vec<Late>,
}

impl State {
    fn next(&self, method: &'static str) -> Call {
        let step = self.step;
        let before = self.trace.iter().filter(|call| call.method == method && call.step == step);
        Call { method, step, nth: u32::try_from(before.count()).unwrap_or(u32::MAX) }
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        self.faults.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault)
    }
}

/// An effect that is yet to come.
struct Late(BoxFuture<'static, ()>);

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}

impl FaultPlan {
    /// A plan in which nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A plan with these faults; each strikes once.
    #[must_use]
    pub fn with(faults: impl IntoIterator<Item = (Call, Fault)>) -> Self {
        let plan = Self::default();
        plan.state(|state| state.faults.extend(faults));
        plan
    }

    /// The calls so far.
    #[must_use]
    pub fn trace(&self) -> Vec<Call> {
        self.state(|state| state.trace.clone())
    }

    /// How many faults have struck.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.state(|state| state.struck)
    }

    /// Waits until a crash strikes. From then on no call gets through: whoever waits here ends the
    /// program under test.
    pub async fn crashed(&self) {
        loop {
            let notified = self.0.crash.notified();
            if self.state(|state| state.crashed) {
                return;
            }
            notified.await;
        }
    }

    /// Lets the calls take effect that come late; tells whether there were any.
    pub async fn come_late(&self) -> bool {
        let late = self.state(|state| std::mem::take(&mut state.late));
        let any = !late.is_empty();
        for Late(effect) in late {
            effect.await;
        }
        any
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What goes wrong with the next call of this method.
    fn due(&self, method: &'static str) -> Option<Fault> {
        self.state(|state| state.fault(state.next(method)))
    }

    /// Takes down the call, and tells what goes wrong with it.
    fn meet(&self, method: &'static str) -> Option<Fault> {
        self.state(|state| {
            let call = state.next(method);
            let fault = state.fault(call);
            state.trace.push(call);
            state.struck += usize::from(fault.is_some());
            fault
        })
    }

    fn note(&self, change: Option<&Change>) {
        if let Some(Change::StepStarted(direction, step)) = change {
            self.state(|state| state.step = Some((*direction, *step)));
        }
    }

    async fn crash<T>(&self) -> T {
        self.state(|state| state.crashed = true);
        self.0.crash.notify_waiters();
        std::future::pending().await
    }

    /// A call that changes nothing.
    async fn look<T, F>(&self, method: &'static str, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if self.state(|state| state.crashed) {
            return std::future::pending().await;
        }
        let lost = |kind| Err(Error::new(kind, "a planned fault").with("call", method));
        match self.meet(method) {
            None => call().await,
            Some(Fault::FailBefore(kind)) => lost(kind),
            Some(Fault::FailAfter(kind)) => {
                call().await?;
                lost(kind)
            }
            Some(Fault::Hang) => {
                call().await?;
                std::future::pending().await
            }
            Some(Fault::Repeat) => {
                call().await?;
                call().await
            }
            Some(Fault::CrashBefore | Fault::CrashLate) => self.crash().await,
            Some(Fault::CrashAfter) => {
                call().await?;
                self.crash().await
            }
        }
    }

    /// A call that changes something: it owns what it needs, so that it can come late.
    async fn change<T, F>(
        &self,
        method: &'static str,
        call: impl Fn() -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        if self.due(method) == Some(Fault::CrashLate) && !self.state(|state| state.crashed) {
            // What became of it nobody asks.
            let effect = Late(Box::pin(call().map(drop)));
            self.state(|state| state.late.push(effect));
        }
        self.look(method, call).await
    }
}
