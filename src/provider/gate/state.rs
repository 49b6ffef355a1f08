//! What the gate decides by: pure, with boot time and randomness as parameters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;
use tokio::sync::Notify;

use super::breaker::Breaker;
use crate::config::settings::Courtesy;
use crate::provider::{Fault, LoginFault};

/// How late whoever waits for a time may be woken.
const TIMERS_ARE_LATE: Duration = Duration::from_millis(5);

/// Who is next: the order of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    rank: Rank,
    /// When the token expires that is to be replaced.
    expires_at: UnixSeconds,
    /// Those who came before go before.
    number: u64,
}

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A person at a browser. An open breaker does not keep them from a try of their own, which tells how the provider is doing.
    Person,
    /// Somebody who waits for an answer.
    Caller,
    /// Nobody: it is only due.
    Schedule,
}

impl Turn {
    /// The turn of a login.
    pub fn of_person() -> Self {
        Self { rank: Rank::Person, expires_at: UnixSeconds(0), number: 0 }
    }

    /// The turn of somebody who waits for an answer.
    pub fn of_caller(expires_at: UnixSeconds) -> Self {
        Self { rank: Rank::Caller, expires_at, number: 0 }
    }

    /// The turn of what is due.
    pub fn of_schedule(expires_at: UnixSeconds) -> Self {
        Self { rank: Rank::Schedule, expires_at, number: 0 }
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
    /// That of a login that failed. What one user or one callback did says nothing.
    pub(super) fn of_login(fault: &LoginFault) -> Self {
        match fault {
            LoginFault::Fault(fault) | LoginFault::Unidentified(fault) => Self::of(fault),
            _ => Self::Nothing,
        }
    }

    /// That of a fault. What an administrator has to mend counts as well: until then, every session would ask in vain.
    pub(super) fn of(fault: &Fault) -> Self {
        if fault.is_of_this_side() {
            return Self::Nothing;
        }
        if let Fault::Unexplained | Fault::Status { status: 400 | 401, .. } | Fault::Unread { status: 400 | 401, .. } =
            fault
        {
            // It says no to this request, and may say yes to the next one.
            return Self::Alive;
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
    /// Those who were let out and are not back.
    out: usize,
    /// How many of them have not sent a request yet: what each sends beside its first is counted on top.
    unsent: usize,
    /// When the rate lets the next one go.
    next_at: Duration,
    /// Until when the provider asked to be left alone, and in which words.
    asked_to_wait: Option<(Duration, String)>,
    breaker: Breaker,
    /// Who waits, and the bell of each.
    waiting: BTreeMap<Turn, Arc<Notify>>,
    last_number: u64,
}

impl State {
    pub(super) fn new(courtesy: Courtesy) -> Self {
        Self {
            courtesy,
            out: 0,
            unsent: 0,
            next_at: Duration::ZERO,
            asked_to_wait: None,
            breaker: Breaker::default(),
            waiting: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// Goes by other numbers; whoever waits for the next place does not wait by a rate that was slower.
    pub(super) fn be_courteous(&mut self, courtesy: Courtesy, now: Duration) {
        if self.courtesy != courtesy {
            self.courtesy = courtesy;
            self.next_at = self.next_at.min(now + courtesy.gap());
        }
    }

    /// Takes a place in the queue; `bell` rings when it may be its turn.
    pub(super) fn line_up(&mut self, turn: Turn, bell: Arc<Notify>) -> Turn {
        self.last_number += 1;
        let turn = Turn { number: self.last_number, ..turn };
        self.waiting.insert(turn, bell);
        turn
    }

    /// Gives a place up, whether its turn came or not.
    pub(super) fn leave(&mut self, turn: Turn) {
        self.waiting.remove(&turn);
        self.ring_next();
    }

    /// Something moved: lets the first one look. If nothing leaves it goes away, and rings for the one behind it.
    pub(super) fn ring_next(&self) {
        if let Some((_, bell)) = self.waiting.first_key_value() {
            bell.notify_one();
        }
    }

    /// Whether it is the turn of somebody who waits.
    pub(super) fn ask(&mut self, turn: Turn, now: Duration) -> Answer {
        let is_person = turn.rank == Rank::Person;
        if let Some(closed) = if is_person { self.asked_to_wait(now) } else { self.closed(now) } {
            return Answer::Closed(closed);
        }
        if self.waiting.first_key_value().is_none_or(|(first, _)| *first != turn)
            || self.out >= self.courtesy.concurrency
        {
            return Answer::Behind;
        }
        if now < self.next_at {
            return Answer::NotBefore(self.next_at);
        }
        self.waiting.remove(&turn);
        self.out += 1;
        self.unsent += 1;
        // No credit is kept for times when nothing left: what waited for an hour does not leave at once. But where timers are
        // too coarse for the rate, those who were woken late leave together.
        let gap = self.courtesy.gap();
        let late = if gap < TIMERS_ARE_LATE { TIMERS_ARE_LATE } else { Duration::ZERO };
        self.next_at = self.next_at.max(now.saturating_sub(late)) + gap;
        let is_try = self.breaker.is_open() && !is_person;
        if is_try {
            self.breaker.begin_try();
        }
        Answer::Go(Admission { is_try })
    }

    /// A request leaves. The first of each who was let out is counted already.
    pub(super) fn leaves(&mut self) {
        match self.unsent.checked_sub(1) {
            Some(less) => self.unsent = less,
            None => self.next_at += self.courtesy.gap(),
        }
    }

    /// A request is back, or was not sent after all.
    pub(super) fn came_back(&mut self, admission: Admission, sign: Option<Sign>, now: Duration, random: f64) {
        self.out = self.out.saturating_sub(1);
        self.unsent = self.unsent.min(self.out);
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
        if let Some(closed) = self.asked_to_wait(now) {
            return Some(closed);
        }
        let wait = match &self.breaker {
            Breaker::Open { next_try, .. } if now < *next_try => next_try.saturating_sub(now).max(second),
            Breaker::Trying { .. } => second,
            _ => return None,
        };
        let (Breaker::Open { why, .. } | Breaker::Trying { why, .. }) = &self.breaker else { return None };
        Some(Closed { why: format!("it failed again and again, the last time so: {why}"), wait })
    }

    /// Whether the provider itself asks to be left alone. That holds for everybody.
    fn asked_to_wait(&self, now: Duration) -> Option<Closed> {
        let (until, why) = self.asked_to_wait.as_ref().filter(|(until, _)| now < *until)?;
        Some(Closed { why: why.clone(), wait: until.saturating_sub(now).max(Duration::from_secs(1)) })
    }
}
