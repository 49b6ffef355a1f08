//! The current token of the sessions in use, ready to be sent.
//!
//! Invariant: an entry is never older than the last change that was published. Every entry is read from the store, one
//! reader per session at a time, and every change is read anew after its commit: so whoever reads last has read what was
//! written last, in whatever order those who wrote come here. A token that was replaced is not kept here any more.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::codec::Encoded;
use tokenkeeper_protocol::reply::TokenReply;
use tokenkeeper_protocol::{ProviderName, Reply, SessionRef, UnixSeconds, UserName};

use super::shelf::{Shelf, spread};
use super::timing;
use crate::domain::{Owner, Session};
use crate::policy::Target;

/// What is needed to judge a request for a token and to answer it, without touching the disk.
pub struct Live {
    /// The session.
    pub session: SessionRef,
    /// Where it was opened.
    pub provider: ProviderName,
    /// To whom it belongs.
    pub owner: Owner,
    /// What its user is called there.
    pub user: UserName,
    /// The generation of the token.
    pub generation: u64,
    /// Entries of the session's history when it was read.
    pub told: u64,
    /// When the token was obtained.
    pub obtained_at: UnixSeconds,
    /// The era of the clock that this is of.
    pub era: u32,
    /// When the token expires.
    pub expires_at: UnixSeconds,
    /// When the session does.
    pub ends_at: UnixSeconds,
    /// How long such tokens live.
    pub life: Duration,
    /// Whether another one can be had without a person.
    pub refreshable: bool,
    /// What the token is good for, space separated.
    pub scope: String,
    /// What it is to be presented to; with none, the provider decided.
    pub resource: Vec<String>,
    /// When it was last asked for.
    used_at: AtomicI64,
    /// Seconds that the token was still good for when it came, if somebody was told that this is not enough.
    had_left: AtomicU64,
    /// The reply, as it goes over the socket.
    pub reply: Arc<Encoded>,
}

impl Live {
    /// The cached form of an active session; nothing when it is not active or its token does not fit into a frame.
    pub(super) fn of(session: &Session) -> Option<Self> {
        let access = &session.tokens.as_ref().filter(|_| session.state.is_active())?.access;
        let reply = Reply::Token(TokenReply {
            session: session.id,
            access_token: access.token.clone(),
            token_type: access.token_type.clone(),
            expires_at: access.expires_at,
            scope: access.scope.clone(),
        });
        Some(Self {
            session: session.id,
            provider: session.provider.clone(),
            owner: session.opened_by.clone(),
            user: session.user.name.clone(),
            generation: session.generation,
            told: session.told,
            obtained_at: access.obtained_at,
            era: session.era,
            expires_at: access.expires_at,
            ends_at: session.ends_at,
            life: access.life(),
            refreshable: session.is_renewable(),
            scope: access.scope.clone(),
            resource: session.resource.clone(),
            used_at: AtomicI64::new(session.last_used_at.0),
            had_left: AtomicU64::new(u64::MAX),
            reply: Arc::new(reply.encode().ok()?),
        })
    }

    /// For how long a token of this session can be had, as far as is known.
    pub fn longest(&self) -> Duration {
        self.life.min(Duration::from_secs(self.had_left.load(Ordering::Relaxed)))
    }

    /// Notes that a fresh one was good for no longer.
    pub(super) fn note_longest(&self, left: Duration) {
        self.had_left.fetch_min(left.as_secs(), Ordering::Relaxed);
    }

    /// What rules look at.
    pub fn target(&self) -> Target<'_> {
        Target::Session { provider: &self.provider, owner: &self.owner, user: &self.user }
    }

    /// Notes that it was asked for.
    pub fn touch(&self, now: UnixSeconds) {
        self.used_at.fetch_max(now.0, Ordering::Relaxed);
    }

    /// When it was last asked for.
    pub fn used_at(&self) -> UnixSeconds {
        UnixSeconds(self.used_at.load(Ordering::Relaxed))
    }

    /// Whether token and session will both still be good `min_valid` after `now`.
    pub fn is_valid_for(&self, min_valid: Duration, now: UnixSeconds) -> bool {
        self.expires_at.min(self.ends_at) > now + min_valid
    }

    /// How long a token should still be valid for a caller that did not say.
    pub fn default_min_valid(&self) -> Duration {
        timing::default_min_valid(self.life)
    }
}

/// A bounded cache.
pub(super) struct Cache {
    live: Shelf<Live>,
    turns: [Mutex<()>; 64],
}

impl Cache {
    pub(super) fn new(sessions: u64) -> Self {
        Self { live: Shelf::new(sessions), turns: std::array::from_fn(|_| Mutex::new(())) }
    }

    /// The entry of a session, if it is there.
    pub(super) fn find(&self, session: SessionRef) -> Option<Arc<Live>> {
        self.live.get(session)
    }

    /// Forgets everything: what was read before is old.
    pub(super) fn clear(&self) {
        self.live.clear();
    }

    /// Sessions that are in it.
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Reads a session anew and keeps its token if it is active, nothing otherwise. `read` must read the store.
    pub(super) fn load<E>(
        &self,
        session: SessionRef,
        read: impl FnOnce() -> Result<Option<Session>, E>,
    ) -> Result<Option<Session>, E> {
        let _turn = self.turn(session);
        let found = read();
        match found.as_ref().ok().and_then(Option::as_ref).and_then(Live::of) {
            Some(live) => {
                if let Some(known) = self.live.get(session) {
                    live.touch(known.used_at());
                }
                self.live.put(session, Arc::new(live));
            }
            None => self.live.remove(session),
        }
        found
    }

    /// Reads a session anew if its token is in memory. Whoever reads it for the first time reads what is written by now.
    pub(super) fn renew<E>(
        &self,
        session: SessionRef,
        read: impl FnOnce() -> Result<Option<Session>, E>,
    ) -> Result<(), E> {
        let is_there = {
            // Somebody may have read what was there before, and be about to put it in.
            let _turn = self.turn(session);
            self.find(session).is_some()
        };
        if is_there { self.load(session, read).map(drop) } else { Ok(()) }
    }

    fn turn(&self, session: SessionRef) -> impl Drop + '_ {
        self.turns[spread(session, self.turns.len())].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
