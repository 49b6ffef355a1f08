//! What two states must have in common to be the same.
//!
//! Times count by how far they are from now; numbers of tokens, and generations, by which of them are the same, and which are
//! greater. So a session that was refreshed once more, or later, is in the same state again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;
use std::ops::Deref;
use std::sync::Arc;

use tokenkeeper_protocol::UnixSeconds;

use super::world::number;
use crate::domain::{Session, State as SessionState};
use crate::keeper::KeeperError;
use crate::keeper::attend::Attended;
use crate::keeper::flight::Outcome;
use crate::keeper::flight::course::{Flight, State};
use crate::keeper::flight::unwritten::Answered;
use crate::provider::RefreshOutcome;
use crate::vault::Versioned;

/// A print of a state, or of a part of it.
#[derive(Clone, Default)]
pub(super) struct Print {
    rest: DefaultHasher,
    times: Vec<UnixSeconds>,
    numbers: Vec<u32>,
    generations: Vec<u64>,
}

/// A thing that is cheap to copy and to compare.
pub(super) struct Keyed<T> {
    thing: Arc<T>,
    print: Arc<Print>,
}

impl<T> Clone for Keyed<T> {
    fn clone(&self) -> Self {
        Self { thing: Arc::clone(&self.thing), print: Arc::clone(&self.print) }
    }
}

impl<T> Deref for Keyed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> Keyed<T> {
    pub(super) fn new(thing: T, add: impl FnOnce(&mut Print, &T)) -> Self {
        let mut print = Print::default();
        add(&mut print, &thing);
        Self { thing: Arc::new(thing), print: Arc::new(print) }
    }
}

impl Print {
    /// Whatever counts as it is.
    pub(super) fn add(&mut self, rest: impl Hash) {
        rest.hash(&mut self.rest);
    }

    pub(super) fn add_part<T>(&mut self, part: &Keyed<T>) {
        self.add(part.print.rest.finish());
        self.times.extend(&part.print.times);
        self.numbers.extend(&part.print.numbers);
        self.generations.extend(&part.print.generations);
    }

    pub(super) fn add_time(&mut self, at: Option<UnixSeconds>) {
        self.add(at.is_some());
        self.times.extend(at);
    }

    pub(super) fn add_number(&mut self, number: Option<u32>) {
        self.add(number.is_some());
        self.numbers.extend(number);
    }

    pub(super) fn add_generation(&mut self, generation: u64) {
        self.generations.push(generation);
    }

    pub(super) fn add_session(&mut self, session: &Session) {
        self.add(discriminant(&session.state));
        if let SessionState::NeedsLogin { reason, .. } = &session.state {
            self.add(discriminant(reason));
        }
        self.add_generation(session.generation);
        self.add_time(session.due_at);
        self.add(session.tokens.is_some());
        if let Some(tokens) = &session.tokens {
            self.add_number(Some(number(&tokens.access.token)));
            self.add_number(tokens.refresh.as_ref().map(number));
            self.add_time(Some(tokens.access.expires_at));
        }
        self.add(session.trouble.as_ref().map(|trouble| trouble.tries));
        if let Some(trouble) = &session.trouble {
            self.add_time(Some(trouble.not_before));
            self.add_time(trouble.unknown_since);
        }
    }

    pub(super) fn add_answered(&mut self, answered: &Answered) {
        self.add_session(&answered.before.value);
        self.add_time(Some(answered.sent_at));
        self.add(discriminant(&answered.outcome));
        if let RefreshOutcome::Renewed(tokens) = &answered.outcome {
            self.add_number(Some(number(&tokens.access.token)));
            self.add_time(Some(tokens.access.expires_at));
        }
    }

    pub(super) fn add_flight(&mut self, flight: &Flight) {
        self.add((flight.wish == crate::keeper::Wish::Due, flight.looks, discriminant(&flight.state)));
        if let Some(read) = read_by(flight) {
            self.add_session(&read.value);
        }
        match &flight.state {
            State::PuttingOff { until, then, .. } => {
                self.add_time(Some(*until));
                self.add_told(then);
            }
            State::Closing { reason, .. } => self.add(discriminant(reason)),
            State::Intending(_, at) | State::Asking(_, at) => self.add_time(Some(*at)),
            State::Rereading { answered, is_kept } => {
                self.add(is_kept);
                self.add_answered(answered);
            }
            State::Writing { answered, is_kept, change, then } => {
                self.add((is_kept, change.is_some()));
                if let Some(change) = change {
                    self.add_session(&change.new);
                }
                self.add_answered(answered);
                self.add_told(then);
            }
            State::Keeping { answered, then } => {
                self.add_answered(answered);
                self.add_told(then);
            }
            State::Showing(then) | State::Landed(then) => self.add_told(then),
            State::Looking | State::Revoking { .. } | State::Queueing(_) => {}
        }
    }

    /// What those who wait are told, as far as the flight goes by it.
    fn add_told(&mut self, then: &Outcome) {
        let is_again = matches!(then, Err(KeeperError::ProviderDown { wait, .. }) if wait.is_zero());
        self.add((matches!(then, Ok(Attended::Renewed)), is_again));
    }

    /// The same for the same states, by what `fate` each number has.
    pub(super) fn key<F: Hash>(mut self, now: UnixSeconds, fate: impl Fn(u32) -> F) -> u64 {
        for at in &self.times {
            (at.0 - now.0).hash(&mut self.rest);
        }
        for (rank, number) in ranks(&self.numbers) {
            (rank, fate(number)).hash(&mut self.rest);
        }
        for (rank, _) in ranks(&self.generations) {
            rank.hash(&mut self.rest);
        }
        self.rest.finish()
    }
}

/// Each with its place in the order of all.
fn ranks<T: Copy + Ord>(all: &[T]) -> impl Iterator<Item = (usize, T)> {
    let mut order = all.to_vec();
    order.sort_unstable();
    order.dedup();
    all.iter().map(move |it| (order.partition_point(|other| other < it), *it))
}

/// What a flight has read.
pub(super) fn read_by(flight: &Flight) -> Option<&Versioned<Session>> {
    match &flight.state {
        State::PuttingOff { session, .. } | State::Closing { session, .. } | State::Revoking { session, .. } => {
            Some(session)
        }
        State::Queueing(errand) | State::Intending(errand, _) | State::Asking(errand, _) => Some(&errand.session),
        State::Writing { change: Some(change), .. } => Some(&change.old),
        _ => None,
    }
}
