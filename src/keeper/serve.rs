//! Serving: from a live token to a reply, with no disk and no lock held across a wait.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::SessionRef;
use tokenkeeper_protocol::codec::Encoded;

use super::{Keeper, KeeperError, Live};
use crate::domain::{LoginReason, Session, State};
use crate::policy::Permit;

/// No answer takes longer to become a token that can be served, unless a clock was set.
const LONGEST_WAY: Duration = Duration::from_mins(1);

/// What is known of a session at a glance.
pub enum Look {
    /// It is active: enough is known to judge and serve.
    Live(Arc<Live>),
    /// It is not.
    Dormant(Box<Session>),
    /// It does not exist.
    Absent,
}

/// What can be done for a request for a token.
pub enum Served {
    /// This is the reply.
    Now(Arc<Encoded>),
    /// Only a refresh can help.
    AfterRefresh,
}

impl Keeper {
    /// Looks at a session: in the cache, else with one point read.
    pub fn look(&self, id: SessionRef) -> Result<Look, KeeperError> {
        if let Some(live) = self.cache.find(id) {
            return Ok(Look::Live(live));
        }
        let Some(session) = self.load(id)? else { return Ok(Look::Absent) };
        Ok(match Live::of(&session) {
            Some(live) => Look::Live(self.cache.find(id).unwrap_or_else(|| Arc::new(live))),
            None => Look::Dormant(Box::new(session)),
        })
    }

    /// The same, only if it is in the cache.
    pub fn glance(&self, id: SessionRef) -> Option<Arc<Live>> {
        self.cache.find(id)
    }

    /// Serves a token that stays valid for `min_valid`, or for the default that suits its life.
    ///
    /// # Errors
    /// When no refresh can help: the session or its tokens do not live that long.
    pub fn serve(&self, _permit: &Permit, live: &Live, min_valid: Option<Duration>) -> Result<Served, KeeperError> {
        let now = self.clock.now();
        let judged_at = self.clock.now_for(live.obtained_at, live.era);
        live.touch(now);
        let wanted = min_valid.unwrap_or_else(|| live.default_min_valid());
        if live.is_valid_for(wanted, judged_at) {
            return Ok(Served::Now(Arc::clone(&live.reply)));
        }
        let required = |reason| {
            let (session, provider, since) = (live.session, live.provider.clone().into(), live.ends_at.min(now));
            KeeperError::LoginRequired { session, provider, reason, since }
        };
        if now >= live.ends_at {
            return Err(required(LoginReason::SessionTooOld));
        }
        if min_valid.is_some_and(|wanted| wanted >= live.longest()) {
            return Err(Self::too_short(live, live.longest()));
        }
        if live.refreshable && live.ends_at > now + wanted {
            return Ok(Served::AfterRefresh);
        }
        if live.is_valid_for(Duration::ZERO, judged_at) {
            return match min_valid {
                None => Ok(Served::Now(Arc::clone(&live.reply))),
                Some(_) => Err(Self::too_short(live, live.expires_at.min(live.ends_at).since(judged_at))),
            };
        }
        if live.refreshable { Ok(Served::AfterRefresh) } else { Err(required(LoginReason::NoRefreshToken)) }
    }

    /// What is served when a refresh did not help: a live token, if the caller did not ask for a certain validity.
    pub fn serve_anyway(&self, _permit: &Permit, live: &Live, min_valid: Option<Duration>) -> Option<Arc<Encoded>> {
        let judged_at = self.clock.now_for(live.obtained_at, live.era);
        let good_enough = min_valid.is_none() && live.is_valid_for(Duration::ZERO, judged_at);
        good_enough.then(|| Arc::clone(&live.reply))
    }

    /// What is told of a token that has just been obtained, and is not good for `min_valid` all the same.
    pub fn falls_short(&self, live: &Live, min_valid: Option<Duration>) -> KeeperError {
        let judged_at = self.clock.now_for(live.obtained_at, live.era);
        let left = live.expires_at.min(live.ends_at).since(judged_at);
        if judged_at.since(live.obtained_at) > LONGEST_WAY {
            // The clock was set while it was on its way.
            return KeeperError::StillWorking;
        }
        if min_valid.is_none() || left.is_zero() {
            return Self::too_short(live, live.life);
        }
        live.note_longest(left);
        Self::too_short(live, left)
    }

    /// Tokens that can be had for `longest` cannot be had for longer.
    fn too_short(live: &Live, longest: Duration) -> KeeperError {
        KeeperError::LifetimeTooShort { provider: live.provider.clone(), life: longest.as_secs() }
    }
}

impl From<&Session> for KeeperError {
    /// Why a session that is not active cannot be served.
    fn from(session: &Session) -> Self {
        let (id, provider) = (session.id, session.provider.clone());
        match &session.state {
            State::Active => Self::Internal,
            State::NeedsLogin { reason, since } => {
                Self::LoginRequired { session: id, provider: provider.into(), reason: reason.clone(), since: *since }
            }
            State::Ended { reason, since } => Self::Ended { session: id, provider, reason: *reason, since: *since },
        }
    }
}
