//! The gate of a provider: how many requests are on their way at once, how many leave in a second, and when none does.
//!
//! Invariant: whatever anybody wants of a provider, but its test by an administrator, leaves through its gate. [`State`] decides, with
//! the time as a parameter; [`Gate`] only lets wait. A person goes before a caller, and a caller before the schedule; then goes who
//! has less time left. Nobody goes past the number at once, the rate, or a `Retry-After`, and only a person past an open breaker.

mod breaker;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::ProviderName;
use tokio::sync::Notify;

use self::state::{Admission, Answer, State};
pub use self::state::{Closed, Sign, Turn};
use super::{DevicePoll, DeviceRefused, DeviceStart, Fault, Grant, LoginFault, RefreshOutcome, RevokeOutcome};
use crate::clock::Clock;
use crate::config::settings::Courtesy;

/// The gate of one provider.
#[derive(Debug)]
pub struct Gate {
    provider: ProviderName,
    state: Mutex<State>,
}

/// The right to send one request. Whoever drops it without saying what came of it has sent none.
#[must_use = "what came of the request has to be told"]
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    clock: &'a Clock,
    admission: Option<Admission>,
}

/// A place in the queue, which is given up when its owner does not wait any more.
struct Place<'a> {
    gate: &'a Gate,
    turn: Turn,
    /// Rings when it may be its turn. Each has one of its own: thousands may wait.
    bell: Arc<Notify>,
}

impl Gate {
    pub(super) fn new(provider: ProviderName, courtesy: Courtesy) -> Self {
        Self { provider, state: Mutex::new(State::new(courtesy)) }
    }

    /// Waits for the turn of a request.
    ///
    /// # Errors
    /// When nothing leaves at the moment, and when that may change. Nobody waits for that here.
    ///
    /// # Cancel safety
    /// Safe: the place in the queue is given up.
    pub async fn enter<'a>(&'a self, clock: &'a Clock, turn: Turn) -> Result<Pass<'a>, Closed> {
        let bell = Arc::new(Notify::new());
        let turn = self.state().line_up(turn, Arc::clone(&bell));
        let place = Place { gate: self, turn, bell };
        loop {
            let now = clock.boot();
            let answer = self.state().ask(turn, now);
            match answer {
                Answer::Go(admission) => return Ok(Pass { gate: self, clock, admission: Some(admission) }),
                Answer::Closed(closed) => return Err(closed),
                Answer::Behind => place.bell.notified().await,
                Answer::NotBefore(at) => {
                    // Whichever comes first: the gate may have closed.
                    let _ = tokio::time::timeout(at.saturating_sub(now), place.bell.notified()).await;
                }
            }
        }
    }

    /// Goes by other numbers from now on.
    pub(super) fn be_courteous(&self, courtesy: Courtesy, now: Duration) {
        let mut state = self.state();
        state.be_courteous(courtesy, now);
        state.ring_next();
    }

    /// Counts a request that leaves, whoever sends it.
    pub(super) fn leaves(&self) {
        self.state().leaves();
    }

    /// Why nothing leaves, and for how long, if so.
    pub fn closed(&self, clock: &Clock) -> Option<Closed> {
        self.state().closed(clock.boot())
    }

    /// Whether the breaker is open: the provider failed again and again, and is left alone but for single tries.
    pub fn is_broken(&self) -> bool {
        self.state().is_broken()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Tells what the request says about how the provider is doing.
    pub fn came_back(mut self, sign: Sign) {
        self.hand_in(Some(sign));
    }

    fn hand_in(&mut self, sign: Option<Sign>) {
        let Some(admission) = self.admission.take() else { return };
        let now = self.clock.boot();
        let mut state = self.gate.state();
        let was_broken = state.is_broken();
        state.came_back(admission, sign, now, rand::random());
        let (is_broken, closed) = (state.is_broken(), state.closed(now));
        state.ring_next();
        drop(state);
        let provider = &self.gate.provider;
        match (was_broken, is_broken, closed) {
            (false, true, Some(closed)) => {
                tracing::warn!(%provider, why = %closed.why, "the provider is left alone for now");
            }
            (true, false, _) => tracing::info!(%provider, "the provider that was left alone answers again"),
            _ => {}
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.hand_in(None);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.state().leave(self.turn);
    }
}

impl From<&RefreshOutcome> for Sign {
    fn from(outcome: &RefreshOutcome) -> Self {
        match outcome {
            RefreshOutcome::Misconfigured(fault)
                if fault.needs_administrator() || fault.is_of_this_side() || fault.rejects_client() =>
            {
                Self::of(fault)
            }
            // What it says of one session says nothing of the others.
            RefreshOutcome::Renewed(_) | RefreshOutcome::Refused { .. } | RefreshOutcome::Misconfigured(_) => {
                Self::Alive
            }
            RefreshOutcome::Transient { fault, retry_after: Some(wait) } => {
                Self::AsksToWait { why: fault.to_string(), wait: *wait }
            }
            RefreshOutcome::NotSent(fault)
            | RefreshOutcome::Unknown(fault)
            | RefreshOutcome::Transient { fault, .. } => Self::of(fault),
        }
    }
}

impl From<&RevokeOutcome> for Sign {
    fn from(outcome: &RevokeOutcome) -> Self {
        match outcome {
            RevokeOutcome::Done => Self::Alive,
            RevokeOutcome::TryAgain(fault) => Self::of(fault),
            // Nothing was sent, or nothing can be told from it.
            RevokeOutcome::Unsupported | RevokeOutcome::Refused(_) => Self::Nothing,
        }
    }
}

impl<T> From<&Result<T, Fault>> for Sign {
    fn from(outcome: &Result<T, Fault>) -> Self {
        outcome.as_ref().map_or_else(Self::of, |_| Self::Alive)
    }
}

impl From<&Result<Grant, LoginFault>> for Sign {
    fn from(outcome: &Result<Grant, LoginFault>) -> Self {
        outcome.as_ref().map_or_else(Self::of_login, |_| Self::Alive)
    }
}

impl From<&Result<DeviceStart, DeviceRefused>> for Sign {
    fn from(outcome: &Result<DeviceStart, DeviceRefused>) -> Self {
        match outcome {
            Ok(_) => Self::Alive,
            Err(DeviceRefused::Login(fault)) => Self::of_login(fault),
            Err(DeviceRefused::NotOffered) => Self::Nothing,
        }
    }
}

impl From<&DevicePoll> for Sign {
    fn from(outcome: &DevicePoll) -> Self {
        match outcome {
            DevicePoll::Granted(_) | DevicePoll::Pending | DevicePoll::SlowDown => Self::Alive,
            DevicePoll::Later { fault, retry_after: Some(wait) } => {
                Self::AsksToWait { why: fault.to_string(), wait: *wait }
            }
            DevicePoll::Later { fault, .. } => Self::of(fault),
            DevicePoll::Over(fault) => Self::of_login(fault),
        }
    }
}
