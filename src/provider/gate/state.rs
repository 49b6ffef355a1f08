//! What the gate decides by: pure, with boot time and randomness as parameters.

use std::collections::BTreeSet;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::breaker::Breaker;
use crate::config::settings::Courtesy;
use crate::provider::Fault;

/// Who is next: the order of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Nobody is waiting for it: it is only due.
    is_scheduled: bool,
    /// When the token expires that is to be replaced.
    expires_at: UnixSeconds,
    /// Those who came before go before.
    number: u64,
}

impl Turn {
    /// The turn of somebody who waits for an answer.
    pub fn of_caller(expires_at: UnixSeconds) -> Self {
        Self { is_scheduled: false, expires_at, number: 0 }
    }

    /// The turn of what is due.
    pub fn of_schedule(expires_at: UnixSeconds) -> Self {
        Self { is_scheduled: true, expires_at, number: 0 }
    }
}

/// Nothing leaves for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why, in words.
    pub why: String,
    /// For how long; at least a second.
    pub wait: Duration,
}

/// What a request says about how the provider is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answers.
    Alive,
    /// It cannot be reached, or is broken.
    Fault(String),
    /// It wants to be left alone for so long (`Retry-After`).
    AsksToWait {
        /// In words.
        why: String,
        /// How long.
        wait: Duration,
    },
    /// Nothing.
    Nothing,
}

impl Sign {
    /// That of a fault: what an administrator has to mend does not go away by waiting, and what is missing here says nothing
    /// about there.
    pub(super) fn of(fault: &Fault) -> Self {
        if fault.needs_administrator() || *fault == Fault::NoRefreshToken {
            return Self::Nothing;
        }
        let why = fault.to_string();
        match fault.retry_after() {
            Some(wait) => Self::AsksToWait { why, wait },
            None => Self::Fault(why),
        }
    }
}

/// What somebody who waits is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is your turn.
    Go(Admission),
    /// Somebody else has to move first.
    Behind,
    /// You are next, but not before this time.
    NotBefore(Duration),
    /// Nothing leaves.
    Closed(Closed),
}

/// A request that was let out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    is_try: bool,
}

/// The state of a gate.
#[derive(Debug)]
pub(super) struct State {
    courtesy: Courtesy,
    /// Requests on their way.
    out: usize,
    /// When the rate lets the next one go.
    next_at: Duration,
    /// Until when the provider asked to be left alone, and in which words.
    asked_to_wait: Option<(Duration, String)>,
    breaker: Breaker,
    waiting: BTreeSet<Turn>,
    last_number: u64,
}

impl State {
    pub(super) fn new(courtesy: Courtesy) -> Self {
        Self {
            courtesy,
            out: 0,
            next_at: Duration::ZERO,
            asked_to_wait: None,
            breaker: Breaker::default(),
            waiting: BTreeSet::new(),
            last_number: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn be_courteous(&mut self, courtesy: Courtesy) {
        self.courtesy = courtesy;
    }

    /// Takes a place in the queue.
    pub(super) fn line_up(&mut self, turn: Turn) -> Turn {
        self.last_number += 1;
        let turn = Turn { number: self.last_number, ..turn };
        self.waiting.insert(turn);
        turn
    }

    /// Gives a place up, whether its turn came or not.
    pub(super) fn leave(&mut self, turn: Turn) {
        self.waiting.remove(&turn);
    }

    /// Whether it is the turn of somebody who waits.
    pub(super) fn ask(&mut self, turn: Turn, now: Duration) -> Answer {
        if let Some(closed) = self.closed(now) {
            return Answer::Closed(closed);
        }
        if self.waiting.first() != Some(&turn) || self.out >= self.courtesy.concurrency {
            return Answer::Behind;
        }
        if now < self.next_at {
            return Answer::NotBefore(self.next_at);
        }
        self.waiting.remove(&turn);
        self.out += 1;
        // No credit is kept for times when nothing left: what waited for an hour does not leave at once.
        self.next_at = now + self.courtesy.gap();
        let is_try = self.breaker.is_open();
        self.breaker.begin_try();
        Answer::Go(Admission { is_try })
    }

    /// A request is back, or was not sent after all.
    pub(super) fn came_back(&mut self, admission: Admission, sign: Option<Sign>, now: Duration, random: f64) {
        self.out = self.out.saturating_sub(1);
        match sign {
            Some(Sign::Alive) => self.breaker.succeeded(),
            Some(Sign::Fault(why)) => self.breaker.failed(&why, admission.is_try, now, random),
            Some(Sign::AsksToWait { why, wait }) => {
                // It answers; what it says is more than any guess of ours.
                self.breaker.succeeded();
                let until = now + wait;
                if self.asked_to_wait.as_ref().is_none_or(|(known, _)| *known < until) {
                    self.asked_to_wait = Some((until, why));
                }
            }
            Some(Sign::Nothing) | None if admission.is_try => self.breaker.give_try_back(now),
            Some(Sign::Nothing) | None => {}
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.breaker.is_open()
    }

    /// Why nothing leaves, if so.
    pub(super) fn closed(&self, now: Duration) -> Option<Closed> {
        let second = Duration::from_secs(1);
        if let Some((until, why)) = self.asked_to_wait.as_ref().filter(|(until, _)| now < *until) {
            return Some(Closed { why: why.clone(), wait: until.saturating_sub(now).max(second) });
        }
        let wait = match &self.breaker {
            Breaker::Open { next_try, .. } if now < *next_try => next_try.saturating_sub(now).max(second),
            Breaker::Trying { .. } => second,
            _ => return None,
        };
        let (Breaker::Open { why, .. } | Breaker::Trying { why, .. }) = &self.breaker else { return None };
        Some(Closed { why: format!("it failed again and again, the last time so: {why}"), wait })
    }
}
