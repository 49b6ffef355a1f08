//! The course of a flight: what is done next, decided by what came of what was done. Pure: no I/O, no clock, no chance.
//!
//! Invariants: nothing is asked of a provider with a refresh token before the intent is durable, and the time is looked at between
//! that and the POST; nothing is shown before it is durable, or at least kept; an answer is let go only once it is durable.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::Outcome;
use super::need::{Found, admitted, intended, needed};
use super::outcome::{Changed, Known, settled};
use super::unwritten::Answered;
use crate::domain::{LoginReason, Session};
use crate::keeper::KeeperError;
use crate::keeper::attend::{Attempt, Attended, Wish};
use crate::provider::{Provider, RefreshOutcome};
use crate::vault::Versioned;

/// Times that a flight looks at its session. If it is changed, or may be tried again at once, more often than that, the next
/// flight goes on.
const LOOKS: u8 = 5;

/// A flight on its way.
#[derive(Clone)]
pub(super) struct Flight {
    pub(super) wish: Wish,
    pub(super) looks: u8,
    pub(super) state: State,
}

/// The one thing that is being done.
#[derive(Clone)]
pub(super) enum State {
    /// The session is read, to see what it needs.
    Looking,
    /// It is moved to `until` in the agenda. Nothing more can be done before.
    PuttingOff { session: Versioned<Session>, until: UnixSeconds, then: Outcome },
    /// It is closed until a person logs in.
    Closing { session: Versioned<Session>, reason: LoginReason, now: UnixSeconds },
    /// It is over, and the provider is told.
    Revoking { session: Versioned<Session>, now: UnixSeconds },
    /// The gate of the provider is waited at, and what must be known to ask it is fetched.
    Queueing(Errand),
    /// The intent to spend the refresh token is written.
    Intending(Errand, UnixSeconds),
    /// The provider is asked for tokens.
    Asking(Errand, UnixSeconds),
    /// The session is read again, for the answer to be taken into it. `is_kept`: the answer waits in memory already.
    Rereading { answered: Arc<Answered>, is_kept: bool },
    /// What the answer makes of the session is written; nothing, if the answer is not about it any more.
    Writing { answered: Arc<Answered>, is_kept: bool, change: Option<Box<Changed>>, then: Outcome },
    /// The store did not take the answer, which goes to those that wait in memory.
    Keeping { answered: Arc<Answered>, then: Outcome },
    /// What is new is shown to those whom the session is served to.
    Showing(Outcome),
    /// Those who waited are told.
    Landed(Outcome),
}

/// A session whose tokens are to be renewed.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) session: Versioned<Session>,
    pub(super) provider: Arc<Provider>,
    /// Whether the refresh token may be a spent one, from an older copy of the store.
    pub(super) is_stale: bool,
}

/// What came of it.
pub(super) enum Event {
    /// Of [`State::Looking`].
    Found(Result<Found, KeeperError>),
    /// Of [`State::PuttingOff`], [`State::Writing`].
    Written(Result<(), Attempt>),
    /// Of [`State::Closing`], [`State::Revoking`].
    Attended(Result<Attended, Attempt>),
    /// Of [`State::Queueing`]: what is known when everything is ready.
    Admitted(Result<Known, KeeperError>),
    /// The same when something could not be fetched.
    Unready(UnixSeconds, RefreshOutcome),
    /// Of [`State::Intending`]: what is known when that is on the disk.
    Intended(Result<Known, Attempt>),
    /// Of [`State::Asking`].
    Answered(RefreshOutcome),
    /// Of [`State::Rereading`].
    Reread(Result<Option<Versioned<Session>>, KeeperError>, Known),
    /// Of [`State::Keeping`], [`State::Showing`].
    Done,
}

impl Flight {
    /// A flight that begins. An answer that still waits to be written comes before anything else.
    pub(super) fn new(wish: Wish, unwritten: Option<Arc<Answered>>) -> Self {
        let state = unwritten.map_or(State::Looking, |answered| State::Rereading { answered, is_kept: true });
        Self { wish, looks: 1, state }
    }

    /// The flight after its next step.
    pub(super) fn next(mut self, event: Event) -> Self {
        self.state = match (self.state, event) {
            (State::Looking, Event::Found(Ok(found))) => needed(found, self.wish),
            (State::Queueing(errand), Event::Admitted(Ok(known))) => admitted(errand, known),
            (State::Queueing(errand), Event::Unready(now, outcome))
            | (State::Asking(errand, now), Event::Answered(outcome)) => answered(errand, now, outcome),
            (State::Intending(errand, _), Event::Intended(Ok(known))) => intended(errand, known),
            (State::Rereading { answered, is_kept }, Event::Reread(Ok(session), known)) => {
                let (change, then) = settled(session, &answered, known);
                State::Writing { answered, is_kept, change, then }
            }
            // It waits already, and what it makes of the session was shown.
            (State::Rereading { is_kept: true, .. }, Event::Reread(Err(error), _))
            | (State::Writing { is_kept: true, .. }, Event::Written(Err(Attempt::Failed(error)))) => {
                State::Landed(Err(error))
            }
            (State::Rereading { answered, .. }, Event::Reread(Err(error), _)) => {
                State::Keeping { answered, then: Err(error) }
            }
            (State::Writing { answered, is_kept, .. }, Event::Written(Err(Attempt::Changed))) => {
                State::Rereading { answered, is_kept }
            }
            (State::Writing { answered, then, .. }, Event::Written(Err(Attempt::Failed(error)))) => {
                // New tokens are served from memory. Whoever asks for still newer ones has to wait for the store.
                let then = then.ok().filter(|it| *it == Attended::Renewed).ok_or(error);
                State::Keeping { answered, then }
            }
            (State::Writing { then, .. }, Event::Written(Ok(()))) | (State::Keeping { then, .. }, Event::Done) => {
                State::Showing(then)
            }
            (State::Showing(Err(KeeperError::ProviderDown { wait: Duration::ZERO, .. })), Event::Done)
            | (State::PuttingOff { .. }, Event::Written(Err(Attempt::Changed)))
            | (State::Intending(..), Event::Intended(Err(Attempt::Changed)))
            | (State::Closing { .. } | State::Revoking { .. }, Event::Attended(Err(Attempt::Changed))) => {
                self.looks += 1;
                if self.looks > LOOKS { State::Landed(Ok(Attended::NothingDue)) } else { State::Looking }
            }
            (State::PuttingOff { then, .. }, Event::Written(Ok(()))) | (State::Showing(then), Event::Done) => {
                State::Landed(then)
            }
            (State::Closing { .. } | State::Revoking { .. }, Event::Attended(Ok(done))) => State::Landed(Ok(done)),
            (
                _,
                Event::Found(Err(error))
                | Event::Admitted(Err(error))
                | Event::Written(Err(Attempt::Failed(error)))
                | Event::Intended(Err(Attempt::Failed(error)))
                | Event::Attended(Err(Attempt::Failed(error))),
            ) => State::Landed(Err(error)),
            // An event that is none of this state.
            _ => State::Landed(Err(KeeperError::Internal)),
        };
        self
    }
}

/// What is done with an answer: it is taken into the session as that is by now.
pub(super) fn answered(errand: Errand, sent_at: UnixSeconds, outcome: RefreshOutcome) -> State {
    State::Rereading { answered: Arc::new(Answered::to(errand, sent_at, outcome)), is_kept: false }
}
