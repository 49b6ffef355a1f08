//! What can happen next: to the flight, and around it.

use std::time::Duration;

use super::budget::Kind;
use super::oracle::GRACE;
use super::world::{Daemon, World, flying};
use crate::domain::{EndReason, LoginReason, Session};
use crate::keeper::attend::Wish;
use crate::keeper::closing::{ended, needing_login};
use crate::keeper::flight::course::Flight;
use crate::keeper::flight::interrupted;
use crate::keeper::tests::RETENTION;

/// How far the clock is set back: more than a grace, and less than what counts as a jump.
const SET_BACK: Duration = Duration::from_mins(1);

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// The daemon starts, and takes up what was interrupted.
    Start,
    /// The same, with a clock that was set back meanwhile.
    StartInThePast,
    /// The flight does its next step, and this comes of it.
    Flight(&'static str),
    /// The schedule finds the session due.
    Schedule,
    /// Somebody wants a newer token.
    Caller,
    /// Somebody asks for a token that is not in the cache.
    Look,
    Crash,
    /// A logout, or a prune, is on disk.
    Logout,
    Prune,
    /// Who asked for that is told.
    Closed,
    /// The provider is taken out of the configuration, or put back.
    Unconfigure,
    Configure,
    /// The store takes writes again, and whoever was in the cache is not.
    StoreIsBack,
    /// A request arrives that nobody waits for any more.
    StrayArrives,
    Tick,
}

impl World {
    /// Everything that can happen next.
    pub(super) fn moves(&self) -> Vec<(Move, Self)> {
        let mut moves = Vec::new();
        match &self.daemon {
            None => {
                moves.push((Move::Start, self.started()));
                if self.left.has(Kind::SetBack) {
                    let (now, behind) = (self.now - SET_BACK, self.behind + SET_BACK);
                    let mut back = Self { now, behind, ..self.clone() };
                    back.left.take(Kind::SetBack);
                    moves.push((Move::StartInThePast, back.started()));
                }
            }
            Some(daemon) => {
                moves.extend(self.steps_of_flight(daemon));
                moves.extend(self.with_daemon_up(daemon));
            }
        }
        if let Some(refresh) = self.stray {
            let mut next = Self { stray: None, ..self.clone() };
            next.oracle.spend(refresh, next.true_now()).ok();
            moves.push((Move::StrayArrives, next));
        }
        if self.left.ticks > 0
            && (!self.left.is_punctual || self.is_idle())
            && let Some(mut next) = self.later()
        {
            next.left.ticks -= 1;
            moves.push((Move::Tick, next));
        }
        moves
    }

    /// When something may change next. What was on its way by itself is gone by then.
    pub(super) fn later(&self) -> Option<Self> {
        let session = &self.disk.session.value;
        let unknown_since = session.trouble.as_ref().and_then(|trouble| trouble.unknown_since);
        let times = [
            session.due_at,
            unknown_since.map(|since| since + GRACE),
            session.tokens.as_ref().map(|tokens| tokens.access.expires_at),
        ];
        let now = times.into_iter().flatten().filter(|at| *at > self.now).min()?;
        Some(Self { now, stray: None, ..self.clone() })
    }

    fn with_daemon_up(&self, daemon: &Daemon) -> Vec<(Move, Self)> {
        let session = &self.disk.session.value;
        let mut moves = Vec::new();
        let mut push = |step, next| moves.push((step, next));
        if daemon.flight.is_none() && self.is_due() {
            push(Move::Schedule, self.boarded(Wish::Due));
        }
        if daemon.shown.is_none() && session.state.is_active() && !daemon.is_closing {
            push(Move::Look, self.shown());
        }
        if daemon.is_closing {
            let mut next = self.shown();
            next.daemon_mut().is_closing = false;
            next.is_over = true;
            push(Move::Closed, next);
        }
        if !self.disk.takes_writes {
            let mut next = self.clone();
            next.disk.takes_writes = true;
            next.daemon_mut().shown = None;
            push(Move::StoreIsBack, next);
        }
        if !self.is_configured {
            push(Move::Configure, Self { is_configured: true, ..self.clone() });
        }
        if self.left.has(Kind::Crash) {
            push(Move::Crash, self.crashed(daemon));
        }
        let mut intrude = |kind, step, is_possible: bool, change: &dyn Fn(&mut Self)| {
            if is_possible && self.left.has(kind) {
                let mut next = self.clone();
                next.left.take(kind);
                change(&mut next);
                push(step, next);
            }
        };
        let (is_active, is_ended) = (session.state.is_active(), session.state.is_ended());
        let may_close = self.disk.takes_writes && !daemon.is_closing;
        let boarded = |next: &mut Self| *next = next.boarded(Wish::NewToken);
        intrude(Kind::Caller, Move::Caller, daemon.flight.is_none() && is_active, &boarded);
        intrude(Kind::Reload, Move::Unconfigure, self.is_configured, &|next| next.is_configured = false);
        let ended = || ended(session, EndReason::LoggedOut, self.now, RETENTION);
        intrude(Kind::Logout, Move::Logout, may_close && !is_ended, &|next| next.close(ended()));
        let too_old = || needing_login(session, LoginReason::SessionTooOld, self.now, RETENTION);
        intrude(Kind::Prune, Move::Prune, may_close && is_active, &|next| next.close(too_old()));
        moves
    }

    fn close(&mut self, session: Session) {
        self.put(session);
        self.daemon_mut().is_closing = true;
    }

    /// Whether the timer finds something to do.
    pub(super) fn is_due(&self) -> bool {
        let is_waiting = self.daemon.as_ref().is_some_and(|daemon| daemon.unwritten.is_some());
        is_waiting || self.disk.session.value.due_at.is_some_and(|at| at <= self.now)
    }

    /// Whether there is nothing to do but wait.
    fn is_idle(&self) -> bool {
        let is_idle = |daemon: &Daemon| daemon.flight.is_none() && !daemon.is_closing;
        self.daemon.as_ref().is_some_and(is_idle) && self.disk.takes_writes && self.is_configured && !self.is_due()
    }

    /// With a flight that begins.
    pub(super) fn boarded(&self, wish: Wish) -> Self {
        let mut next = self.clone();
        let daemon = next.daemon_mut();
        let unwritten = daemon.unwritten.as_deref().cloned();
        daemon.flight = Some(flying(Flight::new(wish, unwritten)));
        next
    }

    /// With the cache filled anew.
    pub(super) fn shown(&self) -> Self {
        let mut next = self.clone();
        let shown = self.daemon.as_ref().and_then(|daemon| self.to_show(daemon.unwritten.as_deref()));
        next.daemon_mut().shown = shown;
        next.seen = next.seen.max(shown.unwrap_or(0));
        next
    }

    fn crashed(&self, daemon: &Daemon) -> Self {
        let mut next = self.clone();
        next.left.take(Kind::Crash);
        next.daemon = None;
        // A logout that is on disk and was not answered counts.
        next.is_over |= daemon.is_closing;
        match daemon.request {
            Some(request) if request.answer.is_none() => next.strayed(request.refresh),
            _ => next.is_exposed |= self.refresh_is_spent(),
        }
        next.seen = 0;
        next
    }

    /// A request is on its way that nobody waits for any more.
    pub(super) fn strayed(&mut self, refresh: u32) {
        self.stray = Some(refresh);
        self.is_exposed = true;
    }

    fn started(&self) -> Self {
        let mut next = self.clone();
        next.disk.takes_writes = true;
        let session = &self.disk.session.value;
        if let Some(intent) = next.disk.intent.take()
            && session.state.is_active()
            && session.generation == intent.generation
        {
            let grace = if self.is_configured { self.known().grace } else { Duration::ZERO };
            next.put(interrupted(session, &intent, grace, 0, self.now));
        }
        next.daemon = Some(Daemon::default());
        next
    }

    pub(super) fn daemon_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }
}
