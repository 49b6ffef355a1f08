//! What there is: a disk with one session, a daemon that may be down, a network, a provider, and what may still go wrong.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::oracle::{Given, Oracle, Refused, Rotation};
use crate::domain::{AccessToken, LoginReason, Session, State as SessionState, Tokens};
use crate::keeper::flight::course::{Flight, State};
use crate::keeper::flight::outcome::{Known, settled};
use crate::keeper::flight::unwritten::Answered;
use crate::keeper::tests::at;
use crate::provider::scripted::{oidc_settings, session};
use crate::provider::{Provider, RefreshOutcome};
use crate::vault::{Intent, Versioned};

/// What may still happen that need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Crashes of the daemon.
    pub(super) crashes: u8,
    /// Failures of the store, the network or the provider.
    pub(super) faults: u8,
    /// A logout, a prune, a reload, a caller.
    pub(super) others: u8,
    /// Of all these together.
    pub(super) in_all: u8,
    /// Times that the clock moves to the next time that means something.
    pub(super) ticks: u8,
    /// The clock only moves when nothing else is to be done.
    pub(super) is_punctual: bool,
}

/// A thing that is cheap to copy and to compare.
pub(super) struct Keyed<T> {
    thing: Arc<T>,
    key: u64,
}

impl<T> Clone for Keyed<T> {
    fn clone(&self) -> Self {
        Self { thing: Arc::clone(&self.thing), key: self.key }
    }
}

impl<T> Deref for Keyed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> Keyed<T> {
    pub(super) fn new(thing: T, hash: impl FnOnce(&T, &mut DefaultHasher)) -> Self {
        let mut key = DefaultHasher::new();
        hash(&thing, &mut key);
        Self { thing: Arc::new(thing), key: key.finish() }
    }
}

impl Budget {
    /// What is left of one kind.
    pub(super) fn has(self, kind: impl Fn(&mut Self) -> &mut u8) -> bool {
        self.in_all > 0 && *kind(&mut { self }) > 0
    }

    /// Takes one of a kind.
    pub(super) fn take(&mut self, kind: impl Fn(&mut Self) -> &mut u8) {
        *kind(self) -= 1;
        self.in_all -= 1;
    }
}

/// The disk.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) session: Keyed<Versioned<Session>>,
    pub(super) intent: Option<Intent>,
    pub(super) takes_writes: bool,
}

/// A refresh token on its way, and the answer on its way back.
#[derive(Clone, Copy, Hash)]
pub(super) struct Request {
    pub(super) refresh: u32,
    pub(super) answer: Option<Result<Given, Refused>>,
}

/// The memory of a daemon.
#[derive(Clone, Default)]
pub(super) struct Daemon {
    pub(super) flight: Option<Keyed<Flight>>,
    pub(super) request: Option<Request>,
    pub(super) unwritten: Option<Keyed<Arc<Answered>>>,
    /// The access token in the cache.
    pub(super) shown: Option<u32>,
    /// The session was closed, which is yet to be shown.
    pub(super) is_closing: bool,
}

/// Everything.
#[derive(Clone)]
pub(super) struct World {
    pub(super) now: UnixSeconds,
    pub(super) disk: Disk,
    pub(super) daemon: Option<Daemon>,
    pub(super) oracle: Oracle,
    /// Its registration, as configured.
    pub(super) provider: Arc<Provider>,
    pub(super) is_configured: bool,
    /// A refresh token that nobody waits for any more, and that may still arrive.
    pub(super) stray: Option<u32>,
    /// An answer was lost for good since the last one that is on disk.
    pub(super) is_exposed: bool,
    /// Somebody was told that the session is over.
    pub(super) is_over: bool,
    /// The newest access token that anybody was shown.
    pub(super) seen: u32,
    pub(super) left: Budget,
}

impl World {
    /// A session whose token 0 is due at 200 s and expires at 300 s; it is 200 s.
    pub(super) fn new(rotation: Rotation, left: Budget) -> Self {
        const ISSUER: &str = "https://id.example";
        let mut settings = oidc_settings(ISSUER);
        settings.reuse_grace = rotation.believed_grace();
        let mut first = session(ISSUER);
        first.due_at = Some(at(200));
        first.tokens = Some(tokens(Given { access: 0, refresh: Some(0) }, at(0)));
        Self {
            now: at(200),
            disk: Disk { session: stored(first, 1), intent: None, takes_writes: true },
            daemon: Some(Daemon { shown: Some(0), ..Daemon::default() }),
            oracle: Oracle::new(rotation),
            provider: Arc::new(Provider::new(Arc::new(settings)).unwrap()),
            is_configured: true,
            stray: None,
            is_exposed: false,
            is_over: false,
            seen: 0,
            left,
        }
    }

    /// What the daemon goes by when it takes an answer in.
    pub(super) fn known(&self) -> Known {
        Known { now: self.now, grace: self.oracle.rotation.believed_grace(), era: 0, random: 0.0 }
    }

    /// What the cache holds after it was filled anew.
    pub(super) fn to_show(&self, unwritten: Option<&Arc<Answered>>) -> Option<u32> {
        let read = (*self.disk.session).clone();
        let change = unwritten.and_then(|answered| settled(Some(read.clone()), answered, self.known()).0);
        let session = change.map_or(read.value, |change| change.new);
        session.tokens.filter(|_| session.state.is_active()).map(|tokens| number(&tokens.access.token))
    }

    /// Writes the session.
    pub(super) fn put(&mut self, session: Session) {
        self.disk.session = stored(session, self.disk.session.version + 1);
        // What the provider gave last is safe.
        self.is_exposed &= self.stray.is_some() || self.refresh().is_none_or(|refresh| self.oracle.is_spent(refresh));
    }

    /// The refresh token on disk.
    pub(super) fn refresh(&self) -> Option<u32> {
        self.disk.session.value.tokens.as_ref()?.refresh.as_ref().map(number)
    }

    /// Why the session needs a login, if the provider does not take its refresh token any more.
    pub(super) fn loss(&self) -> Option<&LoginReason> {
        match &self.disk.session.value.state {
            SessionState::NeedsLogin { reason: LoginReason::SessionTooOld, .. } => None,
            SessionState::NeedsLogin { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The same for the same states, as far as anything depends on it.
    pub(super) fn key(&self) -> u64 {
        let mut key = DefaultHasher::new();
        let World { now, disk, daemon, oracle, is_configured, stray, is_exposed, is_over, seen, left, .. } = self;
        (now.0, oracle, is_configured, stray, is_exposed, is_over, seen, left).hash(&mut key);
        (disk.takes_writes, disk.intent.as_ref().map(|intent| (intent.generation, intent.at.0))).hash(&mut key);
        (disk.session.key, daemon.is_some()).hash(&mut key);
        if let Some(Daemon { flight, request, unwritten, shown, is_closing }) = daemon {
            (request, shown, is_closing).hash(&mut key);
            unwritten.as_ref().map(|unwritten| unwritten.key).hash(&mut key);
            // What was read matters by its content, and by whether it was changed since.
            let is_changed = |flight: &Keyed<Flight>| read_by(flight).map(|read| read.version == disk.session.version);
            flight.as_ref().map(|flight| (flight.key, is_changed(flight))).hash(&mut key);
        }
        key.finish()
    }
}

/// What a flight has read.
fn read_by(flight: &Flight) -> Option<&Versioned<Session>> {
    match &flight.state {
        State::PuttingOff { session, .. } | State::Closing { session, .. } | State::Revoking { session, .. } => {
            Some(session)
        }
        State::Queueing(errand) | State::Intending(errand, _) | State::Asking(errand, _) => Some(&errand.session),
        State::Writing { change: Some(change), .. } => Some(&change.old),
        _ => None,
    }
}

/// A flight on its way.
pub(super) fn flying(flight: Flight) -> Keyed<Flight> {
    Keyed::new(flight, |flight, key| {
        (format!("{:?}", flight.wish), flight.looks, std::mem::discriminant(&flight.state)).hash(key);
        if let Some(read) = read_by(flight) {
            hash_session(&read.value, key);
        }
        match &flight.state {
            State::PuttingOff { until, then, .. } => (until.0, format!("{then:?}")).hash(key),
            State::Closing { reason, now, .. } => (format!("{reason:?}"), now.0).hash(key),
            State::Revoking { now, .. } | State::Intending(_, now) | State::Asking(_, now) => now.0.hash(key),
            State::Rereading { answered, is_kept } => {
                is_kept.hash(key);
                hash_answered(answered, key);
            }
            State::Writing { answered, is_kept, change, then } => {
                (is_kept, change.is_some(), format!("{then:?}")).hash(key);
                if let Some(change) = change {
                    hash_session(&change.new, key);
                }
                hash_answered(answered, key);
            }
            State::Keeping { answered, then } => {
                format!("{then:?}").hash(key);
                hash_answered(answered, key);
            }
            State::Showing(then) | State::Landed(then) => format!("{then:?}").hash(key),
            State::Looking | State::Queueing(_) => {}
        }
    })
}

/// An answer that waits to be written.
pub(super) fn kept(answered: &Arc<Answered>) -> Keyed<Arc<Answered>> {
    Keyed::new(Arc::clone(answered), |answered, key| hash_answered(answered, key))
}

fn stored(session: Session, version: u64) -> Keyed<Versioned<Session>> {
    Keyed::new(Versioned { value: session, version }, |stored, key| hash_session(&stored.value, key))
}

fn hash_session(session: &Session, key: &mut DefaultHasher) {
    (format!("{:?}", session.state), session.generation, session.due_at.map(|at| at.0), session.prune_at.0).hash(key);
    let numbers = |tokens: &Tokens| {
        (number(&tokens.access.token), tokens.access.expires_at.0, tokens.refresh.as_ref().map(number))
    };
    session.tokens.as_ref().map(numbers).hash(key);
    if let Some(trouble) = &session.trouble {
        (trouble.tries, trouble.not_before.0, trouble.unknown_since.map(|at| at.0)).hash(key);
    }
}

fn hash_answered(answered: &Answered, key: &mut DefaultHasher) {
    hash_session(&answered.before, key);
    (answered.sent_at.0, std::mem::discriminant(&answered.outcome)).hash(key);
    if let RefreshOutcome::Renewed(tokens) = &answered.outcome {
        (number(&tokens.access.token), tokens.access.expires_at.0).hash(key);
    }
}

/// Tokens with a life of 300 s.
pub(super) fn tokens(given: Given, now: UnixSeconds) -> Tokens {
    let token = Secret::from(given.access.to_string());
    let expires_at = now + std::time::Duration::from_mins(5);
    let (token_type, scope) = ("Bearer".to_owned(), String::new());
    let access = AccessToken { token, token_type, scope, obtained_at: now, expires_at };
    Tokens { access, refresh: given.refresh.map(|refresh| refresh.to_string().into()), id: None }
}

/// The number of a token.
pub(super) fn number(token: &Secret) -> u32 {
    token.expose().parse().unwrap()
}
