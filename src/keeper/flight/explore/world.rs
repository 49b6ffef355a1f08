//! What there is: a disk with one session, a daemon that may be down, a network, a provider, and what may still go wrong.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::budget::Budget;
use super::oracle::{Given, Oracle, Refused, Rotation};
use super::print::{Keyed, Print, read_by};
use crate::domain::{AccessToken, LoginReason, Session, State as SessionState, Tokens};
use crate::keeper::flight::course::Flight;
use crate::keeper::flight::outcome::{Known, settled};
use crate::keeper::flight::unwritten::Answered;
use crate::keeper::tests::at;
use crate::provider::Provider;
use crate::provider::scripted::{oidc_settings, session};
use crate::vault::{Intent, Versioned};

/// The disk.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) session: Keyed<Versioned<Session>>,
    pub(super) intent: Option<Intent>,
    pub(super) takes_writes: bool,
}

/// A refresh token on its way, and the answer on its way back.
#[derive(Clone, Copy)]
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
    /// By the clock of the daemon.
    pub(super) now: UnixSeconds,
    /// How far that is behind.
    pub(super) behind: Duration,
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
            behind: Duration::ZERO,
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

    /// Whether it has a successor.
    pub(super) fn refresh_is_spent(&self) -> bool {
        self.refresh().is_some_and(|refresh| self.oracle.is_spent(refresh))
    }

    /// Why the session needs a login, if the provider does not take its refresh token any more.
    pub(super) fn loss(&self) -> Option<&LoginReason> {
        match &self.disk.session.value.state {
            SessionState::NeedsLogin { reason: LoginReason::SessionTooOld, .. } => None,
            SessionState::NeedsLogin { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The time at the provider.
    pub(super) fn true_now(&self) -> UnixSeconds {
        self.now + self.behind
    }

    /// The same for the same states, as far as anything depends on it, but for what may still happen.
    pub(super) fn key(&self) -> u64 {
        let mut print = Print::default();
        let World { disk, daemon, oracle, is_configured, stray, is_exposed, is_over, seen, .. } = self;
        print.add((oracle.is_revoked, is_configured, is_exposed, is_over, disk.takes_writes));
        print.add_number(*stray);
        print.add_number(Some(*seen));
        print.add_part(&disk.session);
        print.add_time(disk.intent.as_ref().map(|intent| intent.at));
        print.add_generation(disk.intent.as_ref().map_or(0, |intent| intent.generation));
        print.add(daemon.is_some());
        if let Some(Daemon { flight, request, unwritten, shown, is_closing }) = daemon {
            print.add((is_closing, flight.is_some(), unwritten.is_some(), request.is_some()));
            print.add_number(*shown);
            if let Some(Request { refresh, answer }) = request {
                print.add_number(Some(*refresh));
                print.add((answer.is_some(), answer.is_some_and(|answer| answer.is_ok())));
                let given = answer.and_then(Result::ok);
                print.add_number(given.map(|given| given.access));
                print.add_number(given.and_then(|given| given.refresh));
            }
            if let Some(unwritten) = unwritten {
                print.add_part(unwritten);
            }
            if let Some(flight) = flight {
                print.add_part(flight);
                // What was read matters by its content, and by whether it was changed since.
                print.add(read_by(flight).map(|read| read.version == disk.session.version));
            }
        }
        print.key(self.now, |number| oracle.fate(number, self.true_now()))
    }
}

/// A flight on its way.
pub(super) fn flying(flight: Flight) -> Keyed<Flight> {
    Keyed::new(flight, Print::add_flight)
}

/// An answer that waits to be written.
pub(super) fn kept(answered: &Arc<Answered>) -> Keyed<Arc<Answered>> {
    Keyed::new(Arc::clone(answered), |print, answered| print.add_answered(answered))
}

fn stored(session: Session, version: u64) -> Keyed<Versioned<Session>> {
    Keyed::new(Versioned { value: session, version }, |print, stored| print.add_session(&stored.value))
}

/// Tokens with a life of 300 s.
pub(super) fn tokens(given: Given, now: UnixSeconds) -> Tokens {
    let token = Secret::from(given.access.to_string());
    let expires_at = now + Duration::from_mins(5);
    let (token_type, scope) = ("Bearer".to_owned(), String::new());
    let access = AccessToken { token, token_type, scope, obtained_at: now, expires_at };
    Tokens { access, refresh: given.refresh.map(|refresh| refresh.to_string().into()), id: None, refresh_life: None }
}

/// The number of a token.
pub(super) fn number(token: &Secret) -> u32 {
    token.expose().parse().unwrap()
}
