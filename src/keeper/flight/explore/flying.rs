//! The steps of a flight, in place of the pilot: each with everything that can come of it.

use std::sync::Arc;

use super::budget::Kind;
use super::moves::Move;
use super::oracle::{Given, Refused};
use super::world::{Daemon, Request, World, flying, kept, number, tokens};
use crate::domain::Session;
use crate::keeper::KeeperError;
use crate::keeper::attend::{Attempt, Attended};
use crate::keeper::closing::needing_login;
use crate::keeper::flight::course::{Event, Flight, State};
use crate::keeper::flight::need::Found;
use crate::keeper::tests::RETENTION;
use crate::provider::{Fault, Place, RefreshOutcome};
use crate::vault::{Intent, Versioned};
use tokenkeeper_protocol::reply::Revocation;

impl World {
    pub(super) fn steps_of_flight(&self, daemon: &Daemon) -> Vec<(Move, Self)> {
        let Some(flight) = &daemon.flight else { return Vec::new() };
        let mut steps = Vec::new();
        let mut push = |name, next| steps.push((Move::Flight(name), next));
        match &flight.state {
            State::Looking => {
                let found = Found {
                    session: (*self.disk.session).clone(),
                    now: self.now,
                    provider: self.is_configured.then(|| Arc::clone(&self.provider)),
                    grace: self.known().grace,
                    is_stale: false,
                    era: 0,
                };
                push("is read", self.after(Event::Found(Ok(found))));
                if self.has_faults() {
                    push("cannot be read", self.after_a_fault(Event::Found(Err(store_down()))));
                }
            }
            State::PuttingOff { session, until, .. } => {
                let put_off = Session { due_at: Some(*until), ..session.value.clone() };
                return self.write(Some(session), &|next| next.put(put_off.clone()), &Event::Written);
            }
            State::Closing { session, reason, now } => {
                let new = needing_login(&session.value, reason.clone(), *now, RETENTION);
                let told = KeeperError::from(&new);
                return self.write(Some(session), &|next| *next = next.with(&new).shown(), &|written| {
                    Event::Attended(written.and_then(|()| Err(Attempt::Failed(told.clone()))))
                });
            }
            State::Revoking { session, .. } => {
                let new = Session { tokens: None, due_at: None, trouble: None, ..session.value.clone() };
                let mut told = self.clone();
                // One that has a successor tells the provider nothing. Without a provider nobody is told.
                told.oracle.is_revoked |= self.is_configured && !self.refresh_is_spent();
                told.is_exposed |= !self.is_configured;
                return told.write(Some(session), &|next| *next = next.with(&new).shown(), &|written| {
                    Event::Attended(written.map(|()| Attended::Revoked(Revocation::Done)))
                });
            }
            State::Intending(errand, at) => {
                let intent = Intent { generation: errand.session.value.generation, at: *at };
                let write = |next: &mut Self| next.disk.intent = Some(intent.clone());
                return self
                    .write(Some(&errand.session), &write, &|written| Event::Intended(written.map(|()| self.known())));
            }
            State::Asking(errand, _) => return self.asking(&errand.session, daemon.request),
            State::Rereading { .. } => {
                let session = Ok(Some((*self.disk.session).clone()));
                push("is read again", self.after(Event::Reread(session, self.known())));
                if self.has_faults() {
                    push("cannot be read again", self.after_a_fault(Event::Reread(Err(store_down()), self.known())));
                }
            }
            State::Writing { change, .. } => {
                let old = change.as_ref().map(|change| &change.old);
                let write = |next: &mut Self| {
                    next.disk.intent = None;
                    if let Some(change) = change {
                        next.put(change.new.clone());
                    }
                };
                return self.write(old, &write, &Event::Written);
            }
            State::Keeping { answered, .. } => {
                let mut next = self.after(Event::Done);
                next.daemon_mut().unwritten = Some(kept(answered));
                push("is kept in memory", next);
            }
            State::Showing(_) => push("is shown", self.shown().after(Event::Done)),
            State::Queueing(_) => {
                push("passes the gate", self.after(Event::Admitted(Ok(self.known()))));
                if self.has_faults() {
                    let unready = Event::Unready(self.now, RefreshOutcome::NotSent(fault()));
                    push("cannot be made ready", self.after_a_fault(unready));
                }
            }
            State::Landed(_) => {}
        }
        steps
    }

    fn with(&self, session: &Session) -> Self {
        let mut next = self.clone();
        next.put(session.clone());
        next
    }

    /// After an event of the flight.
    fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        let daemon = next.daemon_mut();
        let was_writing = matches!(&daemon.flight.as_ref().unwrap().state, State::Writing { .. });
        if was_writing && matches!(event, Event::Written(Ok(()))) {
            daemon.unwritten = None;
        }
        let flight = Flight::clone(daemon.flight.as_ref().unwrap()).next(event);
        daemon.flight = (!matches!(flight.state, State::Landed(_))).then(|| flying(flight));
        next
    }

    fn has_faults(&self) -> bool {
        self.left.has(Kind::Fault)
    }

    fn after_a_fault(&self, event: Event) -> Self {
        let mut next = self.after(event);
        next.left.take(Kind::Fault);
        next
    }

    /// A write: taken, or not, or taken without a word.
    fn write(
        &self,
        old: Option<&Versioned<Session>>,
        change: &dyn Fn(&mut Self),
        event: &dyn Fn(Result<(), Attempt>) -> Event,
    ) -> Vec<(Move, Self)> {
        let down = || event(Err(Attempt::Failed(store_down())));
        if !self.disk.takes_writes {
            return vec![(Move::Flight("finds the store down"), self.after(down()))];
        }
        if old.is_some_and(|old| old.version != self.disk.session.version) {
            return vec![(Move::Flight("finds the session changed"), self.after(event(Err(Attempt::Changed))))];
        }
        let mut written = self.clone();
        change(&mut written);
        let mut steps = vec![(Move::Flight("is written"), written.after(event(Ok(()))))];
        if self.has_faults() {
            for (name, world) in [("is not written", self), ("is written, and an error is told", &written)] {
                let mut world = world.clone();
                world.disk.takes_writes = false;
                steps.push((Move::Flight(name), world.after_a_fault(down())));
            }
        }
        steps
    }

    /// The refresh token, on its way to the provider; and the answer, on its way back.
    fn asking(&self, session: &Versioned<Session>, request: Option<Request>) -> Vec<(Move, Self)> {
        let refresh = number(session.value.tokens.as_ref().unwrap().refresh.as_ref().unwrap());
        let requesting = |request: Option<Request>| {
            let mut next = self.clone();
            next.daemon_mut().request = request;
            next
        };
        let idle = requesting(None);
        let answered = |outcome| Event::Answered(outcome);
        let mut steps = Vec::new();
        let mut push = |name, next| steps.push((Move::Flight(name), next));
        let has_faults = self.has_faults();
        match request {
            None => {
                push("sends the refresh token", requesting(Some(Request { refresh, answer: None })));
                if has_faults {
                    push("cannot send it", idle.after_a_fault(answered(RefreshOutcome::NotSent(fault()))));
                }
            }
            Some(Request { answer: None, .. }) => {
                let mut next = self.clone();
                let answer = Some(next.oracle.spend(refresh, next.true_now()));
                next.daemon_mut().request = Some(Request { refresh, answer });
                push("arrives at the provider", next);
                if has_faults {
                    let transient = RefreshOutcome::Transient { fault: fault(), retry_after: None };
                    push("is told to come later", idle.after_a_fault(answered(transient)));
                    let mut next = idle.after_a_fault(answered(RefreshOutcome::Unknown(fault())));
                    next.strayed(refresh);
                    push("waits in vain", next);
                }
            }
            Some(Request { answer: Some(answer), .. }) => {
                push("is answered", idle.after(answered(self.told(answer))));
                if has_faults {
                    let mut next = idle.after_a_fault(answered(RefreshOutcome::Unknown(fault())));
                    next.is_exposed = true;
                    push("does not get the answer", next);
                }
            }
        }
        steps
    }

    fn told(&self, answer: Result<Given, Refused>) -> RefreshOutcome {
        let error = || "invalid_grant".to_owned();
        answer.map_or_else(
            |Refused| RefreshOutcome::Refused { error: error(), description: None, correlation: None },
            |given| RefreshOutcome::Renewed(tokens(given, self.now)),
        )
    }
}

fn fault() -> Fault {
    Fault::Status { place: Place::Token, status: 503 }
}

fn store_down() -> KeeperError {
    KeeperError::StoreDown { why: "no space left".to_owned() }
}
